"""Dagster's SQLite storage with its connections kept open and batches written as batches.

The files are Dagster's own: ``history/runs/index.db`` holds what is asked across runs, ``history/runs/<run id>.db`` all
events of one run. A batch is one transaction in each file that it touches, and the index is written first: it is the
truth about assets. Of a process that is killed between the two, an event may be in the index and not in the log of its
run, never the other way round, and nobody has been told that it was stored.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection
from watchdog.observers import Observer

from resources.event_storage.batch import BatchOfEvents, Row
from resources.event_storage.schema_memory import SchemaMemory
from resources.event_storage.shards import Shards, is_stamped

RUN_SHARDS_KEPT = 16
DRAFT = ".opening-"
# The tables are those of this version of Dagster; one that is newer makes a file of its own.
BLANK = f".blank-{dagster.__version__}"
MIRRORED = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS}
LAST_OF_RUN = {kind for kind, status in EVENT_TYPE_TO_PIPELINE_RUN_STATUS.items() if status in FINISHED_STATUSES}


def open_folder(base_dir: str) -> tuple[SqliteRunStorage, SqliteEventLogStorage, SqliteScheduleStorage]:
    """Runs, events and schedules kept in ``base_dir``, made first where there are none.

    Processes that open a new folder at once wait for the one that makes it. What a process killed meanwhile has left
    is thrown away: the folders of a new home get their names when they are whole.
    """
    base = Path(os.path.abspath(base_dir))
    base.mkdir(parents=True, exist_ok=True)
    runs, events, schedules = base / "history", base / "history" / "runs", base / "schedules"
    files = (runs / "runs.db", events / f"{INDEX_SHARD_NAME}.db", schedules / "schedules.db")
    if not all(is_stamped(file) for file in files):
        _make(base, files)
    return (
        SqliteRunStorage(create_db_conn_string(str(runs), "runs")),
        KeptSqliteEventLogStorage(str(events)),
        SqliteScheduleStorage(create_db_conn_string(str(schedules), "schedules")),
    )


def _make(base: Path, files: Sequence[Path]) -> None:
    with _alone_in(base):
        if all(is_stamped(file) for file in files):
            return
        for left in base.glob(f"{DRAFT}*"):
            shutil.rmtree(left)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=base))
        DagsterSqliteStorage(str(draft)).dispose()
        for folder in ("history", "schedules"):
            if not (base / folder).exists():
                os.rename(draft / folder, base / folder)
        shutil.rmtree(draft)
        # Folders that were there, and not whole: Dagster finishes what it has begun itself.
        DagsterSqliteStorage(str(base)).dispose()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No other process is in this block for the same folder. The lock ends with the process, however that ends."""
    with open(folder / ".opening.lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class KeptSqliteEventLogStorage(SchemaMemory, SqliteEventLogStorage):
    """Dagster's event log on SQLite: one connection per file, kept."""

    # EventLog.store asks: stock storages refuse events of several kinds in one batch.
    takes_mixed_batches = True

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._shards = Shards(self.path_for_shard, RUN_SHARDS_KEPT, always=INDEX_SHARD_NAME)
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "KeptSqliteEventLogStorage":
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        # A file that somebody deleted is made anew.
        if shard not in self._initialized_dbs or not os.path.exists(self.path_for_shard(shard)):
            self._initialise(shard)
        with self._shards.use(shard) as connection:
            yield connection

    def _initialise(self, shard: str) -> None:
        path = Path(self.path_for_shard(shard))
        if not is_stamped(path):
            with _alone_in(Path(self._base_dir)):
                if shard != INDEX_SHARD_NAME and not path.exists():
                    self._copy_blank(path)
                if not is_stamped(path):
                    self._make_tables(shard)
        self._initialized_dbs.add(shard)

    def _make_tables(self, shard: str) -> None:
        """Dagster itself makes them, with the first connection to a file that it does not know."""
        self._initialized_dbs.discard(shard)
        with super()._connect(shard) as connection:
            connection.exec_driver_sql("SELECT 1 FROM alembic_version")
        self._initialized_dbs.discard(shard)

    def _copy_blank(self, file: Path) -> None:
        """The file of a run: tables with nothing in them. Dagster takes a third of a second to make them, a copy none.

        Drafts that a killed process has left are finished or overwritten: nobody else is here meanwhile.
        """
        blank, draft = file.with_name(BLANK), file.with_name(f"{DRAFT}copy")
        if not blank.exists():
            self._make_tables(f"{DRAFT}blank")
            os.rename(self.path_for_shard(f"{DRAFT}blank"), blank)
        with open(blank, "rb") as source, open(draft, "wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        # A link never replaces: stock Dagster, which does not wait for us, may have made the file meanwhile.
        # Where there are no links, it makes the file as well.
        with contextlib.suppress(OSError):
            os.link(draft, file)
        draft.unlink()

    def store_event(self, event: EventLogEntry) -> None:
        """See ``store_event_batch``."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of any kinds, in their order. Once this returns, all of them are on disk.

        In the index either all are or none. Raises what the database raises.
        """
        rows = [Row(event, self._event_to_row(event)) for event in events]
        mirrored = [row for row in rows if row.kind in MIRRORED]
        if mirrored:
            with self._writing(INDEX_SHARD_NAME) as connection:
                BatchOfEvents(self, connection).store(mirrored)
        by_run: dict[str, list[Row]] = {}
        for row in rows:
            by_run.setdefault(row.event.run_id, []).append(row)
        for run_id, of_run in by_run.items():
            with self._writing(run_id) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), [row.values for row in of_run])
            if any(row.kind in LAST_OF_RUN for row in of_run):
                self._shards.close(run_id)

    @contextmanager
    def _writing(self, shard: str) -> Iterator[Connection]:
        """A transaction that will write: it waits for its turn at the start, where waiting can only end well."""
        with self._connect(shard) as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def wipe(self) -> None:
        self._shards.close()
        super().wipe()

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:
        """Call ``callback`` with each event of a run after ``cursor``, also with those another process writes."""
        observer: Any = self._obs
        if observer is None:
            observer = Observer()
            observer.start()
            self._obs = observer
        watchdog = WalWatchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = (watchdog, observer.schedule(watchdog, self._base_dir, recursive=True))

    def dispose(self) -> None:
        super().dispose()
        self._shards.close()


class WalWatchdog(SqliteEventLogStorageWatchdog):
    """Dagster looks at the database file alone, which changes when a connection is closed: ours stay open."""

    def __init__(self, storage: SqliteEventLogStorage, run_id: str, callback: Any, cursor: str | None) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: Any) -> None:
        self._process_log()
