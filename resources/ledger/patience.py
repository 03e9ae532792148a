"""Waiting for a database that is busy, locked, restarting or out of reach: a while, and then a clear error."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy.exc as db_errors

from partitions.errors import MlopsError

T = TypeVar("T")

SHORTEST_WAIT = 0.02
LONGEST_WAIT = 1.0

# What SQLite says while somebody else has the file, or the folder is not there for a moment.
_PASSING_ON_SQLITE = (
    "database is locked",
    "database table is locked",
    "unable to open database file",
    "disk i/o error",
)
# Postgres classes of errors (SQLSTATE): connection, out of resources, operator intervention, deadlock, lock timeout.
_PASSING_ON_POSTGRES = ("08", "53", "57P", "40", "55P03")


class LedgerUnavailable(MlopsError):
    """The ledger's database cannot be used now. Nothing was changed."""


@dataclass(frozen=True)
class Patience:
    """For how many ``seconds`` a database that does not answer is asked again. ``place``: what errors call it."""

    seconds: float
    place: str

    def with_(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` returns, made again until it comes through.

        It must be one that may be made twice. Raises LedgerUnavailable where the trouble does not pass in time, or is
        of a kind that does not pass (no space, no permission, no such database).
        """
        until = time.monotonic() + self.seconds
        wait = SHORTEST_WAIT
        while True:
            try:
                return attempt()
            except db_errors.DBAPIError as error:
                if isinstance(error, db_errors.IntegrityError):
                    raise
                if not passes(error):
                    raise LedgerUnavailable(f"the ledger {self.place} refused: {_reason(error)}") from error
                if time.monotonic() + wait > until:
                    raise LedgerUnavailable(
                        f"the ledger {self.place} could not be used for {self.seconds:g} seconds: {_reason(error)}; "
                        "nothing was changed: try again when it is back"
                    ) from error
            # Many that wait for the same thing do not all come back at the same moment.
            time.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, LONGEST_WAIT)


def passes(error: db_errors.DBAPIError) -> bool:
    """Whether the trouble is one that passes by itself."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "pgcode", None)
    if state is not None:
        return str(state).startswith(_PASSING_ON_POSTGRES)
    text = str(error.orig).lower()
    if type(error.orig).__module__.startswith("psycopg2"):
        # Without a state there was no server to give one; a wrong name or password is told in these words.
        return not any(words in text for words in ("does not exist", "authentication failed", "no password"))
    return any(words in text for words in _PASSING_ON_SQLITE)


def _reason(error: db_errors.DBAPIError) -> str:
    return " ".join(str(error.orig).split())
