"""The ledger: deployments are appended to it and asked of it. Nothing in it is ever changed."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from partitions.pipeline import as_utc
from resources.home import Home
from resources.ledger.database import Database
from resources.ledger.deployment import Deployment, LedgerConflict, ModelFile, NewDeployment
from resources.ledger.tables import deployments as table

# Long enough for a database that is restarted, and for a long transaction of somebody else.
PATIENCE = 30.0
# Values asked for in one statement: far below the variables that any database takes.
ASKED_AT_ONCE = 500

Place = tuple[str, str, str]
Current = dict[tuple[str, str], Deployment]


class Ledger:
    """The deployments of all projects that share a database.

    Safe for any number of processes and threads. A database that is busy, locked or out of reach is waited for; what
    does not pass in time raises LedgerUnavailable, and nothing was changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str, patience: float = PATIENCE) -> "Ledger":
        """The ledger at a database's address (``sqlite:////folder/ledger.db``, ``postgresql://...``), made if new."""
        return cls(Database.open(url, patience))

    @classmethod
    def of(cls, home: Home, patience: float = PATIENCE) -> "Ledger":
        """The ledger that belongs to a home."""
        return cls.open(home.ledger_url, patience)

    @property
    def place(self) -> str:
        """Where it is, for people: without a password."""
        return self._database.patience.place

    def append(self, wanted: Sequence[NewDeployment]) -> list[Deployment | LedgerConflict]:
        """Append decisions; an answer for each, in their order.

        Of one subproject either all are appended or none: none where a stage has another current deployment by now
        than the one that a decision says it replaces. What is answered as a Deployment is on disk and visible to all;
        asking again with the same values appends nothing twice.
        """
        if not wanted:
            return []
        return self._database.patience.with_(lambda: self._append(wanted))

    def current(
        self,
        project: str,
        stage: str | None = None,
        subprojects: Iterable[str] | None = None,
        *,
        evidence: bool = True,
    ) -> Current:
        """The last decision by (subproject, stage), of all of them or of those named; ``serves`` tells of a model.

        Without ``evidence``, which is most of the bytes, it is left empty.
        """
        return self._asked(project, stage, subprojects, evidence=evidence)

    def at(
        self, project: str, moment: datetime, stage: str | None = None, subprojects: Iterable[str] | None = None
    ) -> Current:
        """What ``current`` was at a moment (without a zone: UTC), by the ledger's clock."""
        return self._asked(project, stage, subprojects, table.c.at <= as_utc(moment).astimezone(UTC))

    def history(
        self,
        project: str,
        subproject: str | None = None,
        stage: str | None = None,
        after: int = 0,
        *,
        evidence: bool = True,
    ) -> list[Deployment]:
        """Every decision after a sequence, oldest first; ``evidence`` as in ``current``."""
        query = sa.select(*_columns(evidence)).where(table.c.project == project, table.c.sequence > after)
        for column, value in ((table.c.subproject, subproject), (table.c.stage, stage)):
            if value is not None:
                query = query.where(column == value)
        return self._read(query.order_by(table.c.sequence))

    def position(self) -> int:
        """The last sequence, of any project: 0 in an empty ledger. What has not grown since has not changed."""

        def read() -> int:
            with self._database.reading() as connection:
                return _position(connection)

        return self._database.patience.with_(read)

    def made_by(self, project: str, dagster_run_ids: Iterable[str]) -> list[Deployment]:
        """What these Dagster runs have decided, oldest first."""
        wanted = table.c.dagster_run_id.in_(list(dagster_run_ids))
        return self._read(sa.select(table).where(table.c.project == project, wanted).order_by(table.c.sequence))

    def recent_runs(self, project: str, depth: int) -> set[str]:
        """The runs of the last ``depth`` decisions in every stage of every subproject: what serves, or may again."""
        place = (table.c.subproject, table.c.stage)
        back = sa.func.row_number().over(partition_by=place, order_by=table.c.sequence.desc()).label("back")
        rows = sa.select(table.c.run_id, back).where(table.c.project == project, table.c.run_id.is_not(None)).subquery()
        query = sa.select(rows.c.run_id).where(rows.c.back <= depth).distinct()

        def read() -> set[str]:
            with self._database.reading() as connection:
                return set(connection.execute(query).scalars())

        return self._database.patience.with_(read)

    def _asked(
        self, project: str, stage: str | None, subprojects: Iterable[str] | None, *where: Any, evidence: bool = True
    ) -> Current:
        keys = None if subprojects is None else list(dict.fromkeys(subprojects))
        found: Current = {}
        # Of many, all are read: one pass over an index beats thousands of values in statements.
        few = keys if keys is not None and len(keys) <= ASKED_AT_ONCE else None
        latest = sa.select(sa.func.max(table.c.sequence)).where(table.c.project == project, *where)
        if stage is not None:
            latest = latest.where(table.c.stage == stage)
        if few is not None:
            latest = latest.where(table.c.subproject.in_(few))
        latest = latest.group_by(table.c.stage, table.c.subproject)
        query = sa.select(*_columns(evidence)).where(table.c.sequence.in_(latest)).order_by(table.c.sequence)
        among = None if keys is None or few is not None else set(keys)
        for deployment in self._read(query):
            if among is None or deployment.subproject in among:
                found[deployment.subproject, deployment.stage] = deployment
        return found

    def _read(self, query: "sa.Select[Any]") -> list[Deployment]:
        def read() -> list[RowMapping]:
            with self._database.reading() as connection:
                return list(connection.execute(query).mappings())

        return [_deployment(row) for row in self._database.patience.with_(read)]

    def _append(self, wanted: Sequence[NewDeployment]) -> list[Deployment | LedgerConflict]:
        answers: dict[str, Deployment | LedgerConflict] = {}
        with self._database.writing() as connection:
            # A commit whose answer was lost has happened: what stands there already is not appended again.
            answers.update(_appended_before(connection, wanted))
            missing = [one for one in wanted if one.deployment_id not in answers]
            current = _current(connection, {one.place for one in missing})
            sequence, now = _position(connection), _now(connection)
            rows: list[Deployment] = []
            for group in _by_subproject(missing):
                refused = next((one for one in group if _sequence(current, one.place) != one.replaces), None)
                if refused is not None:
                    conflict = LedgerConflict(refused, current.get(refused.place))
                    answers |= {one.deployment_id: conflict for one in group}
                    continue
                for one in group:
                    sequence += 1
                    appended = Deployment(**dict(one), sequence=sequence, at=now)
                    current[one.place] = answers[one.deployment_id] = appended
                    rows.append(appended)
            if rows:
                connection.execute(table.insert(), [_values(row) for row in rows])
        return [answers[one.deployment_id] for one in wanted]


