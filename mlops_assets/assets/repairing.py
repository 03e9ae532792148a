"""Runs whose record.json was kept and whose event is gone, reported again.

A process that is killed between the two leaves such a run; so does wiping an asset's materialisations in the web UI.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg
from pydantic import ValidationError

from mlops_assets.assets.events import experiment_events, metrics_made, model_made, not_made, seen_again, trial_event
from mlops_assets.assets.way import Arrived
from mlops_assets.tracking.failures import EXPERIMENT
from mlops_assets.tracking.record import RunRecord, now
from partitions.errors import MlopsError
from resources.artifacts import ArtifactStore
from resources.event_log import EventLog

# A record is written a moment before its event: what is as young as this may be on its way.
ON_ITS_WAY = timedelta(minutes=1)

TrackedEvent = dg.AssetMaterialization | dg.AssetObservation


@dataclass(frozen=True)
class LostRuns:
    """Runs without an event, oldest first, and documents that hold no record (path: why)."""

    records: tuple[RunRecord, ...]
    unreadable: dict[str, str]


def lost_runs(artifacts: ArtifactStore, project: str, tracked: Iterable[str]) -> LostRuns:
    """What was kept of a project's runs and is not among the ``tracked`` run ids."""
    known = set(tracked)
    records, unreadable = [], {}
    for path in artifacts.list_documents(f"runs/{project}"):
        if path.split("/")[-2] in known:
            continue
        try:
            record = RunRecord.model_validate_json(artifacts.read_document(path))
        except (ValidationError, MlopsError, UnicodeDecodeError) as error:
            unreadable[path] = " ".join(str(error).split())[:200]
            continue
        if now() - record.created_at > ON_ITS_WAY:
            records.append(record)
    return LostRuns(tuple(sorted(records, key=lambda record: record.created_at)), unreadable)


def report_again(event_log: EventLog, lost: Iterable[RunRecord], newest: Mapping[str, datetime]) -> int:
    """Log the events of lost runs again; return how many runs that were.

    ``newest``: when the last tracked run of each subproject was made. An older one is reported as an observation: the
    last materialisation of an asset stays that of its last run.
    """
    records = list(lost)
    event_log.store(event for record in records for event in _events(event_log, record, newest))
    return len(records)


def _events(event_log: EventLog, record: RunRecord, newest: Mapping[str, datetime]) -> list[TrackedEvent]:
    if record.kind == "trial":
        event = trial_event(record.project, record)
        return [event if isinstance(event, dg.AssetObservation) else seen_again(event.asset_key, record)]
    asset = _asset_of(event_log, record)
    key = dg.AssetKey([record.project, asset])
    last = newest.get(record.subproject)
    if record.status == "failed":
        return [not_made(key, record)]
    if record.status != "succeeded" or (last is not None and record.created_at <= last):
        return [seen_again(key, record)]
    arrived = Arrived(record.subproject, records=(record,))
    if asset == "experiments":
        return list(experiment_events(record.project, arrived))
    made = (model_made(record.project, record), metrics_made(record.project, arrived, record))
    return [one.as_event() for one in made]


def _asset_of(event_log: EventLog, record: RunRecord) -> str:
    """Where the run was tracked: the record does not say it, the Dagster run that made it does."""
    if record.kind != "dev" or record.dagster_run_id is None:
        return "experiments"
    run = event_log.instance.get_run_by_id(record.dagster_run_id)
    return "experiments" if run is None or run.job_name == EXPERIMENT else "model"
