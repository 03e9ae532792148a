"""Dagster's event log as this project reads and writes it: events of one asset, by partition.

The event log is the truth about runs, datasets and configurations. Everything here goes through the public methods of
``DagsterInstance``, so that any storage that Dagster supports will do.
"""

import itertools
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg
from dagster._core.events import (
    BATCH_WRITABLE_EVENTS,
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from resources.home import Home

DATA_VERSION_TAG = "dagster/data_version"
ROOT_RUN_TAG = "dagster/root_run_id"
PAGE = 1000

EventKind = Literal["materialization", "observation"]
AssetEvent = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


@dataclass(frozen=True)
class LoggedEvent:
    """A materialisation or observation of one partition of one asset. ``timestamp`` is in seconds since 1970, UTC."""

    event_id: int
    asset: tuple[str, ...]
    partition: str | None
    kind: EventKind
    run_id: str
    timestamp: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunStep:
    """The step of a Dagster run that events belong to."""

    run_id: str
    job_name: str
    step_key: str

    @classmethod
    def of(cls, context: Any) -> "RunStep":
        """The step that runs in ``context``."""
        return cls(context.run.run_id, context.run.job_name, context.op.name)


@dataclass(frozen=True)
class NotMade:
    """A partition of an asset that a run did not make: Dagster shows it as failed once the run has ended.

    Dagster takes a partition that was planned and not made as failed. Planned events of many partitions are written as
    one without partitions (1,000 cost a minute otherwise), so those that failed are planned here.
    """

    asset: tuple[str, ...]
    partition: str


class EventLog:
    """The events of one Dagster deployment."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    @classmethod
    def open(cls, home: Home) -> "EventLog":
        """The event log that belongs to ``home``; both are made if they are new."""
        home.prepare()
        return cls(dg.DagsterInstance.from_config(str(home.dagster_home)))

    def latest(self, asset: Sequence[str], partitions: Iterable[str] | None = None) -> dict[str, LoggedEvent]:
        """The last materialisation of every partition of ``asset`` (or of those named) that has one."""
        key = dg.AssetKey(list(asset))
        wanted = None if partitions is None else set(partitions)
        ids = self.instance.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions=wanted
        )
        storage_ids = sorted(ids.values())
        events = {}
        for start in range(0, len(storage_ids), PAGE):
            some = dg.AssetRecordsFilter(asset_key=key, storage_ids=storage_ids[start : start + PAGE])
            for record in self.instance.fetch_materializations(some, limit=PAGE).records:
                event = _logged(record, "materialization")
                if event.partition is not None:
                    events[event.partition] = event
        return events

    def latest_data_versions(self, asset: Sequence[str], partitions: Sequence[str] | None = None) -> dict[str, str]:
        """The data version of the last materialisation of every partition of ``asset`` (or of those named).

        One query over the tags: 10,000 partitions cost a fraction of a second, as no event is read.
        """
        tags = self.instance.event_log_storage.get_latest_tags_by_partition(
            dg.AssetKey(list(asset)),
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            [DATA_VERSION_TAG],
            asset_partitions=partitions,
        )
        return {partition: of_partition[DATA_VERSION_TAG] for partition, of_partition in tags.items()}

    def events(
        self, asset: Sequence[str], partitions: Sequence[str] | None = None, kind: EventKind = "materialization"
    ) -> Iterator[LoggedEvent]:
        """All events of ``asset``, oldest first; of the given partitions only, where given."""
        where = dg.AssetRecordsFilter(asset_key=dg.AssetKey(list(asset)), asset_partitions=partitions)
        fetch = self.instance.fetch_materializations if kind == "materialization" else self.instance.fetch_observations
        cursor = None
        while True:
            page = fetch(where, limit=PAGE, cursor=cursor, ascending=True)
            yield from (_logged(record, kind) for record in page.records)
            if not page.has_more:
                return
            cursor = page.cursor

    def materialized_in(self, run_ids: Iterable[str], asset: Sequence[str]) -> set[str]:
        """The partitions of ``asset`` that any of these Dagster runs materialised."""
        key = dg.AssetKey(list(asset))
        done: set[str] = set()
        for run_id in run_ids:
            for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
                event = entry.get_dagster_event()
                if event.asset_key == key and event.partition is not None:
                    done.add(event.partition)
        return done

    def family(self, run_id: str) -> list[str]:
        """The ids of all Dagster runs that re-execute the same first run as ``run_id``, that run among them."""
        run = self.instance.get_run_by_id(run_id)
        root = (run.root_run_id if run else None) or run_id
        again = self.instance.get_run_records(dg.RunsFilter(tags={ROOT_RUN_TAG: root}))
        return [root, *(record.dagster_run.run_id for record in again)]

    def store(self, events: Iterable[AssetEvent | NotMade], step: RunStep | None = None) -> None:
        """Log many events, of a step of a run or outside any run, in batches as far as the storage has them.

        An event is in the log once this returns; of a process that is killed in between, some are and some are not.
        """
        storage = self.instance.event_log_storage
        entries = [_entry(event, step) for event in events]
        for batch, of_this_kind in itertools.groupby(entries, _batchable):
            if batch:
                storage.store_event_batch(list(of_this_kind))
            else:
                for entry in of_this_kind:
                    storage.store_event(entry)


def _batchable(entry: EventLogEntry) -> bool:
    return entry.dagster_event_type in BATCH_WRITABLE_EVENTS


def _entry(event: AssetEvent | NotMade, step: RunStep | None) -> EventLogEntry:
    """The event as Dagster itself would log it."""
    kind, content, message = _content(event)
    step_key = step.step_key if step else None
    logged = DagsterEvent(
        event_type_value=kind.value,
        job_name=step.job_name if step else RUNLESS_JOB_NAME,
        step_key=step_key,
        event_specific_data=content,
        message=message,
        pid=os.getpid(),
    )
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message=message,
        run_id=step.run_id if step else RUNLESS_RUN_ID,
        timestamp=time.time(),
        step_key=step_key,
        job_name=logged.job_name,
        dagster_event=logged,
    )


def _content(event: AssetEvent | NotMade) -> tuple[dg.DagsterEventType, Any, str]:
    if isinstance(event, NotMade):
        planned = AssetMaterializationPlannedData(dg.AssetKey(list(event.asset)), partition=event.partition)
        return dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, planned, "Intends to materialize."
    if isinstance(event, dg.AssetMaterialization):
        return dg.DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event), "Materialized value."
    if isinstance(event, dg.AssetObservation):
        return dg.DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event), "Observed value."
    verdict = "passed" if event.passed else "did not pass"
    message = f"Asset check '{event.check_name}' on '{event.asset_key.to_user_string()}' {verdict}."
    return dg.DagsterEventType.ASSET_CHECK_EVALUATION, event, message


def _logged(record: dg.EventLogRecord, kind: EventKind) -> LoggedEvent:
    entry = record.event_log_entry
    happened = entry.asset_materialization if kind == "materialization" else entry.asset_observation
    if happened is None:
        raise TypeError(f"event {record.storage_id} is no {kind}")
    return LoggedEvent(
        event_id=record.storage_id,
        asset=tuple(happened.asset_key.path),
        partition=happened.partition,
        kind=kind,
        run_id=entry.run_id,
        timestamp=entry.timestamp,
        metadata={name: value.value for name, value in happened.metadata.items()},
        tags=dict(happened.tags or {}),
    )