def _columns(evidence: bool) -> "list[sa.Column[Any]]":
    return [column for column in table.c if evidence or column.name != "evidence"]


def _appended_before(connection: Connection, wanted: Sequence[NewDeployment]) -> Iterator[tuple[str, Deployment]]:
    for some in _pages([one.deployment_id for one in wanted]):
        rows = connection.execute(sa.select(table).where(table.c.deployment_id.in_(some))).mappings()
        yield from ((row["deployment_id"], _deployment(row)) for row in rows)


def _current(connection: Connection, places: Iterable[Place]) -> dict[Place, Deployment]:
    """The current deployments of these places, read inside the transaction that appends to them."""
    found: dict[Place, Deployment] = {}
    for project, of_project in itertools.groupby(sorted(places), key=lambda place: place[0]):
        for some in _pages(sorted({subproject for _, subproject, _ in of_project})):
            latest = (
                sa.select(sa.func.max(table.c.sequence))
                .where(table.c.project == project, table.c.subproject.in_(some))
                .group_by(table.c.subproject, table.c.stage)
            )
            for row in connection.execute(sa.select(table).where(table.c.sequence.in_(latest))).mappings():
                deployment = _deployment(row)
                found[deployment.place] = deployment
    return found


def _by_subproject(wanted: Iterable[NewDeployment]) -> Iterator[list[NewDeployment]]:
    groups: dict[tuple[str, str], list[NewDeployment]] = {}
    for one in wanted:
        groups.setdefault((one.project, one.subproject), []).append(one)
    yield from groups.values()


def _sequence(current: dict[Place, Deployment], place: Place) -> int:
    return current[place].sequence if place in current else 0


def _position(connection: Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.coalesce(sa.func.max(table.c.sequence), 0))) or 0)


def _now(connection: Connection) -> datetime:
    """One clock for all that share the ledger: the database server's, where there is one."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    return datetime.now(UTC)


def _values(deployment: Deployment) -> dict[str, Any]:
    model = deployment.model
    values = {name: value for name, value in dict(deployment).items() if name != "model"}
    return values | {
        "model_uri": model.uri if model else None,
        "model_digest": model.digest if model else None,
        "model_bytes": model.bytes if model else None,
    }


def _deployment(row: RowMapping) -> Deployment:
    values = dict(row)
    uri, digest, size = (values.pop(f"model_{name}") for name in ModelFile.model_fields)
    return Deployment(**values, model=ModelFile(uri=uri, digest=digest, bytes=size) if uri is not None else None)


def _pages(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), ASKED_AT_ONCE):
        yield values[start : start + ASKED_AT_ONCE]
