"""Two versions of a project's code at work side by side, each in workers of its own; and orphaned workers."""

import fcntl
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.compute import Compute, ComputeError, Environment
from resources.ray_workers import unpacked, zipped

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = "LEVEL = {level}\n"
WORK = """
import os
import forecasts.weekly.model as model
from forecasts.weekly.nested import features

def predict(item):
    from forecasts.weekly import late
    return [item, model.LEVEL, features.scale(), late.NAME, os.getpid()]

{extra}
"""


def write_version(root: Path, level: int, extra: str = "") -> Path:
    """A project in a namespace folder, as ``projects/`` is, with a package of its own inside."""
    package = root / "forecasts" / "weekly"
    (package / "nested").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "nested" / "__init__.py").write_text("")
    (package / "nested" / "features.py").write_text(f"def scale():\n    return {level}0\n")
    (package / "model.py").write_text(MODEL.format(level=level))
    (package / "late.py").write_text(f"NAME = 'late {level}'\n")
    (package / "work.py").write_text(WORK.format(extra=extra))
    return root


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The imported code, version 3, from a folder that is also the working folder."""
    here = write_version(tmp_path / "imported", 3, "def only_now(item):\n    return item\n")
    monkeypatch.syspath_prepend(here)
    monkeypatch.chdir(here)
    yield importlib.import_module("forecasts.weekly.work")
    for name in [name for name in sys.modules if name.partition(".")[0] == "forecasts"]:
        del sys.modules[name]


@pytest.fixture
def versions(tmp_path: Path) -> list[Environment]:
    return [Environment(write_version(tmp_path / f"archive{level}", level)) for level in (1, 2)]


def test_two_versions_and_the_imported_one_work_side_by_side(work: Any, versions: list[Environment]) -> None:
    compute = Compute(cpus=2)
    first, second = (compute.map(work.predict, range(3), environment=version) for version in versions)
    answers = [[next(first).get()[1:4], next(second).get()[1:4], work.predict(0)[1:4]] for _ in range(3)]
    assert answers == [[[1, 10, "late 1"], [2, 20, "late 2"], [3, 30, "late 3"]]] * 3


def test_a_few_processes_are_reused_for_many_items(work: Any, versions: list[Environment]) -> None:
    outcomes = list(Compute(cpus=2).map(work.predict, range(20), environment=versions[0]))
    assert sorted(outcome.get()[0] for outcome in outcomes) == list(range(20))
    processes = {outcome.get()[4] for outcome in outcomes}
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes


def test_one_item_of_another_version_needs_no_ray(work: Any, versions: list[Environment]) -> None:
    assert [outcome.get()[1] for outcome in Compute("inline").map(work.predict, [0], environment=versions[1])] == [2]


def test_ray_keeps_workers_of_two_versions_apart(work: Any, versions: list[Environment]) -> None:
    import ray

    assert [outcome.get()[1] for outcome in Compute("ray", cpus=2).map(work.predict, [0])] == [3]
    compute = Compute("ray", address=ray.get_runtime_context().gcs_address, cpus=2)
    first, second = (compute.map(work.predict, [0, 1], environment=version) for version in versions)
    answers = [[next(first).get()[1:4], next(second).get()[1:4]] for _ in range(2)]
    assert answers == [[[1, 10, "late 1"], [2, 20, "late 2"]]] * 2
    with pytest.raises(ComputeError, match="already works on a local Ray cluster and cannot also join elsewhere:6379"):
        next(Compute("ray", address="elsewhere:6379").map(work.predict, [0]))


def test_unpacked_code_that_dead_workers_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, young, used = (tmp_path / f"mlops-code-{name}" for name in ("left", "young", "used"))
    for folder in (left, young, used):
        folder.mkdir()
    for folder in (left, used):
        os.utime(folder, (0, 0))
    lock = os.open(used, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    code = zipped(write_version(tmp_path / "version", 1))
    folder = Path(unpacked(code))
    os.close(lock)
    assert sorted(tmp_path.glob("mlops-code-*")) == sorted([young, used, folder])
    assert zipped(folder) == code


def test_what_the_other_version_does_not_have_is_the_items_error(work: Any, versions: list[Environment]) -> None:
    (outcome,) = Compute().map(work.only_now, [0], environment=versions[0])
    assert outcome.error is not None
    assert outcome.error.kind == "AttributeError"
    assert "could not be loaded in the worker" in outcome.error.message
    assert "only_now" in outcome.error.message


def test_an_environment_without_its_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComputeError, match="no folder .*absent with a code version"):
        Environment(tmp_path / "absent")


def test_a_project_may_have_a_resources_package_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "shop"
    (root / "resources").mkdir(parents=True)
    (root / "resources" / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    (root / "shop_work.py").write_text("def work(item):\n    return item + 1\n")
    monkeypatch.syspath_prepend(root)
    work = importlib.import_module("shop_work").work
    assert [outcome.get() for outcome in Compute().map(work, [1], environment=Environment(root))] == [2]


def test_a_worker_that_cannot_start_is_no_items_error(
    work: Any, versions: list[Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    (versions[0].archive_dir / "sitecustomize.py").write_text("import os\nos.write(2, b'broken start')\nos._exit(9)\n")
    with pytest.raises(ComputeError, match=r"no worker process starts with .* \(exit code 9\): broken start"):
        list(Compute().map(work.predict, [0], environment=versions[0]))


def test_workers_and_what_they_started_end_with_a_killed_owner(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    script = """
import json, os, subprocess, sys, time
from resources.compute import Compute

def work(path):
    child = subprocess.Popen(["sleep", "120"])
    with open(path + ".new", "w") as note:
        json.dump([os.getpid(), child.pid], note)
    os.rename(path + ".new", path)
    time.sleep(120)

list(Compute("processes").map(work, [sys.argv[1]]))
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", script, str(note)], env=environment)
    assert eventually(note.exists)
    worker, child = json.loads(note.read_text())
    owner.kill()
    owner.wait()
    assert eventually(lambda: not running(worker) and not running(child))
    assert list(tmp_path.iterdir()) == [note]


def test_an_address_where_nobody_answers_is_refused_in_seconds() -> None:
    script = "from resources.compute import Compute\nlist(Compute('ray', address='127.0.0.1:1').map(len, ['a']))"
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert "ComputeError: no Ray cluster answers at 127.0.0.1:1" in ended.stderr
    assert time.monotonic() - started < 30


def test_importing_compute_loads_no_heavy_library() -> None:
    script = "import sys, resources.compute\nprint({'ray', 'numpy', 'pandas', 'dagster'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if holds():
            return True
        time.sleep(0.02)
    return False


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
