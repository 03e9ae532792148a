import subprocess
import sys
from pathlib import Path

import pytest

from partitions.errors import PipelineError
from partitions.pipeline import Pipeline
from partitions.reference import PipelineReference, refusal
from tests.partitions.delays_declared import Delays

PIPELINE = """
from partitions.pipeline import Pipeline
from partitions.schema import DataSchema


class Tiny(Pipeline):
    schema = DataSchema(key="k", target="t")
    metrics = {"mae": "min"}

    def ingest(self, config, window):
        raise NotImplementedError

    def build(self, params, seed):
        raise NotImplementedError
"""
SHOW = """
import importlib, sys
module = importlib.import_module(sys.argv[1])
from partitions.reference import PipelineReference
print(PipelineReference.of(module.Tiny()).model_dump_json())
"""


def written(root: Path, *files: str) -> Path:
    for name in files:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if file.name == "__init__.py" else PIPELINE)
    return root


def reference(root: Path, module: str) -> PipelineReference:
    """What a process of its own, with ``root`` on its search path, says of the pipeline in ``module``."""
    paths = f"{root}:{Path(__file__).parents[2]}"
    shown = subprocess.run(
        [sys.executable, "-c", SHOW, module], env={"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    return PipelineReference.model_validate_json(shown.stdout)


def place(found: PipelineReference) -> tuple[str, str, str | None]:
    return found.package, found.directory, found.config_file


def test_the_package_is_the_nearest_folder_with_a_project_file(tmp_path: Path) -> None:
    files = ("projects/x/__init__.py", "projects/x/project.py", "projects/x/models/__init__.py")
    written(tmp_path, *files, "projects/x/models/tiny.py", "projects/x/pipeline.py")
    deep = reference(tmp_path, "projects.x.models.tiny")
    assert place(deep) == ("projects.x", "projects/x", "project.py")
    assert (deep.root, deep.module, deep.qualname) == (str(tmp_path), "projects.x.models.tiny", "Tiny")
    assert place(reference(tmp_path, "projects.x.pipeline")) == ("projects.x", "projects/x", "project.py")


def test_a_pipeline_in_the_project_file_makes_that_file_code(tmp_path: Path) -> None:
    written(tmp_path, "one/__init__.py", "one/project.py")
    assert place(reference(tmp_path, "one.project")) == ("one", "one", None)


def test_without_a_project_file_the_package_is_the_modules_own(tmp_path: Path) -> None:
    written(tmp_path, "a/b/tiny.py", "c/__init__.py")
    assert place(reference(tmp_path, "a.b.tiny")) == ("a.b", "a/b", "project.py")
    (tmp_path / "c" / "__init__.py").write_text(PIPELINE)
    assert place(reference(tmp_path, "c")) == ("c", "c", "project.py")


def test_a_single_file_is_its_own_package(tmp_path: Path) -> None:
    written(tmp_path, "tiny.py")
    found = reference(tmp_path, "tiny")
    assert place(found) == ("tiny", "tiny.py", None)
    assert found.root == str(tmp_path)


def test_a_reference_loads_a_pipeline_that_was_not_importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "far_away/__init__.py", "far_away/pipeline.py")
    found = reference(tmp_path, "far_away.pipeline")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert str(tmp_path) not in sys.path
    pipeline = found.load()
    assert isinstance(pipeline, Pipeline)
    assert type(pipeline).__module__ == "far_away.pipeline"
    assert PipelineReference.of(pipeline) == found


def test_what_can_be_imported_already_comes_before_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "now", "moved/__init__.py", "moved/pipeline.py")
    written(tmp_path / "old", "moved/__init__.py", "moved/pipeline.py")
    found = reference(tmp_path / "now", "moved.pipeline")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "old"), *sys.path])
    assert PipelineReference.of(found.load()).root == str(tmp_path / "old")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"module": "tests.partitions.gone"}, "ModuleNotFoundError: No module named 'tests.partitions.gone'"),
        ({"qualname": "Dealys"}, "AttributeError: module 'tests.partitions.delays_declared' has no attribute 'Dealys'"),
        ({"qualname": "Carrier"}, "is not a subclass of Pipeline"),
    ],
)
def test_a_pipeline_that_cannot_be_loaded_is_one_line_with_the_reason(change: dict[str, str], says: str) -> None:
    gone = PipelineReference.of(Delays()).model_copy(update=change)
    with pytest.raises(PipelineError, match=r"\A[^\n]+\Z") as error:
        gone.load()
    assert says in str(error.value)


class Stateful(Delays):
    def __init__(self, size: int = 3) -> None:
        self.size = size


class Asking(Delays):
    def __init__(self, size: int) -> None:
        pass


def test_a_pipeline_that_workers_could_not_make_anew_is_refused_with_the_reason() -> None:
    class Local(Delays):
        pass

    assert refusal(Delays()) is None
    assert "holds state (size)" in str(refusal(Stateful()))
    assert "cannot be made without arguments" in str(refusal(Asking(3)))
    assert "is defined inside a function" in str(refusal(Local()))


def test_a_pipeline_in_the_script_that_runs_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PIPELINE + "\nfrom partitions.reference import refusal\nprint(refusal(Tiny()))")
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    shown = subprocess.run([sys.executable, str(script)], env=paths, capture_output=True, text=True)
    assert "pipeline Tiny lives in the script that runs" in shown.stdout
