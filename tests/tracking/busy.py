"""Processes that write runs and read the index, until they are killed: what ``test_index_processes`` lets loose."""

import importlib
import random
import time
from pathlib import Path
from typing import Any

from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from resources.event_log import EventLog
from tests.tracking.runs_logged import PROJECT, SMALL_SEGMENTS, log_annotation, log_runs, open_log, some_record


def write(folder: Path, url: str | None, seed: int) -> None:
    """Log runs, some of them twice; note and tag some; delete the events of some. Every run that stays and whose event
    is in the log is acknowledged in a file of this process.
    """
    rng, log = random.Random(seed), open_log(folder / "home", url)
    acknowledged = folder / f"acknowledged-{seed}"
    for turn in range(10_000):
        runs = [some_record(rng, number) for number in range(rng.randrange(1, 12))]
        stays = rng.random() < 0.8
        dagster_run = f"{seed}-{turn}-{'stays' if stays else 'goes'}"
        log_runs(log, runs, asset=rng.choice(["experiments", "model", "trials"]), dagster_run=dagster_run)
        if stays:
            with acknowledged.open("a") as file:
                file.write("".join(f"{run.run_id}\n" for run in runs))
        _afterwards(rng, log, runs, dagster_run if not stays else None)


def _afterwards(rng: random.Random, log: EventLog, runs: list[RunRecord], goes: str | None) -> None:
    if rng.random() < 0.3:
        log_runs(log, [runs[0].model_copy(update={"metrics": {"rmse": rng.random()}})])
    if rng.random() < 0.3:
        log_annotation(log, runs[-1], Overlay(note=f"note {rng.random()}", tags={"tier": rng.choice(["9", None])}))
    if goes is not None and rng.random() < 0.7:
        log.instance.event_log_storage.delete_events(goes)
    time.sleep(rng.random() * 0.05)


def read(folder: Path, url: str | None, seed: int) -> None:
    """Ask for all runs again and again: what was acknowledged before is in every answer."""
    for name, value in SMALL_SEGMENTS.items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    rng, log = random.Random(seed), open_log(folder / "home", url)
    failed = folder / f"failed-{seed}"
    failed.write_text("it was killed while it answered or is still at work")
    while True:
        tracker = Tracker(log, PROJECT, folder / "index")
        for _ in range(rng.randrange(1, 8)):
            known = {line for file in folder.glob("acknowledged-*") for line in whole_lines(file)}
            try:
                seen = set(tracker.rows(RunQuery()).column("run_id"))
            except Exception as error:
                failed.write_text(f"{type(error).__name__}: {error}")
                raise
            if known - seen:
                failed.write_text(f"{len(known - seen)} of {len(known)} acknowledged runs are missing")
                raise AssertionError(failed.read_text())
            with (folder / f"answers-{seed}").open("a") as file:
                file.write(f"{len(seen)}\n")


def whole_lines(file: Path) -> list[str]:
    """The lines of a file whose writer may be in the middle of one."""
    return file.read_text().rpartition("\n")[0].splitlines()


ROLES: dict[str, Any] = {"write": write, "read": read}
