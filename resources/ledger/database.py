"""The ledger's database: a SQLite file or Postgres, its schema made or brought up to date when it is opened."""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from partitions.errors import MlopsError
from resources.ledger.patience import Patience
from resources.ledger.tables import VERSION_TABLE, VERSIONS

# Any number does, if nobody else uses it in this database.
LOCK_OF_WRITERS = 7_236_403
# How long one attempt waits for a lock; Patience decides how many attempts there are.
SECONDS_PER_ATTEMPT = 5
CONNECTIONS_AT_MOST = 10

_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class Database:
    """Where the ledger is kept. ``reading`` sees one state of it throughout; one ``writing`` runs at a time."""

    address: URL
    engine: Engine
    patience: Patience

    @classmethod
    def open(cls, url: str, seconds: float) -> "Database":
        """The database at ``url``, brought to the newest version; processes that open it at once wait for each other.

        Raises MlopsError for an address that is none, and for a database that a newer version of this program made.
        """
        address = _address(url)
        opened = cls(
            address, _engine(address, seconds), Patience(seconds, address.render_as_string(hide_password=True))
        )
        opened.patience.with_(opened._prepare)
        return opened

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that waits for its turn at the start: rows become visible in the order of their sequences."""
        with self.engine.connect().execution_options(writing=True) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_OF_WRITERS)))
            yield connection

    def _prepare(self) -> None:
        if self.engine.dialect.name == "sqlite":
            _make_file(_file(self.address))
        with self.reading() as connection:
            version = self._version(connection)
        if version == VERSIONS[-1]:
            return
        with self.writing() as connection:
            # Somebody else may have done it while this one waited.
            if self._version(connection) != VERSIONS[-1]:
                _migrate(connection)

    def _version(self, connection: Connection) -> str | None:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        version: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))
        if version is not None and version not in VERSIONS:
            raise MlopsError(
                f"the ledger {self.patience.place} is of version {version}, and this program knows {VERSIONS[-1]} at "
                "most: install the version of mlops-assets that made it, or a newer one"
            )
        return version


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except sa.exc.ArgumentError:
        raise MlopsError(f"{_EXPECTED}, not {url.partition('@')[0].partition(':')[0]!r}...") from None
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql") or (backend == "sqlite" and not address.database):
        raise MlopsError(f"{_EXPECTED}, not {address.render_as_string(hide_password=True)!r}")
    return address


_EXPECTED = (
    "the address of the ledger (MLOPS_LEDGER_URL) should be sqlite:////folder/ledger.db or "
    "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
)


def _engine(address: URL, seconds: float) -> Engine:
    attempt = min(seconds, SECONDS_PER_ATTEMPT)
    return _on_sqlite(address, attempt) if address.get_backend_name() == "sqlite" else _on_postgres(address, attempt)


def _on_sqlite(address: URL, attempt: float) -> Engine:
    """A connection per transaction: opening one takes a fraction of a millisecond, and none outlives a fork.

    The file is opened, never made, so that one that is gone is missed instead of begun anew.
    """
    place = address.set(database=f"file:{quote(str(_file(address)))}", query={"mode": "rw", "uri": "true"})
    engine = sa.create_engine(place, poolclass=sa.NullPool, connect_args={"isolation_level": None, "timeout": attempt})

    def connected(connection: Any, _record: Any) -> None:
        # Kept in the file once it is set. What is deployed is known after a power cut, too: few rows, each flushed.
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    def begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", begun)
    return engine


def _file(address: URL) -> Path:
    return Path(os.path.abspath(address.database or ""))


def _make_file(file: Path) -> None:
    """An empty file is an empty database to SQLite."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(exist_ok=True)
    except OSError as error:
        raise MlopsError(f"the ledger {file} cannot be used: {error.strerror}") from error


def _on_postgres(address: URL, attempt: float) -> Engine:
    """Keeps one connection, asks whether it still lives before it is used; more while threads need them at once."""
    wait = f"{round(attempt * 1000)}ms"
    engine = sa.create_engine(
        address,
        pool_size=1,
        max_overflow=CONNECTIONS_AT_MOST - 1,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": SECONDS_PER_ATTEMPT,
            "options": f"-c lock_timeout={wait} -c timezone=UTC",
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
    _ALIVE.add(engine)
    return engine


_ALIVE: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def _in_child() -> None:
    for engine in list(_ALIVE):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_in_child)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    settings = Config(attributes={"connection": connection})
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    command.upgrade(settings, VERSIONS[-1])
