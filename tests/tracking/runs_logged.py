"""Runs made up and logged as real events, and what the event log says of them, read by Dagster's own reader."""

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.tracking.annotations import Overlay, annotation, overlays
from mlops_assets.tracking.event_rows import ANNOTATION_ENTRY
from mlops_assets.tracking.record import RECORD_ENTRY, RunRecord, new_run_id, to_text
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import TRACKED_ASSETS, Tracker
from resources.event_log import EventKind, EventLog
from resources.event_storage.entries import RunStep
from resources.home import Home

PROJECT = "p"
START = datetime(2026, 1, 1, tzinfo=UTC)
STOCK = "telemetry:\n  enabled: false\n"
OURS = """
storage:
  custom:
    module: mlops_assets.tracking.home_storage
    class: HomeStorage
    config: {{{config}}}
telemetry: {{enabled: false}}
"""
# Ranges of 8 ids, segments of 32 events, stale ones removed soon: so that 200 runs are many.
SMALL_SEGMENTS = {
    "mlops_assets.tracking.segments.BLOCK_BITS": 3,
    "mlops_assets.tracking.stored_events.BLOCK": 8,
    "mlops_assets.tracking.segments.FULL": 32,
    "mlops_assets.tracking.segments.GRACE_SECONDS": 0.2,
}


def open_log(folder: Path, postgres_url: str | None = None, *, stock: bool = False) -> EventLog:
    """The event log of a home in ``folder``: SQLite, or the Postgres database given; our storage, or Dagster's."""
    home = Home(folder)
    settings = home.path / "dagster" / "dagster.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    config = f'postgres_url: "{postgres_url}"' if postgres_url else f'base_dir: "{settings.parent}"'
    # Once: another process may be reading it.
    if not settings.exists():
        settings.write_text(STOCK if stock else OURS.format(config=config))
    return EventLog(dg.DagsterInstance.from_config(str(home.path / "dagster")))


def record(number: int = 0, **changes: Any) -> RunRecord:
    """A run; ``number`` orders runs in time and makes them differ."""
    fields: dict[str, Any] = {
        "run_id": new_run_id(),
        "project": PROJECT,
        "subproject": "AA",
        "kind": "dev",
        "code_version": {"digest": "c" * 64, "commit": "abc", "dirty": False},
        "data_version": "d" * 64,
        "digests": {"subproject": "s" * 64, "run": "r" * 64},
        "parameters": {"max_depth": number, "split": {"method": "time"}},
        "seed": number,
        "fingerprint": f"{number:064x}",
        "metrics": {"rmse": float(number), "mae": number / 2},
        "environment": {"python": "3.11.7", "lock": "l" * 64},
        "timings": {"fit": 1.0, "predict": 0.25},
        "status": "succeeded",
        "created_at": START + timedelta(seconds=number),
        "created_by": "me",
        "tags": {"hub": "JFK"},
        **changes,
    }
    return RunRecord.model_validate(fields)


def event_of(run: RunRecord, asset: str = "experiments") -> dg.AssetMaterialization | dg.AssetObservation:
    """The event that tracks a run, as the graph logs it."""
    key = dg.AssetKey([run.project, asset])
    metadata: dict[str, Any] = {RECORD_ENTRY: to_text(run), "run_id": run.run_id, **run.metrics}
    if run.status == "succeeded":
        return dg.AssetMaterialization(key, partition=run.subproject, metadata=metadata)
    return dg.AssetObservation(key, partition=run.subproject, metadata=metadata)


def log_runs(log: EventLog, runs: Iterable[RunRecord], asset: str = "experiments", dagster_run: str = "") -> None:
    log.store([event_of(run, asset) for run in runs], RunStep(dagster_run, "job", "step") if dagster_run else None)


def log_annotation(log: EventLog, run: RunRecord, change: Overlay) -> None:
    log.store([annotation(run, "experiments", "me", change)])


def truth(log: EventLog) -> dict[str, RunRecord]:
    """Every run that the event log holds, by id: each as its last event has it, with its notes and tags."""
    kinds: tuple[EventKind, ...] = ("materialization", "observation")
    events = [e for asset in TRACKED_ASSETS for kind in kinds for e in log.events((PROJECT, asset), kind=kind)]
    events.sort(key=lambda event: event.event_id)
    texts = [event.metadata[RECORD_ENTRY] for event in events if RECORD_ENTRY in event.metadata]
    runs = {run.run_id: run for run in map(RunRecord.model_validate_json, texts)}
    said = [event.metadata[ANNOTATION_ENTRY] for event in events if ANNOTATION_ENTRY in event.metadata]
    for run_id, overlay in overlays(said).items():
        if run_id in runs:
            runs[run_id] = overlay.over(runs[run_id])
    return runs


def present(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what it does not have: a run's own row knows only its own parameters."""
    return {name: value for name, value in row.items() if value is not None}


def assert_equal_to_log(tracker: Tracker) -> int:
    """The index holds exactly what the event log holds, as rows and as records; how many runs that is."""
    expected = truth(tracker.event_log)
    rows = {row["run_id"]: present(row) for row in tracker.rows(RunQuery()).as_dicts()}
    assert rows.keys() == expected.keys()
    for run_id, run in expected.items():
        assert rows[run_id] == present(run.row())
    assert {run.run_id: run for run in tracker.records()} == expected
    return len(expected)


def run_ids(tracker: Tracker, **query: Any) -> list[str]:
    return list(tracker.rows(RunQuery(**query)).column("run_id"))


def some_record(rng: random.Random, number: int) -> RunRecord:
    """A run whose parameters, metrics and tags come, go and change their types."""
    scalars = (rng.randrange(10), rng.random(), rng.random() < 0.5, f"text {rng.randrange(5)}")
    values: Sequence[Any] = (*scalars, [1, 2], None)
    failed = rng.random() < 0.1
    return record(
        number,
        subproject=rng.choice(["AA", "B6", "WN"]),
        parameters={name: rng.choice(values) for name in ("a", "A", "weird name'\"", "ü") if rng.random() < 0.7},
        metrics={} if failed else {name: rng.random() for name in ("rmse", "mae", f"m{rng.randrange(20)}")},
        tags={name: rng.choice("xyz") for name in ("hub", "tier") if rng.random() < 0.5},
        status="failed" if failed else "succeeded",
        error={"message": "it failed"} if failed else None,
        note="noted at once" if rng.random() < 0.1 else "",
        fold=rng.choice([None, 0, 1]),
    )
