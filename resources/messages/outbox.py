"""What is to be told, kept in the ledger's database until it is told: at most once each, whoever is killed when.

A message is ``waiting`` until someone claims it, ``sending`` until they know, then ``sent``, ``waiting`` again with the
reason it failed, or ``given up``. Who is killed while sending leaves it ``unknown``: it may have arrived, so it is not
sent again.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from resources.home import Home
from resources.ledger.database import Database
from resources.ledger.tables import messages as table
from resources.messages.outgoing import Outgoing

PATIENCE = 10.0
AT_ONCE = 500
# A claim that is older was taken by a process that is gone.
LEASE = timedelta(minutes=10)
# Due whatever the clock of whoever delivers says.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
# After so long a message is about something that nobody needs to be told any more.
GIVEN_UP_AFTER = timedelta(hours=24)


class Outbox:
    """The messages of all projects that share a database. Safe for any number of processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def of(cls, home: Home, patience: float = PATIENCE) -> "Outbox":
        return cls(Database.open(home.ledger_url, patience))

    def put(self, outgoing: Sequence[Outgoing]) -> int:
        """Keep these to be sent; return how many are new. Once this returns they are on disk."""
        rows = [_values(one) for one in outgoing]

        def write() -> int:
            with self._database.writing() as connection:
                before = connection.scalar(sa.select(sa.func.count()).select_from(table))
                make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
                for start in range(0, len(rows), AT_ONCE):
                    connection.execute(make(table).on_conflict_do_nothing(), rows[start : start + AT_ONCE])
                after = connection.scalar(sa.select(sa.func.count()).select_from(table))
                return int(after or 0) - int(before or 0)

        return self._database.patience.with_(write) if rows else 0

    def claim(self, project: str, now: datetime) -> list[Outgoing]:
        """Everything of a project that is to be sent now, for this caller alone, oldest first."""
        claim = str(uuid.uuid4())
        due = sa.and_(table.c.state == "waiting", table.c.next_at <= now)
        gone = sa.and_(table.c.state == "sending", table.c.claimed_at < now - LEASE)
        of_project = table.c.project == project

        def write() -> list[Outgoing]:
            with self._database.writing() as connection:
                lost = sa.update(table).where(of_project, gone)
                connection.execute(lost.values(state="unknown", reason="the sending process was killed"))
                taken = sa.update(table).where(of_project, due)
                connection.execute(taken.values(state="sending", claim=claim, claimed_at=now))
                mine = sa.select(table).where(table.c.claim == claim).order_by(table.c.at, table.c.message_id)
                return [_outgoing(row) for row in connection.execute(mine).mappings()]

        # Asked first, as reading holds nobody up: most looks find nothing.
        if not self._read(sa.select(table.c.message_id).where(of_project, due | gone).limit(1)):
            return []
        return self._database.patience.with_(write)

    def mark_sent(self, outgoing: Sequence[Outgoing], now: datetime) -> None:
        self._mark([one.message_id for one in outgoing], state="sent", sent_at=now, reason=None)

    def mark_unknown(self, outgoing: Sequence[Outgoing], reason: str) -> None:
        """Nobody knows whether they arrived: they are not sent again."""
        self._mark([one.message_id for one in outgoing], state="unknown", reason=reason)

    def mark_failed(self, outgoing: Sequence[Outgoing], reason: str, now: datetime) -> None:
        """They did not arrive: tried again after a while that doubles each time, given up after a day."""
        tries = {one.attempts for one in outgoing}
        for attempts in tries:
            of = [one for one in outgoing if one.attempts == attempts]
            stale = [one.message_id for one in of if now - one.at >= GIVEN_UP_AFTER]
            self._mark(stale, state="given up", reason=reason, attempts=attempts + 1)
            wait = min(FIRST_WAIT * 2 ** min(attempts, 16), LONGEST_WAIT)
            again = [one.message_id for one in of if now - one.at < GIVEN_UP_AFTER]
            self._mark(again, state="waiting", reason=reason, attempts=attempts + 1, next_at=now + wait)

    def mark_untouched(self, outgoing: Sequence[Outgoing]) -> None:
        """Nobody got to sending them."""
        self._mark([one.message_id for one in outgoing], state="waiting")

    def last_events(
        self, project: str, subprojects: Collection[str], events: Collection[str]
    ) -> dict[tuple[str, str, str | None], str]:
        """The last of these events that each target was told (or is to be told) of, by target, subproject and stage."""
        columns = (table.c.target, table.c.subproject, table.c.stage, table.c.event)
        where = (table.c.project == project, table.c.event.in_(list(events)))
        query = sa.select(*columns).where(*where).order_by(table.c.at, table.c.message_id)
        few = list(subprojects) if len(subprojects) <= AT_ONCE else None
        if few is not None:
            query = query.where(table.c.subproject.in_(few))
        wanted = set(subprojects)
        return {row[:3]: row[3] for row in self._read(query) if row[1] in wanted}

    def told_of(self, occurrences: Collection[str]) -> set[str]:
        """Those of these occurrences that any target was told of, or is to be told of."""
        ids, found = sorted(occurrences), set()
        for start in range(0, len(ids), AT_ONCE):
            some = table.c.occurrence.in_(ids[start : start + AT_ONCE])
            found |= {row[0] for row in self._read(sa.select(table.c.occurrence).where(some))}
        return found

    def counts(self, project: str) -> dict[tuple[str, str], int]:
        """How many messages there are by target and state."""
        columns = (table.c.target, table.c.state)
        query = sa.select(*columns, sa.func.count()).where(table.c.project == project).group_by(*columns)
        return {(row[0], row[1]): row[2] for row in self._read(query)}

    def _mark(self, ids: Sequence[str], **values: Any) -> None:
        def write() -> None:
            with self._database.writing() as connection:
                for start in range(0, len(ids), AT_ONCE):
                    some = table.c.message_id.in_(list(ids[start : start + AT_ONCE]))
                    connection.execute(sa.update(table).where(some).values(claim=None, **values))

        if ids:
            self._database.patience.with_(write)

    def _read(self, query: Any) -> list[Any]:
        def read() -> list[Any]:
            with self._database.reading() as connection:
                return [tuple(row) for row in connection.execute(query)]

        return self._database.patience.with_(read)


def _values(one: Outgoing) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in one.__dataclass_fields__}
    return values | {"state": "waiting", "next_at": LONG_AGO}


def _outgoing(row: Any) -> Outgoing:
    return Outgoing(**{name: row[name] for name in Outgoing.__dataclass_fields__})
