"""Runs as a table: typed columns for notebooks, plain values for the command line and for JSON."""

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.columns import FIXED, Column, restored
from mlops_assets.tracking.run_query import RunQuery, RunReader, View, ordered, selection
from mlops_assets.tracking.where_sql import number_sql

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class RunRows:
    """Runs as plain values. ``by_status`` counts all that fit; ``rows`` may be the first few of them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    by_status: dict[str, int]

    @property
    def found(self) -> int:
        return sum(self.by_status.values())

    def column(self, name: str) -> list[Any]:
        position = self.columns.index(name)
        return [row[position] for row in self.rows]

    def as_dicts(self) -> list[dict[str, Any]]:
        """One mapping per run, all with the same keys; times as text."""
        found = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        for run in found:
            run["created_at"] = run["created_at"].isoformat()
        return found


def run_rows(reader: RunReader, query: RunQuery) -> RunRows:
    """The runs that ``query`` asks for."""

    def ask(connection: "DuckDBPyConnection", view: View) -> RunRows:
        from_where = selection(view, query)
        columns, parts = _parts(view)
        text = f"select {', '.join(sql for _, _, sql in parts)} from {from_where.text} {ordered(view, query)}"
        fetched = connection.execute(text, from_where.values).fetchall()
        status = view.columns["status"].stored.get("s", "null")
        counted = f"select {status}, count(*) from {from_where.text} group by 1 order by 2 desc"
        by_status = dict(connection.execute(counted, from_where.values).fetchall())
        rows = [_plain(columns, parts, row) for row in fetched]
        return _without_empty(columns, rows, by_status)

    return reader.ask(ask)


def run_frame(reader: RunReader, query: RunQuery) -> "pd.DataFrame":
    """The runs that ``query`` asks for. Whole numbers that some run lacks are Int64, times are UTC; a column whose
    values are of different kinds in different runs holds Python objects.
    """

    def ask(connection: "DuckDBPyConnection", view: View) -> "pd.DataFrame":
        from_where = selection(view, query)
        columns, parts = _parts(view)
        selected = ", ".join(f"{sql} as c{number}" for number, (_, _, sql) in enumerate(parts))
        text = f"select {selected} from {from_where.text} {ordered(view, query)}"
        table = connection.sql(text, params=from_where.values).to_arrow_table()
        return _frame(table, columns, parts)

    return reader.ask(ask)


Part = tuple[Column, str, str]


def _parts(view: View) -> tuple[list[Column], list[Part]]:
    """The columns to show, and what is fetched for them: (column, type, SQL), several of a column of mixed types."""
    columns = [column for name, column in view.columns.items() if name in FIXED or column.stored]
    parts: list[Part] = []
    for column in columns:
        if not column.stored:
            parts.append((column, FIXED[column.name], _nothing(FIXED[column.name])))
        elif column.numeric:
            parts.append((column, "f" if "f" in column.stored else "i", number_sql(column.stored)))
        else:
            parts += [(column, kind, sql) for kind, sql in column.stored.items()]
    return columns, parts


def _nothing(kind: str) -> str:
    kinds = {"i": "bigint", "f": "double", "b": "boolean", "t": "timestamp"}
    return f"cast(null as {kinds.get(kind, 'varchar')})"


def _plain(columns: list[Column], parts: list[Part], row: tuple[Any, ...]) -> tuple[Any, ...]:
    values: dict[str, Any] = {}
    for (column, kind, _), value in zip(parts, row, strict=True):
        if value is not None:
            values[column.name] = value.replace(tzinfo=UTC) if kind == "t" else restored(kind, value)  # type: ignore[arg-type]
    return tuple(values.get(column.name) for column in columns)


def _without_empty(columns: list[Column], rows: list[tuple[Any, ...]], by_status: dict[str, int]) -> RunRows:
    """Parameters and tags that none of these runs has belong to other runs; metrics stay, so that no program trips."""
    keep = [
        position
        for position, column in enumerate(columns)
        if column.name in FIXED or column.name.startswith("metrics.") or any(row[position] is not None for row in rows)
    ]
    names = tuple(columns[position].name for position in keep)
    return RunRows(names, tuple(tuple(row[position] for position in keep) for row in rows), by_status)


def _frame(table: Any, columns: list[Column], parts: list[Part]) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa

    by_column: dict[str, list[tuple[str, Any]]] = {column.name: [] for column in columns}
    for number, (column, kind, _) in enumerate(parts):
        by_column[column.name].append((kind, table.column(number)))
    data: dict[str, pd.Series[Any]] = {}
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    for name, held in by_column.items():
        empty = all(values.null_count == len(values) for _, values in held)
        if empty and name not in FIXED and not name.startswith("metrics."):
            continue
        if len(held) > 1 or held[0][0] == "j":
            data[name] = pd.Series(_mixed(held), dtype=object)
            continue
        kind, values = held[0]
        if kind == "t":
            data[name] = values.cast(pa.timestamp("us", tz="UTC")).to_pandas()
        elif values.null_count and values.type in nullable:
            data[name] = values.to_pandas(types_mapper=nullable.get)
        else:
            data[name] = values.to_pandas()
    return pd.DataFrame(data)


def _mixed(held: list[tuple[str, Any]]) -> list[Any]:
    merged: list[Any] = [None] * len(held[0][1])
    for kind, values in held:
        for row, value in enumerate(values.to_pylist()):
            if value is not None:
                merged[row] = restored(kind, value)  # type: ignore[arg-type]
    return merged
