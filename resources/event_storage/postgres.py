"""Dagster's Postgres storage with pooled connections and batches written as batches.

A batch is one transaction. All that store events take turns, from the first insertion to the commit: so ids become
visible in their order, and a reader that goes on after the last id it saw misses nothing.
"""

import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as db
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.schema import SecondaryIndexMigrationTable
from dagster._core.storage.runs import RunStorageSqlMetadata
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.schedules.migration import SCHEDULE_TICKS_SELECTOR_ID as LAST_MARK
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import check_alembic_revision, stamp_alembic_rev
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.event_log import event_log
from dagster_postgres.utils import (
    create_pg_engine,
    pg_alembic_config,
    retry_pg_connection_fn,
    set_pg_statement_timeout,
)
from sqlalchemy.engine import Connection, Engine

from resources.event_storage.batch import BatchOfEvents, Row
from resources.event_storage.schema_memory import SchemaMemory

# Any two numbers do, if nobody else uses them in this database.
LOCK_OF_WRITERS = 7_236_401
LOCK_OF_OPENING = 7_236_402
IDLE_SECONDS = 60
CONNECTIONS_AT_MOST = 10
# The first server version that ends idle sessions by itself.
ENDS_IDLE_SESSIONS = 140_000

Storages = tuple[PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage]


def open_database(postgres_url: str) -> Storages:
    """Runs, events and schedules in the tables of one database, made first where there are none.

    Processes that open an empty database at once wait for the one that makes the tables; what a process killed
    meanwhile has left is completed by the next.
    """
    engine = pooled_engine(postgres_url)
    storages = (
        PooledPostgresRunStorage(postgres_url, should_autocreate_tables=False),
        PooledPostgresEventLogStorage(postgres_url, should_autocreate_tables=False),
        PooledPostgresScheduleStorage(postgres_url, should_autocreate_tables=False),
    )
    for storage in storages:
        storage.use(engine)
    if not _is_made(engine):
        with _alone(engine):
            if not _is_made(engine):
                _make(engine, storages)
    return storages


def _is_made(engine: Engine) -> bool:
    """Whether the tables are there, and an empty database has the mark that is set last when one is made."""
    there = retry_pg_connection_fn(lambda: db.inspect(engine).get_table_names())
    if not {"event_logs", "runs", "jobs"} <= set(there):
        return False
    marked = db.select(SecondaryIndexMigrationTable.c.id).where(SecondaryIndexMigrationTable.c.name == LAST_MARK)
    with engine.connect() as connection:
        # An old database that was never migrated lacks the mark too: what it holds is a person's to migrate.
        is_marked = connection.execute(marked.limit(1)).first() is not None
        return is_marked or connection.execute(db.select(RunsTable.c.id).limit(1)).first() is not None


def _make(engine: Engine, storages: Storages) -> None:
    """All tables in one transaction; then the marks of data migrations, which a new database has none of to do."""
    in_a_transaction = engine.execution_options(isolation_level="READ COMMITTED")
    with in_a_transaction.begin() as connection:
        for tables in (SqlEventLogStorageMetadata, RunStorageSqlMetadata, ScheduleStorageSqlMetadata):
            tables.create_all(connection)
        alembic = pg_alembic_config(event_log.__file__)
        if check_alembic_revision(alembic, connection)[0] is None:
            stamp_alembic_rev(alembic, connection)
    runs, events, schedules = storages
    events.reindex_events()
    events.reindex_assets()
    for storage in (runs, schedules):
        storage.migrate()
        storage.optimize()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """No other process is in this block for the same database."""
    with engine.connect() as connection:
        connection.execute(db.select(db.func.pg_advisory_lock(LOCK_OF_OPENING)))
        try:
            yield
        finally:
            connection.execute(db.select(db.func.pg_advisory_unlock(LOCK_OF_OPENING)))


def pooled_engine(
    postgres_url: str, recycle_seconds: int = -1, overflow: int = CONNECTIONS_AT_MOST - 1, statement_timeout: int = 0
) -> Engine:
    """Keeps one connection, asks whether it still lives before it is used, and lets the server end it when idle.

    More are opened while threads need them at once, and closed after. In a forked child none of the parent's is used.
    """
    engine = create_pg_engine(
        postgres_url,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=overflow,
        pool_pre_ping=True,
        pool_recycle=recycle_seconds,
    )

    def prepare(connection: Any, _record: Any) -> None:
        if connection.server_version >= ENDS_IDLE_SESSIONS:
            with connection.cursor() as cursor:
                cursor.execute(f"SET idle_session_timeout = '{IDLE_SECONDS}s'")
            connection.commit()
        if statement_timeout:
            set_pg_statement_timeout(connection, statement_timeout)

    db.event.listen(engine, "connect", prepare)
    _ALIVE.add(engine)
    return engine


_ALIVE: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def _in_child() -> None:
    for engine in list(_ALIVE):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_in_child)


class Pooled:
    """What the three storages share. ``optimize_for_webserver`` keeps the pool and adds a limit on statements."""

    _engine: Engine
    postgres_url: str

    def use(self, engine: Engine) -> None:
        """Take connections from this pool, which others may use too."""
        self._engine.dispose()
        self._engine = engine

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        self._engine = pooled_engine(self.postgres_url, pool_recycle, max_overflow, statement_timeout)


class PooledPostgresRunStorage(Pooled, PostgresRunStorage):
    """Dagster's run storage, pooled."""


class PooledPostgresScheduleStorage(Pooled, PostgresScheduleStorage):
    """Dagster's schedule storage, pooled."""


class PooledPostgresEventLogStorage(Pooled, SchemaMemory, PostgresEventLogStorage):
    """Dagster's event log on Postgres, pooled."""

    # EventLog.store asks: stock storages refuse events of several kinds in one batch.
    takes_mixed_batches = True

    def store_event(self, event: EventLogEntry) -> None:
        """See ``store_event_batch``."""
        self._store([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of any kinds, in their order: all, once this returns, or none. Raises what the database raises.

        As in Dagster, failures to materialise are for its cloud only: in a batch they are left out.
        """
        self._store([event for event in events if not _is_failure_to_materialize(event)])

    def _store(self, events: Sequence[EventLogEntry]) -> None:
        if not events:
            return
        rows = [Row(event, self._event_to_row(event)) for event in events]
        with self._writing() as connection:
            BatchOfEvents(self, connection).store(rows)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self.index_transaction() as connection:
            connection.execute(db.select(db.func.pg_advisory_xact_lock(LOCK_OF_WRITERS)))
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


def _is_failure_to_materialize(event: EventLogEntry) -> bool:
    return event.dagster_event is not None and event.dagster_event.is_asset_failed_to_materialize
