"""Dagster's event log as this project reads and writes it: events of one asset, by partition.

The event log is the truth about runs, datasets and configurations. Everything here goes through the public methods of
``DagsterInstance``, so that any storage that Dagster supports will do.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from dagster._core.events import BATCH_WRITABLE_EVENTS
from dagster._core.events.log import EventLogEntry

from resources.event_storage.entries import AssetEvent, NotMade, RunStep, entries
from resources.home import Home

if TYPE_CHECKING:
    from dagster._core.storage.event_log import SqlEventLogStorage

# Dagster's storages and SQLAlchemy are imported where they are used: they take as long to load as all of Dagster, and
# a code location that is only described needs neither.

DATA_VERSION_TAG = "dagster/data_version"
ROOT_RUN_TAG = "dagster/root_run_id"
PAGE = 1000

_KINDS = (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION)
EventKind = Literal["materialization", "observation"]


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


class EventLog:
    """The events of one Dagster deployment."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    @classmethod
    def open(cls, home: Home) -> "EventLog":
        """The event log that belongs to ``home``; both are made if they are new."""
        from dagster._core.instance.ref import InstanceRef

        from resources.event_storage.configured import placed

        home.prepare()
        folder = str(home.dagster_home)
        return cls(dg.DagsterInstance.from_ref(placed(InstanceRef.from_dir(folder), folder)))

    def latest(self, asset: Sequence[str], partitions: Iterable[str] | None = None) -> dict[str, LoggedEvent]:
        """The last materialisation of every partition of ``asset`` (or of those named) that has one."""
        key = dg.AssetKey(list(asset))
        wanted = None if partitions is None else set(partitions)
        if wanted is not None and not wanted:
            return {}  # Dagster takes none as all
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
        if partitions is not None and not partitions:
            return {}
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

    def before(self, asset: Sequence[str], partition: str, event_id: int) -> LoggedEvent | None:
        """The last event of a partition of ``asset`` that is older than this one, materialisation or observation."""
        where = dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(list(asset)), asset_partitions=[partition], before_storage_id=event_id
        )
        made = self.instance.fetch_materializations(where, limit=1).records
        seen = self.instance.fetch_observations(where, limit=1).records
        found = [*(_logged(r, "materialization") for r in made), *(_logged(r, "observation") for r in seen)]
        return max(found, key=lambda event: event.event_id, default=None)

    def materialized_in(self, run_ids: Iterable[str], asset: Sequence[str]) -> set[str]:
        """The partitions of ``asset`` that any of these Dagster runs materialised."""
        return self._happened_in(run_ids, asset, dg.DagsterEventType.ASSET_MATERIALIZATION)

    def observed_in(self, run_ids: Iterable[str], asset: Sequence[str]) -> set[str]:
        """The partitions of ``asset`` that any of these Dagster runs observed."""
        return self._happened_in(run_ids, asset, dg.DagsterEventType.ASSET_OBSERVATION)

    def _happened_in(self, run_ids: Iterable[str], asset: Sequence[str], kind: dg.DagsterEventType) -> set[str]:
        from dagster._core.storage.event_log import SqlEventLogStorage

        key = dg.AssetKey(list(asset))
        storage = self.instance.event_log_storage
        if isinstance(storage, SqlEventLogStorage):
            return _happened_in(storage, list(run_ids), key, kind)
        done: set[str] = set()
        for run_id in run_ids:
            for entry in self.instance.all_logs(run_id, of_type=kind):
                event = entry.get_dagster_event()
                if event.asset_key == key and event.partition is not None:
                    done.add(event.partition)
        return done

    def latest_evaluations(self, check: dg.AssetCheckKey) -> list[tuple[dg.AssetCheckEvaluation, float]]:
        """The last evaluation of an asset check on every partition that has one, with its time (seconds since 1970)."""
        from dagster._core.storage.event_log import SqlEventLogStorage

        storage = self.instance.event_log_storage
        if isinstance(storage, SqlEventLogStorage):
            return _latest_evaluations(storage, check)
        latest: dict[str | None, tuple[dg.AssetCheckEvaluation, float]] = {}
        for record in storage.get_asset_check_execution_history(check, limit=PAGE):
            happened = record.event.dagster_event if record.event is not None else None
            if happened is not None and happened.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                evaluation = happened.asset_check_evaluation_data
                latest.setdefault(evaluation.partition, (evaluation, record.create_timestamp))
        return list(latest.values())

    def noted_in(self, run_id: str) -> list[LoggedEvent]:
        """What a Dagster run materialised and observed, oldest first.

        Asked of the index, the truth about assets; on SQLite the log of a run may lack what a killed process wrote.
        """
        from dagster._core.storage.event_log import SqlEventLogStorage

        storage = self.instance.event_log_storage
        if isinstance(storage, SqlEventLogStorage):
            noted = _noted_in(storage, run_id)
        else:
            records = self.instance.get_records_for_run(run_id, of_type=set(_KINDS)).records
            noted = [(record.storage_id, record.event_log_entry) for record in records]
        return [
            _logged_entry(event_id, entry, "materialization" if entry.asset_materialization else "observation")
            for event_id, entry in noted
        ]

    def family(self, run_id: str) -> list[str]:
        """The ids of all Dagster runs that re-execute the same first run as ``run_id``, that run among them."""
        run = self.instance.get_run_by_id(run_id)
        root = (run.root_run_id if run else None) or run_id
        again = self.instance.get_run_records(dg.RunsFilter(tags={ROOT_RUN_TAG: root}))
        return [root, *(record.dagster_run.run_id for record in again)]

    def store(self, events: Iterable[AssetEvent | NotMade], step: RunStep | None = None) -> None:
        """Log many events, of a step of a run or outside any run.

        Once this returns, all of them are in the log. With the storage of a home, all or none are: a process killed
        meanwhile leaves none that asset queries find. Stock storages take them in batches as far as these allow.
        """
        logged = entries(events, step)
        storage = self.instance.event_log_storage
        if getattr(storage, "takes_mixed_batches", False):
            storage.store_event_batch(logged)
            return
        for batch, of_this_kind in itertools.groupby(logged, _batchable):
            if batch:
                storage.store_event_batch(list(of_this_kind))
            else:
                for entry in of_this_kind:
                    storage.store_event(entry)


