"""One registration at a time: a lock that ends with its holder, however that ends.

On one machine it is a lock of the operating system on a file; where events are kept in Postgres, it is an advisory lock
there, which holds for all machines that share the database. Neither leaves anything behind that could go stale: a
process that is killed gives its lock back.
"""

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from partitions.errors import MlopsError

WAITING = 0.1


class Busy(MlopsError):
    """Someone else is registering now."""


def registration_lock(
    place: Path | str, project: str, holder: str, patience: float = 0.0
) -> AbstractContextManager[None]:
    """Held while the block runs. ``place``: a folder, or the URL of the Postgres database with the events.

    Raises Busy, naming the holder, where another one still has it after ``patience`` seconds.
    """
    if isinstance(place, Path):
        return _patient(patience, lambda: _file_lock(place / f"{project}.lock", project, holder))
    return _patient(patience, lambda: _advisory_lock(place, project, holder))


@contextmanager
def _patient(patience: float, lock: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    until = time.monotonic() + patience
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock())
                break
            except Busy:
                if time.monotonic() >= until:
                    raise
            time.sleep(WAITING)
        yield


@contextmanager
def _file_lock(file: Path, project: str, holder: str) -> Iterator[None]:
    # The file stays: were it deleted, one process could lock the old file and another a new one of its name.
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # The holder signs in the moment after it has the lock.
            time.sleep(WAITING)
            stream.seek(0)
            raise _busy(project, stream.read().strip()) from None
        stream.truncate(0)
        stream.write(holder)
        stream.flush()
        yield


@contextmanager
def _advisory_lock(url: str, project: str, holder: str) -> Iterator[None]:
    import sqlalchemy as sa

    number = int.from_bytes(hashlib.sha256(f"mlops registration {project}".encode()).digest()[:8], signed=True)
    # Postgres keeps 63 bytes of a name. Keepalives: a machine that is gone gives its lock back within a minute.
    asked = {"application_name": holder[:63], "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", connect_args=asked)
    with engine.connect() as connection:
        if not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:number)"), {"number": number}):
            raise _busy(project, connection.scalar(sa.text(_HOLDER), {"number": number}))
        try:
            yield
        finally:
            # Closing gives it back too, but only once the server has noticed; a connection that is lost has done so.
            with suppress(sa.exc.DBAPIError):
                connection.execute(sa.text("SELECT pg_advisory_unlock(:number)"), {"number": number})


_HOLDER = """
SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) | objid::bigint = :number
"""


def _busy(project: str, holder: str | None) -> Busy:
    return Busy(
        f"project {project!r} is being registered now by {holder or 'another process'}; nothing was changed here: "
        "let it finish, then plan again"
    )
