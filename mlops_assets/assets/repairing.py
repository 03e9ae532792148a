"""Repairing: runs that were kept and are not tracked are reported again, from their record.json.

A run that is older than what its partition shows as last is reported as an observation, so that it does not become the
newest materialisation; it is tracked all the same.
"""

import getpass
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mlops_assets.assets.events import Materialized, metrics_made, not_made, run_made
from mlops_assets.assets.lifecycle import STEPS
from mlops_assets.assets.way import Arrived
from mlops_assets.tracking.lost_runs import LostRuns, lost_runs
from mlops_assets.tracking.record import RECORD_ENTRY, RunRecord
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import MlopsError
from partitions.values import Value
from resources.artifacts import ArtifactStore
from resources.event_log import EventLog, LoggedEvent
from resources.event_storage.entries import AssetEvent
from resources.registration_lock import Busy

# Jobs whose run config says how far they go; any other Dagster run says it by the assets it selects.
LISTED_STEPS = ("train", "retrain", "optimise")
RUN_CREATED_AT = "run_created_at"
PATIENCE = 60.0
AT_ONCE = 500


class Repaired(Value):
    """What a repair found and did.

    materialized, observed: ids of runs reported again, as what. recent: runs too young to be called lost. unreadable:
    why a record.json could not be used, by its path; it was left as it is.
    """

    materialized: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    unreadable: dict[str, str] = {}

    @property
    def runs(self) -> int:
        """How many runs were reported again."""
        return len(self.materialized) + len(self.observed)


def repair(tracker: Tracker, artifacts: ArtifactStore) -> Repaired:
    """Report every lost run again, the newest last. Done twice, or killed and done again, each is reported once.

    Raises MlopsError while another process repairs the same project.
    """
    holder = f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"
    registry = Registry(tracker.event_log, tracker.project)
    try:
        with registry.repair_lock(holder, PATIENCE):
            return _report(tracker, lost_runs(tracker, artifacts))
    except Busy as busy:
        raise MlopsError(f"project {tracker.project!r} is being repaired by another process: let it finish") from busy


def _report(tracker: Tracker, lost: LostRuns) -> Repaired:
    materialized: list[str] = []
    observed: list[str] = []
    reporting = Reporting(tracker.event_log, tracker.project, {record.subproject for record in lost.records})
    for start in range(0, len(lost.records), AT_ONCE):
        events: list[AssetEvent] = []
        for record in lost.records[start : start + AT_ONCE]:
            of_run = reporting.events(record)
            made = isinstance(of_run[0], dg.AssetMaterialization)
            (materialized if made else observed).append(record.run_id)
            events += of_run
        tracker.event_log.store(events)
    return Repaired(
        materialized=tuple(materialized),
        observed=tuple(observed),
        recent=lost.recent,
        unreadable=dict(lost.unreadable),
    )


class Reporting:
    """The events that report runs again. Runs are given oldest first; ``subprojects``: of these."""

    def __init__(self, event_log: EventLog, project: str, subprojects: Iterable[str]) -> None:
        self.event_log = event_log
        self.project = project
        self._subprojects = set(subprojects)
        self._last: dict[str, dict[str, datetime]] = {}
        self._steps_known: dict[str, frozenset[str] | None] = {}

    def events(self, record: RunRecord) -> list[AssetEvent]:
        """The first one holds the record."""
        steps = self._steps(record)
        name = "model" if "model" in steps else "trials" if record.kind == "trial" else "experiments"
        key = dg.AssetKey([self.project, name])
        if record.status != "succeeded":
            return [_observed(key, record, not_made(key, record).metadata)]
        made = run_made(key, record)
        if not self._newest(name, record):
            return [_observed(key, record, made.metadata)]
        events: list[AssetEvent] = [_again(made, record).as_event()]
        if "metrics" in steps and self._newest("metrics", record):
            metrics = metrics_made(self.project, Arrived(record.subproject), record)
            events.append(_again(metrics, record).as_event())
        return events

    def _steps(self, record: RunRecord) -> frozenset[str]:
        """Which assets of the lifecycle the run was for; none for a dev run, a trial or a replay."""
        if record.kind in ("trial", "replay"):
            return frozenset()
        steps = self._selected(record.dagster_run_id) if record.dagster_run_id is not None else None
        if steps is not None:
            return steps
        return frozenset({"model", "metrics"}) if record.kind == "retrain" else frozenset()

    def _selected(self, dagster_run_id: str) -> frozenset[str] | None:
        """The lifecycle's assets that a Dagster run was to make; None where nobody knows that run any more."""
        if dagster_run_id not in self._steps_known:
            run = self.event_log.instance.get_run_by_id(dagster_run_id)
            self._steps_known[dagster_run_id] = None if run is None else _steps_of(run, self.project)
        return self._steps_known[dagster_run_id]

    def _newest(self, asset: str, record: RunRecord) -> bool:
        """Whether the run is newer than what its partition of the asset shows as last; from now on it is the last."""
        if asset not in self._last:
            events = self.event_log.latest((self.project, asset), self._subprojects)
            self._last[asset] = {partition: _made_at(event) for partition, event in events.items()}
        last = self._last[asset].get(record.subproject)
        if last is not None and record.created_at <= last:
            return False
        self._last[asset][record.subproject] = record.created_at
        return True


def _steps_of(run: dg.DagsterRun, project: str) -> frozenset[str]:
    if run.asset_selection:
        selected = {key.path[-1] for key in run.asset_selection if key.path[:-1] == [project]}
        return frozenset(selected & set(STEPS))
    if run.job_name not in LISTED_STEPS:
        return frozenset()
    ops: Any = run.run_config.get("ops", {})
    configs = [op.get("config") or {} for op in ops.values()]
    steps = configs[0].get("steps") if configs else None
    return frozenset(STEPS if steps is None else steps)


def _made_at(event: LoggedEvent) -> datetime:
    """When the run behind an event was made; the event of one reported again is younger than that."""
    if RECORD_ENTRY in event.metadata:
        return RunRecord.model_validate_json(event.metadata[RECORD_ENTRY]).created_at
    if RUN_CREATED_AT in event.metadata:
        return datetime.fromisoformat(event.metadata[RUN_CREATED_AT])
    return datetime.fromtimestamp(event.timestamp, UTC)


def _again(made: Materialized, record: RunRecord) -> Materialized:
    return replace(made, metadata={**made.metadata, **_about(record)})


def _observed(key: dg.AssetKey, record: RunRecord, metadata: Mapping[str, Any]) -> dg.AssetObservation:
    return dg.AssetObservation(key, partition=record.subproject, metadata={**metadata, **_about(record)})


def _about(record: RunRecord) -> dict[str, str]:
    """Why the event is younger than its run. Behind the record, which readers expect to be the first text."""
    return {"reported_again": "by mlops doctor --repair", RUN_CREATED_AT: record.created_at.isoformat()}