def _happened_in(
    storage: "SqlEventLogStorage", run_ids: list[str], key: dg.AssetKey, kind: dg.DagsterEventType
) -> set[str]:
    """Asked of the index, the truth about assets; on SQLite the log of a run may lack what a killed process wrote."""
    import sqlalchemy as db
    from dagster._core.storage.event_log import SqlEventLogStorageTable

    column = SqlEventLogStorageTable.c
    query = db.select(column.partition).where(
        column.asset_key == key.to_string(),
        column.dagster_event_type == kind.value,
        column.run_id.in_(run_ids),
        column.partition.is_not(None),
    )
    with storage.index_connection() as connection:
        return set(connection.execute(query).scalars())


def _latest_evaluations(
    storage: "SqlEventLogStorage", check: dg.AssetCheckKey
) -> list[tuple[dg.AssetCheckEvaluation, float]]:
    """Read in one query: Dagster's own questions are of one partition each."""
    import sqlalchemy as db
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._serdes import deserialize_value

    column = AssetCheckExecutionsTable.c
    evaluated = db.and_(
        column.asset_key == check.asset_key.to_string(),
        column.check_name == check.name,
        column.execution_status.in_(("SUCCEEDED", "FAILED")),
    )
    last = db.select(db.func.max(column.id)).where(evaluated).group_by(column.partition)
    query = db.select(column.evaluation_event).where(column.id.in_(last))
    with storage.index_connection() as connection:
        texts = list(connection.execute(query).scalars())
    entries = [deserialize_value(text, EventLogEntry) for text in texts]
    return [(entry.get_dagster_event().asset_check_evaluation_data, entry.timestamp) for entry in entries]


def _noted_in(storage: "SqlEventLogStorage", run_id: str) -> list[tuple[int, EventLogEntry]]:
    import sqlalchemy as db
    from dagster._core.storage.event_log import SqlEventLogStorageTable
    from dagster._serdes import deserialize_value

    column = SqlEventLogStorageTable.c
    of_run = (column.run_id == run_id, column.dagster_event_type.in_([kind.value for kind in _KINDS]))
    query = db.select(column.id, column.event).where(*of_run, column.asset_key.is_not(None)).order_by(column.id)
    with storage.index_connection() as connection:
        rows = connection.execute(query).fetchall()
    return [(row[0], deserialize_value(row[1], EventLogEntry)) for row in rows]


def _batchable(entry: EventLogEntry) -> bool:
    return entry.dagster_event_type in BATCH_WRITABLE_EVENTS


def _logged(record: dg.EventLogRecord, kind: EventKind) -> LoggedEvent:
    return _logged_entry(record.storage_id, record.event_log_entry, kind)


def _logged_entry(event_id: int, entry: EventLogEntry, kind: EventKind) -> LoggedEvent:
    happened = entry.asset_materialization if kind == "materialization" else entry.asset_observation
    if happened is None:
        raise TypeError(f"event {event_id} is no {kind}")
    return LoggedEvent(
        event_id=event_id,
        asset=tuple(happened.asset_key.path),
        partition=happened.partition,
        kind=kind,
        run_id=entry.run_id,
        timestamp=entry.timestamp,
        metadata={name: value.value for name, value in happened.metadata.items()},
        tags=dict(happened.tags or {}),
    )
