"""What users import, and that our package names leave room for theirs."""

import subprocess
import sys
from pathlib import Path

import mlops_assets

ROOT = Path(__file__).parents[2]


def python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there() -> None:
    for name in mlops_assets.__all__:
        assert getattr(mlops_assets, name) is not None


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = python(
        "import sys, mlops_assets; mlops_assets.Pipeline; print('\\n'.join(sys.modules))", ROOT
    ).splitlines()
    assert not {"dagster", "pandas", "numpy", "ray", "sklearn", "great_expectations"} & set(loaded)


def test_a_project_with_a_resources_package_of_its_own_still_runs(tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "__init__.py").write_text("OWN = 1\n")
    (tmp_path / "resources" / "database.py").write_text("NAME = 'theirs'\n")
    for first in ("import mlops_assets", "import resources.database; import mlops_assets"):
        code = (
            "import sys; sys.path.insert(0, '')\n"
            f"{first}\n"
            "from resources.database import NAME\n"
            "from resources.artifacts import ArtifactStore\n"
            "print(NAME, ArtifactStore.__name__)\n"
        )
        assert python(code, tmp_path) == "theirs ArtifactStore"
