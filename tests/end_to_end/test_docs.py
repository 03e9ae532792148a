"""Every command that the documentation prints runs, in the order printed, as a person would type it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))


def commands(document: Path) -> list[str]:
    lines = [line for block in BLOCK.findall(document.read_text()) for line in block.splitlines()]
    return [line.replace(".venv/bin/", "") for line in lines if line.strip()]


def run(script: list[str], folder: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
    environment = {**clean, "MLOPS_BACKEND": "processes", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example project as a fresh clone has it: in git, with nothing run yet."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "projects", tmp_path / "projects", ignore=skipped)
    shutil.copy(ROOT / "workspace.yaml", tmp_path)
    (tmp_path / ".gitignore").write_text(".mlops/\n__pycache__/\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_the_documents_do_print_commands() -> None:
    assert len(GUIDES) >= 3
    assert all(commands(document) for document in [ROOT / "README.md", *GUIDES])


def test_the_make_verbs_of_the_readme_exist() -> None:
    verbs = [line.split()[1] for line in commands(ROOT / "README.md") if line.startswith("make ")]
    assert {"demo", "test"} <= set(verbs)
    subprocess.run(["make", "-n", *verbs, "dev", "lint", "bench"], cwd=ROOT, check=True, capture_output=True)


def test_the_commands_of_the_readme_run(example: Path) -> None:
    run([line for line in commands(ROOT / "README.md") if not line.startswith("make ")], example)


def test_the_first_project_guide_runs_in_an_empty_folder(tmp_path: Path) -> None:
    run(commands(ROOT / "docs/guides/first-project.md"), tmp_path)
    assert (tmp_path / "patients/pipeline.py").is_file()


@pytest.mark.parametrize("guide", [guide for guide in GUIDES if guide.stem != "first-project"], ids=lambda g: g.stem)
def test_a_guide_with_the_example_runs(guide: Path, example: Path) -> None:
    run(commands(guide), example)
