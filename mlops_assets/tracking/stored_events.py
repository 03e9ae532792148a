"""Where events come from: the rows of a database, or Dagster's own reader.

Dagster's reader builds an object of every event: 2,000 a second. The index needs one text of each, so where the event
log is in a database (SQLite, Postgres) the stored rows are read; any other storage is read through Dagster.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.assets import AssetDetails
from dagster._core.definitions.asset_key import AssetKey
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.legacy_storage import LegacyEventLogStorage
from dagster._serdes import deserialize_value, serialize_value

from mlops_assets.tracking.event_source import BLOCK, EventSource, StoredEvent, Tally, microseconds, tally
from resources.event_log import EventLog

AT_ONCE = 500
EVENT_TYPES = (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION)


def event_source(event_log: EventLog, assets: Sequence[tuple[str, str]]) -> EventSource:
    """The events of ``assets``, read in the fastest way that the storage of ``event_log`` allows."""
    keys = [AssetKey(list(asset)) for asset in assets]
    storage = event_log.instance.event_log_storage
    if isinstance(storage, LegacyEventLogStorage):
        storage = storage._storage.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        return SqlEvents(storage, keys)
    return FetchedEvents(event_log.instance, keys)


class SqlEvents:
    """Events in a database, through the storage's own connections."""

    def __init__(self, storage: SqlEventLogStorage, assets: Sequence[AssetKey]) -> None:
        self._storage = storage
        self._assets = [asset.to_string() for asset in assets]
        self._table = SqlEventLogStorageTable.c
        self._tracked = sa.and_(
            self._table.asset_key.in_(self._assets),
            self._table.dagster_event_type.in_([kind.value for kind in EVENT_TYPES]),
        )

    def total(self) -> Tally:
        mixed = sa.func.sum(sa.cast(_mixed(self._table.id), sa.Integer))
        ((count, total),) = self._rows(sa.select(sa.func.count(), mixed).where(self._tracked))
        return Tally(int(count), int(total or 0))

    def blocks(self) -> dict[int, Tally]:
        block = (self._table.id // BLOCK).label("block")
        mixed = sa.func.sum(sa.cast(_mixed(self._table.id), sa.Integer))
        query = sa.select(block, sa.func.count(), mixed).where(self._tracked).group_by(block)
        return {int(block): Tally(int(count), int(mixed)) for block, count, mixed in self._rows(query)}

    def ids(self, first: int, end: int) -> list[int]:
        query = sa.select(self._table.id).where(self._tracked, self._between(first, end))
        return sorted(row[0] for row in self._rows(query))

    def read(self, first: int, end: int) -> list[StoredEvent]:
        table = self._table
        query = sa.select(table.id, table.asset_key, table.timestamp, table.event)
        # Sorted here: the database would carry every event's text through its sort, four times as slow.
        rows = self._rows(query.where(self._tracked, self._between(first, end)))
        return sorted(StoredEvent(row[0], row[1], microseconds(row[2]), row[3]) for row in rows)

    def texts(self, ids: Sequence[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        for start in range(0, len(ids), AT_ONCE):
            some = self._table.id.in_(list(ids[start : start + AT_ONCE]))
            query = sa.select(self._table.id, self._table.event, self._table.asset_key).where(some)
            found.update({row[0]: row[1] for row in self._rows(query) if row[2] in self._assets})
        return found

    def wiped(self) -> dict[str, int]:
        query = sa.select(AssetKeyTable.c.asset_key, AssetKeyTable.c.asset_details)
        rows = self._rows(query.where(AssetKeyTable.c.asset_key.in_(self._assets)))
        return _wipes({row[0]: row[1] for row in rows})

    def _between(self, first: int, end: int) -> Any:
        return sa.and_(self._table.id >= first, self._table.id < end)

    def _rows(self, query: Any) -> Sequence[Any]:
        with self._storage.index_connection() as connection:
            rows: Sequence[Any] = connection.execute(query).fetchall()
            return rows


class FetchedEvents:
    """Events of a storage that is not a database of Dagster's making: right, but every answer reads everything."""

    def __init__(self, instance: dg.DagsterInstance, assets: Sequence[AssetKey]) -> None:
        self._instance = instance
        self._assets = assets

    def total(self) -> Tally:
        return tally(event.event_id for event in self._all())

    def blocks(self) -> dict[int, Tally]:
        by_block: dict[int, list[int]] = {}
        for event in self._all():
            by_block.setdefault(event.event_id // BLOCK, []).append(event.event_id)
        return {block: tally(ids) for block, ids in by_block.items()}

    def ids(self, first: int, end: int) -> list[int]:
        return [event.event_id for event in self.read(first, end)]

    def read(self, first: int, end: int) -> list[StoredEvent]:
        return [event for event in self._all() if first <= event.event_id < end]

    def texts(self, ids: Sequence[int]) -> dict[int, str]:
        wanted = set(ids)
        return {event.event_id: event.text for event in self._all() if event.event_id in wanted}

    def wiped(self) -> dict[str, int]:
        return {}  # Dagster leaves wiped events out itself

    def _all(self) -> list[StoredEvent]:
        events = [event for asset in self._assets for kind in EVENT_TYPES for event in self._of(asset, kind)]
        return sorted(events)

    def _of(self, asset: AssetKey, kind: dg.DagsterEventType) -> Iterable[StoredEvent]:
        materialized = kind is dg.DagsterEventType.ASSET_MATERIALIZATION
        fetch = self._instance.fetch_materializations if materialized else self._instance.fetch_observations
        cursor = None
        while True:
            page = fetch(asset, limit=AT_ONCE, cursor=cursor, ascending=True)
            for record in page.records:
                entry = record.event_log_entry
                time = microseconds(datetime.fromtimestamp(entry.timestamp, UTC).replace(tzinfo=None))
                yield StoredEvent(record.storage_id, asset.to_string(), time, serialize_value(entry))
            if not page.has_more:
                return
            cursor = page.cursor


def _mixed(event_id: Any) -> Any:
    """``tally`` of one id as SQL. No step leaves 64 bits; the result fits 32, so that Postgres sums it as integers."""
    x = event_id % 1_000_003
    return (((x * x) % 2_147_483_647) * x) % 998_244_353


def _wipes(details: dict[str, str | None]) -> dict[str, int]:
    times = {}
    for asset, text in details.items():
        last = deserialize_value(text, AssetDetails).last_wipe_timestamp if text else None
        if last:
            times[asset] = microseconds(datetime.fromtimestamp(last, UTC).replace(tzinfo=None))
    return times
