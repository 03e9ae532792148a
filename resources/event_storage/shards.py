"""Open connections to SQLite files, kept: one per file, for the files used last."""

import ctypes
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as db
from sqlalchemy.engine import Connection, Engine

BUSY_TIMEOUT_SECONDS = 60


@dataclass(eq=False)
class Shard:
    """One SQLite file and the connection to it. ``lock`` is held by whoever uses the connection."""

    engine: Engine
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    inode: tuple[int, int] | None = None


class Shards:
    """Connections to the SQLite files of one folder, by name of the file.

    ``use`` may be called from any thread; uses of the same file wait for each other, and may not be nested. Beyond
    ``kept`` files, those not used for longest are closed; ``always`` names one that stays. A file that was deleted, or
    replaced by another, is opened anew. In a forked child, no connection of the parent is used or closed.
    """

    def __init__(self, path_of: Callable[[str], str], kept: int, always: str) -> None:
        self._path_of = path_of
        self._kept = kept
        self._always = always
        self._forget()
        _ALIVE.add(self)

    @contextmanager
    def use(self, name: str) -> Iterator[Connection]:
        """A connection to the file ``name``, in a transaction that is committed unless the block raises."""
        shard = self._taken(name)
        try:
            with shard.lock:
                self._reopen_if_replaced(shard, name)
                with shard.engine.connect() as connection, connection.begin():
                    if shard.inode is None:
                        shard.inode = _inode(self._path_of(name))
                    yield connection
        finally:
            with self._lock:
                shard.users -= 1

    def close(self, name: str | None = None) -> None:
        """Close the connection to ``name``, or all; they are opened again when next used."""
        with self._lock:
            names = [name] if name is not None else list(self._shards)
            closed = [self._shards.pop(one) for one in names if one in self._shards]
        for shard in closed:
            with shard.lock:
                shard.engine.dispose()

    def _taken(self, name: str) -> Shard:
        with self._lock:
            shard = self._shards.get(name)
            if shard is None:
                shard = self._shards[name] = Shard(_engine(self._path_of(name)))
            shard.users += 1
            self._shards.move_to_end(name)
            idle = [one for one, other in self._shards.items() if other.users == 0 and one != self._always]
            surplus = [self._shards.pop(one) for one in idle[: max(0, len(self._shards) - self._kept)]]
        for other in surplus:
            other.engine.dispose()
        return shard

    def _reopen_if_replaced(self, shard: Shard, name: str) -> None:
        """Events written to a file that somebody has deleted would be gone."""
        if shard.inode is not None and shard.inode != _inode(self._path_of(name)):
            shard.engine.dispose()
            shard.inode = None

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._shards: OrderedDict[str, Shard] = OrderedDict()

    def leave_to_the_parent(self) -> None:
        """SQLite allows a forked child neither to use nor to close a connection: here they are never freed."""
        for shard in self._shards.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(shard.engine))
        self._forget()


_ALIVE: "weakref.WeakSet[Shards]" = weakref.WeakSet()


def _in_child() -> None:
    for shards in list(_ALIVE):
        shards.leave_to_the_parent()


os.register_at_fork(after_in_child=_in_child)


def is_stamped(path: str | Path) -> bool:
    """Whether Dagster has made its tables in this file: the stamp of their version is the last thing that it writes."""
    if not os.path.exists(path):
        return False
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            return connection.exec_driver_sql("SELECT 1 FROM alembic_version").first() is not None
    except db.exc.OperationalError as error:
        if "no such table" in str(error):
            return False
        raise
    finally:
        engine.dispose()


def _engine(path: str | Path) -> Engine:
    engine = db.create_engine(
        db.URL.create("sqlite", database=str(path)),
        poolclass=db.QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
    )
    db.event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    # Dagster makes its files with write-ahead logs. With these, NORMAL loses nothing when a process is killed; a power
    # cut may take the last transactions, whole ones.
    connection.execute("PRAGMA synchronous=NORMAL")


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
