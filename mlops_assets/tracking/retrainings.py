"""Retrainings as Dagster runs: which were started for which due times, and which are still running."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from partitions.errors import MlopsError

RETRAIN_JOB = "retrain"
RETRAIN_OP = "retrain_each"
PROJECT_TAG = "mlops/project"
CURSOR_TAG = "mlops/cursor"
HOURS_SETTING = "MLOPS_RETRAIN_HOURS"
HOURS = 24.0

Key = tuple[str, str]


@dataclass(frozen=True)
class Retraining:
    """One Dagster run of the job ``retrain``. ``due``: the time for which each subproject was due, where one was."""

    dagster_run_id: str
    status: dg.DagsterRunStatus
    created_at: datetime
    ended_at: datetime | None
    stage: str
    reason: str
    subprojects: tuple[str, ...]
    due: dict[str, datetime] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[Key]:
        return [(subproject, self.stage) for subproject in self.subprojects]

    @property
    def running(self) -> bool:
        return self.status in NOT_FINISHED_STATUSES


def retrainings(
    instance: dg.DagsterInstance, project: str, *, since: datetime | None = None, limit: int | None = None
) -> list[Retraining]:
    """The retrainings of a project that were created since then, the last one first."""
    created = since - timedelta(seconds=1) if since else None
    return _of(instance, project, dg.RunsFilter(job_name=RETRAIN_JOB, created_after=created), limit)


def running_retrainings(instance: dg.DagsterInstance, project: str, now: datetime) -> list[Retraining]:
    """Those that have not ended. One that is older than MLOPS_RETRAIN_HOURS (24) counts as ended: its process may have
    been killed where nobody could say so."""
    where = dg.RunsFilter(job_name=RETRAIN_JOB, statuses=list(NOT_FINISHED_STATUSES))
    longest = timedelta(hours=longest_hours())
    return [run for run in _of(instance, project, where, None) if abs(now - run.created_at) < longest]


def ended_retrainings(instance: dg.DagsterInstance, project: str, since: datetime) -> list[Retraining]:
    """Those that have failed or were cancelled since then."""
    statuses = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    return _of(instance, project, dg.RunsFilter(job_name=RETRAIN_JOB, statuses=statuses, updated_after=since), None)


def last_with_cursor(instance: dg.DagsterInstance, project: str) -> Retraining | None:
    """The last retraining that the sensor started, with the cursor that it then had."""
    where = dg.RunsFilter(job_name=RETRAIN_JOB, tags={PROJECT_TAG: project})
    return next((run for run in _of(instance, project, where, 100) if CURSOR_TAG in run.tags), None)


def longest_hours() -> float:
    text = os.environ.get(HOURS_SETTING) or str(HOURS)
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not hours > 0:
        raise MlopsError(f"{HOURS_SETTING} is {text!r}; expected a number of hours above 0, such as {HOURS:g}")
    return hours


def _of(instance: dg.DagsterInstance, project: str, where: dg.RunsFilter, limit: int | None) -> list[Retraining]:
    records = instance.get_run_records(where, limit=limit)
    read = (_read(record) for record in records if record.dagster_run.tags.get(PROJECT_TAG, project) == project)
    return [run for run in read if run is not None]


def _read(record: dg.RunRecord) -> Retraining | None:
    run = record.dagster_run
    fields = dict(_fields(run.run_config))
    if "stage" not in fields:
        return None  # another project's job of this name, or one without what makes it a retraining
    ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else None
    return Retraining(
        dagster_run_id=run.run_id,
        status=run.status,
        created_at=record.create_timestamp.astimezone(UTC),
        ended_at=ended,
        stage=str(fields["stage"]),
        reason=str(fields.get("reason") or "person"),
        subprojects=tuple(fields.get("subprojects") or ()),
        due={key: datetime.fromisoformat(text) for key, text in (fields.get("due") or {}).items()},
        tags=dict(run.tags),
    )


def _fields(run_config: Any) -> Iterable[tuple[str, Any]]:
    ops = dict(run_config or {}).get("ops") or {}
    config: dict[str, Any] = (ops.get(RETRAIN_OP) or {}).get("config") or {}
    return config.items()
