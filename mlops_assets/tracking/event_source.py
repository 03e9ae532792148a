"""The events that the index of runs is derived from, read as they are stored.

What a source of events promises is here; where they come from is in ``stored_events``, which loads what a code location
does without.
"""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

BLOCK_BITS = 9
BLOCK = 1 << BLOCK_BITS
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the event log keeps naive UTC times


class StoredEvent(NamedTuple):
    """One event as it is stored. ``time``: microseconds since 1970, UTC; ``text``: its JSON as Dagster writes it."""

    event_id: int
    asset: str
    time: int
    text: str


class Tally(NamedTuple):
    """How many ids a range holds and a sum that tells sets of ids apart: additive over disjoint ranges."""

    size: int = 0
    mixed: int = 0

    def plus(self, other: "Tally") -> "Tally":
        return Tally(self.size + other.size, self.mixed + other.mixed)

    def minus(self, other: "Tally") -> "Tally":
        return Tally(self.size - other.size, self.mixed - other.mixed)


def tally(ids: Iterable[int]) -> Tally:
    """The same sum that the database makes of the ids it holds (see ``_mixed``)."""
    size = mixed = 0
    for event_id in ids:
        x = event_id % 1_000_003
        size += 1
        mixed += x * x % 2_147_483_647 * x % 998_244_353
    return Tally(size, mixed)


def sum_of(tallies: Iterable[Tally]) -> Tally:
    return functools.reduce(Tally.plus, tallies, Tally())


def mark_of(text: str) -> str:
    """Tells an event from another one that was given the same id later: SQLite gives the ids of deleted rows again."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class EventSource(Protocol):
    """The materialisations and observations of the tracked assets of one project. Every answer is of one moment."""

    def total(self) -> Tally:
        """The tally of all events: what tells in the least time that nothing has changed."""
        ...

    def blocks(self) -> dict[int, Tally]:
        """The tally of every block of 512 ids that holds events, by ``event_id // 512``."""
        ...

    def ids(self, first: int, end: int) -> list[int]:
        """Ids of the events from ``first`` up to, not including, ``end``; ascending."""
        ...

    def read(self, first: int, end: int) -> list[StoredEvent]:
        """These events; ascending."""
        ...

    def texts(self, ids: Sequence[int]) -> dict[int, str]:
        """The texts of these events, of those that are there."""
        ...

    def wiped(self) -> dict[str, int]:
        """Assets that were wiped: events of theirs up to this time (microseconds since 1970) no longer count."""
        ...


def microseconds(time: datetime) -> int:
    """A naive UTC time as events are stamped: since 1970."""
    delta = time - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
