"""A launch whose driver is killed at any moment: what was told of stays, the rest is finished, none is done twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from tests.end_to_end.conftest import ProjectFolder

SUBPROJECTS = 150


@pytest.fixture(params=["sqlite", "postgres"])
def fleet(folder: ProjectFolder, request: pytest.FixtureRequest) -> ProjectFolder:
    if request.param == "postgres":
        folder.settings["MLOPS_DATABASE_URL"] = request.getfixturevalue("postgres_url")
    folder.declare({f"s{number:03d}": float(number) for number in range(SUBPROJECTS)})
    folder.settings["MLOPS_BACKEND"] = "ray"
    folder.mlops("apply", "--yes")
    return folder


def test_a_killed_launch_is_finished_by_running_again(fleet: ProjectFolder) -> None:
    seed = int(os.environ.get("MLOPS_TEST_SEED", random.randrange(10**6)))
    print(f"MLOPS_TEST_SEED={seed}")
    told = killed_after(fleet, random.Random(seed).randrange(1, 100))

    records = fleet.json("runs", "--limit", "1000")
    acknowledged = {record["subproject"] for record in records}
    assert told <= len(acknowledged), "the terminal told of subprojects that are not tracked"
    assert len(acknowledged) < SUBPROJECTS, "killed too late to test anything"

    dagster_run = fleet.json("show", records[0]["run_id"])["dagster_run_id"]
    again = fleet.json("run", "--failed-of", dagster_run)
    assert {record["subproject"] for record in again} == {f"s{n:03d}" for n in range(SUBPROJECTS)} - acknowledged

    counts = Counter(record["subproject"] for record in fleet.json("runs", "--limit", "1000"))
    assert counts == Counter({f"s{number:03d}": 1 for number in range(SUBPROJECTS)})


def killed_after(fleet: ProjectFolder, arrivals: int) -> int:
    """Train all, kill the driver once it has told of so many arrivals; return how many it told of."""
    command = [sys.executable, "-m", "mlops_assets.cli.app", "train", "--all"]
    driver = subprocess.Popen(
        command, cwd=fleet.path, env=fleet.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert driver.stderr is not None
    told = 0
    try:
        for line in driver.stderr:
            if f"/{SUBPROJECTS}, " in line:
                told = int(line.split("/")[0])
            if told >= arrivals:
                break
        started = psutil.Process(driver.pid).children(recursive=True)
        # Ray's agents notice within a minute; what holds cores and memory ends at once.
        workers = [process for process in started if not process.name().startswith(("ray::Dash", "ray::Runtime"))]
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        driver.stderr.close()
    assert told >= arrivals, "the driver ended before it was killed"
    gone(workers)
    return told


def gone(workers: list[psutil.Process]) -> None:
    """What the driver had started ends by itself."""
    end = time.monotonic() + 30
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < end, f"still running: {[w for w in workers if w.is_running()]}"
        time.sleep(0.2)
