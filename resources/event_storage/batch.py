"""Many events as a few statements inside one transaction, leaving the rows that Dagster's own storage would leave."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as db
from dagster._core.definitions.events import AssetKey
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from sqlalchemy.engine import Connection

# Partitions asked for in one statement: far below the variables that any database takes.
ASKED_AT_ONCE = 500

Item = TypeVar("Item")
CheckRowKey = tuple[str, str, str, str | None]


@dataclass(frozen=True)
class Row:
    """An event and its row in the event table. The row holds the serialised event: the costly part, done once."""

    event: EventLogEntry
    values: dict[str, Any]

    @property
    def kind(self) -> DagsterEventType | None:
        return self.event.dagster_event_type

    @property
    def asset_key(self) -> AssetKey | None:
        return self.event.dagster_event.asset_key if self.event.dagster_event else None


@dataclass(frozen=True)
class Numbered:
    """A row and the id that the event table gave it."""

    row: Row
    event_id: int


class BatchOfEvents:
    """Writes rows into the tables that answer questions across runs. The caller owns the transaction."""

    def __init__(self, storage: SqlEventLogStorage, connection: Connection) -> None:
        self._storage = storage
        self._connection = connection

    def store(self, rows: Sequence[Row]) -> None:
        """All of it, the rows that other writers update too last, so that these wait for each other as short as can be.

        Assets are updated in the order of their names: two batches never wait for each other in a circle.
        """
        numbered = self._insert_events(rows)
        of_assets = [one for one in numbered if one.row.kind in ASSET_EVENTS and one.row.asset_key is not None]
        self._insert_tags(of_assets)
        of_checks = [one for one in numbered if one.row.kind in ASSET_CHECK_EVENTS]
        if of_checks:
            CheckRows(self._storage, self._connection).store(of_checks)
        for asset_key, values in sorted(self._asset_values(of_assets).items()):
            self._upsert_asset(asset_key, values)

    def _insert_events(self, rows: Sequence[Row]) -> list[Numbered]:
        statement = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        ids = self._connection.execute(statement, [row.values for row in rows]).scalars().all()
        return [Numbered(row, event_id) for row, event_id in zip(rows, ids, strict=True)]

    def _insert_tags(self, of_assets: Sequence[Numbered]) -> None:
        values = [
            {
                "event_id": one.event_id,
                "asset_key": one.row.values["asset_key"],
                "key": key,
                "value": value,
                "event_timestamp": one.row.values["timestamp"],
            }
            for one in of_assets
            for key, value in self._storage._tags_for_asset_event(one.row.event).items()
        ]
        # A database that was made by an old Dagster and not migrated yet has no such table; reading says so.
        if values and self._storage.has_table(AssetEventTagsTable.name):
            self._connection.execute(AssetEventTagsTable.insert(), values)

    def _asset_values(self, of_assets: Sequence[Numbered]) -> dict[str, dict[str, Any]]:
        """What the asset table says of each asset after all its events, oldest first, each over the one before.

        Only the last event of each kind counts, and only that one is serialised.
        """
        last: dict[str, dict[str, Numbered]] = {}
        for one in of_assets:
            of_asset = last.setdefault(one.row.values["asset_key"], {})
            kind = one.row.values["dagster_event_type"]
            of_asset.pop(kind, None)
            of_asset[kind] = one
        has_columns = bool(last) and self._storage._has_asset_key_index_cols_on_connection(self._connection)
        merged: dict[str, dict[str, Any]] = {}
        for asset_key, by_kind in last.items():
            merged[asset_key] = {}
            for one in by_kind.values():
                values = self._storage._get_asset_entry_values(one.row.event, one.event_id, has_columns)
                merged[asset_key].update(values)
        return merged

    def _upsert_asset(self, asset_key: str, values: dict[str, Any]) -> None:
        if self._connection.dialect.name == "postgresql":
            self._upsert_on_postgres(asset_key, values)
        elif values:
            from sqlalchemy.dialects.sqlite import insert

            statement = insert(AssetKeyTable).values(asset_key=asset_key, **values)
            self._connection.execute(
                statement.on_conflict_do_update(index_elements=[AssetKeyTable.c.asset_key], set_=values)
            )

    def _upsert_on_postgres(self, asset_key: str, values: dict[str, Any]) -> None:
        from sqlalchemy.dialects.postgresql import insert

        # Here, unlike on SQLite, Dagster makes a row also for an event that says no more than that the asset exists.
        statement = insert(AssetKeyTable).values(asset_key=asset_key, **values)
        by_key = [AssetKeyTable.c.asset_key]
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=by_key, set_=values)
            if values
            else statement.on_conflict_do_nothing()
        )


class CheckRows:
    """The table of executions of asset checks: a row is planned, then evaluated, per check, run and partition."""

    def __init__(self, storage: SqlEventLogStorage, connection: Connection) -> None:
        self._storage = storage
        self._connection = connection

    def store(self, of_checks: Sequence[Numbered]) -> None:
        """Rows as if the events had come one by one. Raises as Dagster does for a check planned twice in one run."""
        if not self._storage.supports_asset_checks:
            raise DagsterInvariantViolationError(
                "Asset checks require a database schema migration. Run `dagster instance migrate`."
            )
        stored = self._stored(one for one in of_checks if _is_evaluation(one))
        inserts: list[dict[str, Any]] = []
        updates: dict[int, dict[str, Any]] = {}
        pending: dict[CheckRowKey, list[dict[str, Any]]] = {}
        for one in of_checks:
            if not _is_evaluation(one):
                for row in _planned_rows(one):
                    inserts.append(row)
                    pending.setdefault(_key_of(row), []).append(row)
                continue
            row = _evaluated_row(one)
            key = _key_of(row)
            found = len(stored.get(key, [])) + len(pending.get(key, []))
            if found > 1:
                raise DagsterInvariantViolationError(
                    f"Updated {found} rows for asset check evaluation {_evaluation(one).asset_check_key} "
                    "as a result of duplicate AssetCheckPlanned events."
                )
            if key in stored:
                updates[stored[key][0]] = row
            elif key in pending:
                pending[key][0].update(row)
            else:
                inserts.append(row)
                if row["run_id"]:
                    pending.setdefault(key, []).append(row)
        self._write(inserts, updates)

    def _write(self, inserts: list[dict[str, Any]], updates: dict[int, dict[str, Any]]) -> None:
        if inserts:
            self._connection.execute(AssetCheckExecutionsTable.insert(), inserts)
        if updates:
            statement = AssetCheckExecutionsTable.update().where(AssetCheckExecutionsTable.c.id == db.bindparam("row"))
            self._connection.execute(statement, [{"row": at, **values} for at, values in sorted(updates.items())])

    def _stored(self, evaluations: Iterable[Numbered]) -> dict[CheckRowKey, list[int]]:
        """The ids of rows that these evaluations of runs will find."""
        groups: dict[tuple[str, str, str], set[str | None]] = {}
        for one in evaluations:
            asset_key, check_name, run_id, partition = _key_of(_evaluated_row(one))
            if run_id:
                groups.setdefault((asset_key, check_name, run_id), set()).add(partition)
        found: dict[CheckRowKey, list[int]] = {}
        for (asset_key, check_name, run_id), partitions in groups.items():
            for where in _partition_clauses(partitions):
                query = db.select(AssetCheckExecutionsTable.c.id, AssetCheckExecutionsTable.c.partition).where(
                    AssetCheckExecutionsTable.c.asset_key == asset_key,
                    AssetCheckExecutionsTable.c.check_name == check_name,
                    AssetCheckExecutionsTable.c.run_id == run_id,
                    where,
                )
                for row_id, partition in self._connection.execute(query):
                    found.setdefault((asset_key, check_name, run_id, partition), []).append(row_id)
        return found


def _is_evaluation(one: Numbered) -> bool:
    return one.row.kind == DagsterEventType.ASSET_CHECK_EVALUATION


def _evaluation(one: Numbered) -> Any:
    return one.row.event.get_dagster_event().event_specific_data


def _key_of(row: dict[str, Any]) -> CheckRowKey:
    return row["asset_key"], row["check_name"], row["run_id"], row["partition"]


def _planned_rows(one: Numbered) -> Iterator[dict[str, Any]]:
    planned = _evaluation(one)
    partitions = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
    for partition in partitions:
        yield {
            **_row(one, planned, AssetCheckExecutionRecordStatus.PLANNED),
            "partition": partition,
            "materialization_event_storage_id": None,
        }


def _evaluated_row(one: Numbered) -> dict[str, Any]:
    evaluation = _evaluation(one)
    passed = AssetCheckExecutionRecordStatus.SUCCEEDED if evaluation.passed else AssetCheckExecutionRecordStatus.FAILED
    target = evaluation.target_materialization_data
    return {
        **_row(one, evaluation, passed),
        "partition": evaluation.partition,
        "materialization_event_storage_id": target.storage_id if target else None,
    }


def _row(one: Numbered, of_check: Any, status: AssetCheckExecutionRecordStatus) -> dict[str, Any]:
    return {
        "asset_key": of_check.asset_key.to_string(),
        "check_name": of_check.check_name,
        "run_id": one.row.event.run_id,
        "execution_status": status.value,
        "evaluation_event": one.row.values["event"],
        "evaluation_event_timestamp": one.row.values["timestamp"],
        "evaluation_event_storage_id": one.event_id,
    }


def _partition_clauses(partitions: set[str | None]) -> Iterator[Any]:
    column = AssetCheckExecutionsTable.c.partition
    if None in partitions:
        yield column.is_(None)
    named = iter(sorted(partition for partition in partitions if partition is not None))
    while some := list(islice(named, ASKED_AT_ONCE)):
        yield column.in_(some)
