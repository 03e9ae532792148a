"""HPO whose driver or worker is killed, and that is interrupted: real processes, nothing lost, nothing done twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import psutil
import pytest

from tests.end_to_end.conftest import ProjectFolder
from tests.public.hpo_lines import declare_hpo
from tests.reliability.test_killed_fleet import gone

SPACE = 'alpha=Float(0.01, 1000.0, log=True), mode=Fixed("sleeps")'
HPO = 'metric="rmse", direction="minimize", sampler="tpe", trials=8, folds=3'
RUNS = 8 * 3


@pytest.fixture(params=["processes"])
def slow(folder: ProjectFolder, request: pytest.FixtureRequest) -> ProjectFolder:
    """Two subprojects whose runs take a moment each."""
    declare_hpo(folder.path, [("a", 1.0, ""), ("b", -2.0, "")], space=SPACE, hpo=HPO)
    text = (folder.path / "lines/project.py").read_text()
    (folder.path / "lines/project.py").write_text(text.replace("Float, Project", "Fixed, Float, Project"))
    folder.settings["MLOPS_BACKEND"] = request.param
    folder.mlops("apply", "--yes")
    return folder


def started(slow: ProjectFolder, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "mlops_assets.cli.app", "hpo", *arguments]
    return subprocess.Popen(
        command, cwd=slow.path, env=slow.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def runs(slow: ProjectFolder) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = slow.json("runs", "--kind", "trial", "--limit", "1000")
    return found


def until_tracked(slow: ProjectFolder, driver: "subprocess.Popen[str]", count: int) -> None:
    """Wait until so many runs are kept; their events follow within a moment."""
    end = time.monotonic() + 60
    while len(list(slow.path.glob(".mlops/artifacts/runs/lines/*/*/record.json"))) < count:
        assert driver.poll() is None, f"it ended before: {driver.stderr.read() if driver.stderr else ''}"
        assert time.monotonic() < end, "no runs within a minute"
        time.sleep(0.05)


def ended(driver: "subprocess.Popen[str]", kill: signal.Signals) -> str:
    workers = [
        process
        for process in psutil.Process(driver.pid).children(recursive=True)
        if not process.name().startswith(("ray::Dash", "ray::Runtime"))
    ]
    driver.send_signal(kill)
    _, said = driver.communicate(timeout=60)
    gone(workers)
    return said


def is_complete(slow: ProjectFolder, keys: list[str], each: int = RUNS) -> None:
    tracked = runs(slow)
    assert Counter(r["subproject"] for r in tracked) == dict.fromkeys(keys, each), "some run is missing, or done twice"
    assert len({r["fingerprint"] for r in tracked}) == len(tracked) and {r["status"] for r in tracked} == {"succeeded"}
    assert len({r["parent"] for r in tracked}) == len(keys), "the same HPO runs went on"


@pytest.mark.parametrize("slow", ["ray", "processes"], indirect=True)
def test_a_killed_driver_is_resumed_and_no_run_is_lost_or_done_twice(slow: ProjectFolder) -> None:
    seed = int(os.environ.get("MLOPS_TEST_SEED", random.randrange(10**6)))
    print(f"MLOPS_TEST_SEED={seed}")
    driver = started(slow, "a", "b")
    until_tracked(slow, driver, random.Random(seed).randrange(2, 2 * RUNS - 12))
    ended(driver, signal.SIGKILL)
    before = {r["run_id"] for r in runs(slow)}
    assert len(before) < 2 * RUNS, "killed too late to test anything"
    done = slow.json("hpo", "a", "b", "--resume")
    assert [one["subproject"] for one in done] == ["a", "b"] and [one["trials"] for one in done] == [8, 8]
    is_complete(slow, ["a", "b"])
    assert before <= {r["run_id"] for r in runs(slow)}
    assert "no HPO run to resume" in slow.refused("hpo", "a", "--resume")


def test_interrupted_it_stops_its_workers_and_can_be_resumed(slow: ProjectFolder) -> None:
    driver = started(slow, "a")
    until_tracked(slow, driver, 4)
    began = time.monotonic()
    said = ended(driver, signal.SIGINT)
    assert time.monotonic() - began < 30 and "Traceback" not in said, said
    assert driver.returncode == 130, said
    slow.mlops("hpo", "a", "--resume")
    is_complete(slow, ["a"])


def test_a_killed_worker_is_a_failed_trial_and_the_study_goes_on(slow: ProjectFolder) -> None:
    driver = started(slow, "a")
    until_tracked(slow, driver, 3)
    victim = _worker(driver)
    victim.kill()
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    failed = [r for r in runs(slow) if r["status"] == "failed"]
    assert 1 <= len(failed) <= 3 and "worker process died" in failed[0]["error"]
    assert len(slow.json("best", "a")) == 1


def _worker(driver: "subprocess.Popen[str]") -> psutil.Process:
    """A process that is at work on a run now."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for process in psutil.Process(driver.pid).children(recursive=True):
            name = process.name()
            if name.startswith("ray::perform") or (
                name.startswith("python") and "serve(desk" in str(process.cmdline())
            ):
                return process
        time.sleep(0.02)
    raise AssertionError("no worker is at work")
