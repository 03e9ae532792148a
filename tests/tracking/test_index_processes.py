"""Several processes write and read at once and are killed at any moment; afterwards the index is the event log."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from mlops_assets.tracking.tracker import Tracker
from resources.event_log import EventLog
from tests.tracking.busy import ROLES, whole_lines
from tests.tracking.runs_logged import PROJECT, SMALL_SEGMENTS, assert_equal_to_log

KILLS = 8


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str | None]:
    url = request.getfixturevalue("postgres_url") if "postgres" in request.node.name else None
    return tmp_path, url


def test_random_interleavings_and_kills(
    log: EventLog, where: tuple[Path, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SMALL_SEGMENTS.items():
        monkeypatch.setattr(name, value)
    folder, url = where
    seed = int(os.environ.get("MLOPS_TEST_SEED") or time.time_ns() % 1_000_000)
    print(f"MLOPS_TEST_SEED={seed}")
    rng = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.tracking.busy"])
    started = iter(range(seed * 1000, seed * 1000 + 1000))

    def start(role: str) -> ForkServerProcess:
        process = context.Process(target=ROLES[role], args=(folder, url, next(started)), daemon=True)
        process.start()
        return process

    busy = {start(role): role for role in ("write", "write", "read", "read", "read")}
    for _ in range(KILLS):
        before = done(folder)
        wait_for(lambda before=before: all(now >= then + 3 for now, then in zip(done(folder), before, strict=True)))
        time.sleep(rng.random() * 0.3)
        ended = [process for process in busy if not process.is_alive()]
        assert not ended, f"{[busy[p] for p in ended]} ended by themselves: {said(folder)}"
        victim = rng.choice(list(busy))
        role = busy.pop(victim)
        kill(victim)
        if rng.random() < 0.15:
            shutil.rmtree(folder / "index", ignore_errors=True)
        busy[start(role)] = role
    for process in busy:
        kill(process)
    runs = assert_equal_to_log(Tracker(log, PROJECT, folder / "index"))
    shutil.rmtree(folder / "index")
    assert assert_equal_to_log(Tracker(log, PROJECT, folder / "index")) == runs
    print("{} runs; {} acknowledged, {} answers".format(runs, *done(folder)))
    assert runs > 0


def done(folder: Path) -> tuple[int, int]:
    """How many runs were acknowledged, and how many questions answered."""
    files = [folder.glob(f"{name}-*") for name in ("acknowledged", "answers")]
    written, answered = (sum(len(whole_lines(file)) for file in of) for of in files)
    return written, answered


def kill(process: ForkServerProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def said(folder: Path) -> list[str]:
    return [file.read_text() for file in folder.glob("failed-*")]


def wait_for(condition: object, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
