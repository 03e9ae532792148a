"""Questions to the index: runs as rows, with the columns that people name."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, TypeVar, get_args

from mlops_assets.tracking.annotations import Overlay, overlays
from mlops_assets.tracking.columns import (
    ASSET,
    DOCUMENT,
    EVENT_ID,
    EVENT_TIME,
    WHAT,
    Column,
    logical,
    stored_name,
)
from mlops_assets.tracking.event_rows import ANNOTATION, RUN
from mlops_assets.tracking.index import Indexed, RunIndex
from mlops_assets.tracking.record import Kind, Status
from mlops_assets.tracking.where import parse
from mlops_assets.tracking.where_sql import Sql, condition_sql, order_sql
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NEWEST_FIRST = "-created_at, -run_id"
ATTEMPTS = 4
log = logging.getLogger(__name__)
T = TypeVar("T")


class RunFields(TypedDict, total=False):
    """The fields of a RunQuery but its subprojects, as keyword arguments."""

    kind: str | None
    status: str | None
    where: str | None
    sort: str | None
    limit: int | None


@dataclass(frozen=True)
class RunQuery:
    """Which runs, in which order. ``where``: see ``tracking.where``; ``sort``: columns, ``-`` for largest first."""

    subprojects: tuple[str, ...] | None = None
    kind: str | None = None
    status: str | None = None
    where: str | None = None
    sort: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("kind", get_args(Kind)), ("status", get_args(Status))):
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise MlopsError(f"{name} {value!r} is none; there are {', '.join(allowed)}")
        if self.limit is not None and self.limit < 0:
            raise MlopsError(f"limit {self.limit} should be 0 or more")


@dataclass(frozen=True)
class View:
    """The runs of the index as a relation: each once, as its last event has it, with what was noted later over it.

    ``source``: what follows FROM, conditions included; ``columns``: stored columns are SQL expressions over it.
    """

    source: Sql
    columns: dict[str, Column]
    overlays: dict[str, Overlay]


class RunReader:
    """Answers questions about the runs of one project from its index, brought up to the event log for each of them."""

    def __init__(self, index: RunIndex) -> None:
        self.index = index
        self._last: tuple[Indexed, View] | None = None
        self._connected: DuckDBPyConnection | None = None

    def ask(self, question: Callable[["DuckDBPyConnection", View], T]) -> T:
        """The answer to ``question`` for the event log of now.

        Files of the index may go while they are read: another process removes what fits no longer, a person may delete
        it all. Then it is asked again, the last time of an index apart that nobody else removes from. If no file went,
        one is damaged: once, the index is made anew.
        """
        import duckdb

        damaged = False
        for attempt in range(1, ATTEMPTS + 1):
            with nullcontext(self.index) if attempt < ATTEMPTS else self.index.apart() as index:
                indexed = index.refresh()
                try:
                    return question(self._connection(), self._view(indexed))
                except (duckdb.IOException, duckdb.InvalidInputException) as error:
                    gone = not all(file.exists() for file in indexed.files)
                    if attempt == ATTEMPTS or (damaged and not gone):
                        raise
                    if not gone:
                        log.warning("the index of runs in %s is damaged and made again: %s", index.folder, error)
                        index.forget()
                        damaged = True
        raise AssertionError("not reached")

    def _connection(self) -> "DuckDBPyConnection":
        import duckdb

        if self._connected is None:
            # Nothing is looked for on the network, whatever a query might profit from.
            self._connected = duckdb.connect(":memory:")
            for setting in ("autoinstall_known_extensions = false", "autoload_known_extensions = false"):
                self._connected.execute(f"set {setting}")
            self._connected.execute("set parquet_metadata_cache = true")
        return self._connected.cursor()

    def _view(self, indexed: Indexed) -> View:
        if self._last is None or self._last[0] != indexed:
            self._last = (indexed, _view(self._connection(), indexed))
        return self._last[1]


def selection(view: View, query: RunQuery) -> Sql:
    """FROM ... WHERE of the runs that ``query`` asks for. Raises UnknownName and WhereError for what it cannot ask."""
    conditions = [view.source]
    if query.subprojects is not None:
        held = view.columns["subproject"].stored.get("s", "null")
        conditions.append(Sql(f"{held} in (select unnest(cast(? as varchar[])))", (list(query.subprojects),)))
    for name in ("kind", "status"):
        value = getattr(query, name)
        if value is not None:
            conditions.append(Sql(f"{view.columns[name].stored.get('s', 'null')} = ?", (value,)))
    if query.where is not None:
        conditions.append(condition_sql(parse(query.where), view.columns))
    return Sql(" and ".join(part.text for part in conditions), tuple(v for part in conditions for v in part.values))


def ordered(view: View, query: RunQuery) -> str:
    """ORDER BY and LIMIT of ``query``; equal ones newest first, so that every order is the same each time."""
    terms = [order_sql(query.sort, view.columns)] if query.sort else []
    terms = [term for term in (*terms, order_sql(NEWEST_FIRST, view.columns)) if term]
    limit = "" if query.limit is None else f" limit {int(query.limit)}"
    return f"order by {', '.join([*terms, EVENT_ID])}{limit}"


def _view(connection: "DuckDBPyConnection", indexed: Indexed) -> View:
    if not indexed.files:
        nothing = "(select null as event_id) e where false"
        return View(Sql(nothing), logical(()), {})
    relation = Sql("read_parquet(?, union_by_name = true)", ([str(file) for file in indexed.files],))
    described = connection.execute(f"describe select * from {relation.text}", relation.values).fetchall()
    wiped = [(asset, time) for asset, time in indexed.wiped.items()]
    kept = "".join(f" and not (e.{ASSET} = ? and e.{EVENT_TIME} <= ?)" for _ in wiped)
    kept_values = tuple(value for pair in wiped for value in pair)
    documents = connection.execute(
        f"select e.{DOCUMENT} from {relation.text} e where e.{WHAT} = ?{kept} order by e.{EVENT_ID}",
        (*relation.values, ANNOTATION, *kept_values),
    ).fetchall()
    runs = Sql(f"e.{WHAT} = ?{kept}", (RUN, *kept_values))
    expressions = {name: f"e.{_quoted(name)}" for name, *_ in described if ":" in name}
    superseded = _superseded(connection, relation, runs, expressions)
    if superseded:
        runs = Sql(
            f"{runs.text} and e.{EVENT_ID} not in (select unnest(cast(? as bigint[])))", (*runs.values, superseded)
        )
    over = overlays(text for (text,) in documents)
    source, expressions = _overlaid(relation, expressions, over)
    columns = logical(expressions)
    columns = {
        name: Column(name, {kind: expressions[stored] for kind, stored in column.stored.items()})
        for name, column in columns.items()
    }
    return View(Sql(f"{source.text} where {runs.text}", (*source.values, *runs.values)), columns, over)


def _superseded(connection: "DuckDBPyConnection", relation: Sql, runs: Sql, expressions: dict[str, str]) -> list[int]:
    """Events of runs that were reported again by a later event."""
    run_id = expressions.get(stored_name("run_id", "s"))
    if run_id is None:
        return []
    of_runs = f"from {relation.text} e where {runs.text}"
    again = f"select {run_id} {of_runs} group by 1 having count(*) > 1"
    ranked = f"select e.{EVENT_ID} as id, max(e.{EVENT_ID}) over (partition by {run_id}) as last {of_runs}"
    both = (*relation.values, *runs.values)
    if not connection.execute(f"select count(*) from ({again})", both).fetchall()[0][0]:
        return []
    found = connection.execute(f"select id from ({ranked} and {run_id} in ({again})) where id < last", both + both)
    return [row[0] for row in found.fetchall()]


def _overlaid(relation: Sql, expressions: dict[str, str], over: dict[str, Overlay]) -> tuple[Sql, dict[str, str]]:
    """The relation with notes and tags of annotations over those of the records."""
    names: dict[str, list[str | None]] = {}
    given: dict[str, list[bool]] = {}
    for row, overlay in enumerate(over.values()):
        said: dict[str, str | None] = {f"tags.{name}": value for name, value in overlay.tags.items()}
        if overlay.note is not None:
            said["note"] = overlay.note or None
        for name, value in said.items():
            names.setdefault(name, [None] * len(over))[row] = value
            given.setdefault(name, [False] * len(over))[row] = True
    if not names:
        return Sql(f"{relation.text} e", relation.values), expressions
    parts, values = ["unnest(cast(? as varchar[])) as run_id"], [list(over)]
    made = dict(expressions)
    for number, name in enumerate(names):
        parts.append(f"unnest(cast(? as varchar[])) as v{number}, unnest(cast(? as boolean[])) as g{number}")
        values += [names[name], given[name]]  # type: ignore[list-item]
        stored = stored_name(name, "s")
        recorded = expressions.get(stored, "null")
        made[stored] = f"case when o.g{number} then o.v{number} else {recorded} end"
    run_id = expressions.get(stored_name("run_id", "s"), "null")
    joined = f"{relation.text} e left join (select {', '.join(parts)}) o on o.run_id = {run_id}"
    return Sql(joined, (*relation.values, *values)), made


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
