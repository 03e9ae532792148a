"""Conditions and orders as SQL over the stored columns: names only from the index, values only as bound parameters."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mlops_assets.tracking.columns import FIXED, NUMBERS, SAID, Column, Type
from mlops_assets.tracking.where import (
    All,
    Compare,
    Condition,
    Either,
    IsNull,
    IsTrue,
    Literal,
    Matches,
    Name,
    Not,
    OneOf,
    WhereError,
)
from partitions.errors import UnknownName, nearest

Columns = Mapping[str, Column]
UNKNOWN = "cast(null as boolean)"
_AGO = re.compile(r"(\d+)\s*(minute|hour|day|week)s?\s+ago")


class Sql(NamedTuple):
    """A piece of SQL and the values of its question marks, in order."""

    text: str
    values: tuple[Any, ...] = ()


def column_named(name: str, columns: Columns) -> Column:
    """Raises UnknownName, offering the nearest columns."""
    if name in columns:
        return columns[name]
    ends = [known for known in columns if known.rpartition(".")[2] == name]
    if ends:
        raise UnknownName(f"unknown column {name!r}: there is {' and '.join(ends[:3])}")
    raise UnknownName(nearest(name, columns, noun="column"))


def condition_sql(condition: Condition, columns: Columns) -> Sql:
    """``condition`` over ``columns``, whose stored columns are SQL expressions. Raises UnknownName and WhereError."""
    match condition:
        case All(parts) | Either(parts):
            made = [condition_sql(part, columns) for part in parts]
            joint = " and " if isinstance(condition, All) else " or "
            return Sql(f"({joint.join(part.text for part in made)})", tuple(v for part in made for v in part.values))
        case Not(part):
            inner = condition_sql(part, columns)
            return Sql(f"(not {inner.text})", inner.values)
        case IsNull(Name(name)):
            stored = column_named(name, columns).stored.values()
            return Sql(f"({' and '.join(f'{expression} is null' for expression in stored) or 'true'})")
        case IsTrue(Name(name)):
            return _of_type(column_named(name, columns), ("b",), "stand alone as a condition", ("{}",))
        case Matches(Name(name), how, pattern):
            matched = ("{} " + how + " ?", pattern)
            return _of_type(column_named(name, columns), ("s",), f"be matched with {how}", matched)
        case OneOf(Name(name), values):
            return _either([_compared(column_named(name, columns), "=", value) for value in values])
        case Compare(Name(name), operator, Name(other)):
            return _two_columns(column_named(name, columns), operator, column_named(other, columns))
        case Compare(Name(name), operator, right) if not isinstance(right, Name):
            return _compared(column_named(name, columns), operator, right)
    raise TypeError(f"{condition} is no condition")


def order_sql(sort: str, columns: Columns) -> str:
    """``-metrics.rmse, subproject`` as terms of ORDER BY; ``-`` is largest first, runs without a value come last."""
    terms = []
    for part in sort.split(","):
        name, direction = part.strip(), "asc"
        if name.startswith("-"):
            name, direction = name[1:].strip(), "desc"
        if not name:
            raise UnknownName(f"sort {sort!r} should read like -metrics.rmse or metrics.rmse, created_at")
        stored = column_named(name, columns).stored
        keys = [number_sql(stored)] if stored.keys() & set(NUMBERS) else []
        keys += [expression for kind, expression in stored.items() if kind not in NUMBERS]
        terms += [f"{key} {direction} nulls last" for key in keys]
    return ", ".join(terms)


def number_sql(stored: Mapping[Type, str]) -> str:
    """The numbers of a column as one expression."""
    if "i" not in stored:
        return stored["f"]
    return f"coalesce({stored['f']}, cast({stored['i']} as double))" if "f" in stored else stored["i"]


def _compared(column: Column, operator: str, value: Literal) -> Sql:
    if isinstance(value, bool):
        return _of_type(column, ("b",), "be compared with true or false", (f"{{}} {operator} ?", value))
    if isinstance(value, int | float):
        hint = f"be compared with the number {value}"
        return _of_type(column, NUMBERS, hint, (f"{{}} {operator} ?", _bound(value)))
    if _types(column) == {"t"}:
        return _of_type(column, ("t",), "", (f"{{}} {operator} ?", _time(column.name, value)))
    return _of_type(column, ("s",), f"be compared with the text {value!r}", (f"{{}} {operator} ?", value))


def _of_type(column: Column, kinds: tuple[Type, ...], verb: str, made: tuple[Any, ...]) -> Sql:
    """The condition over those stored columns that are of one of these types; an error if the column never is."""
    template, *values = made
    if not _types(column) & set(kinds):
        raise WhereError(f"where: {column.name} holds {_said(column)}, which cannot {verb}")
    texts = [template.format(expression) for kind, expression in column.stored.items() if kind in kinds]
    if not texts:
        return Sql(UNKNOWN)
    text = texts[0] if len(texts) == 1 else f"coalesce({', '.join(f'({text})' for text in texts)})"
    return Sql(f"({text})", tuple(values) * len(texts))


def _two_columns(left: Column, operator: str, right: Column) -> Sql:
    families: tuple[tuple[Type, ...], ...] = (NUMBERS, ("s",), ("t",), ("b",))
    shared = [family for family in families if _types(left) & set(family) and _types(right) & set(family)]
    if not shared:
        held = f"{left.name} holds {_said(left)} and {right.name} {_said(right)}"
        raise WhereError(f"where: {held}, which cannot be compared")
    texts = []
    for family in shared:
        sides = [_family_sql(column, family) for column in (left, right)]
        texts.append(f"({sides[0]} {operator} {sides[1]})" if all(sides) else UNKNOWN)
    return Sql(texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})")


def _family_sql(column: Column, family: tuple[Type, ...]) -> str:
    if family is NUMBERS:
        return number_sql(column.stored) if column.stored.keys() & set(NUMBERS) else ""
    return column.stored.get(family[0], "")


def _either(parts: list[Sql]) -> Sql:
    return Sql(f"({' or '.join(part.text for part in parts)})", tuple(v for part in parts for v in part.values))


def _types(column: Column) -> set[Type]:
    return {FIXED[column.name]} if column.name in FIXED else set(column.stored)


def _said(column: Column) -> str:
    return SAID[FIXED[column.name]] if column.name in FIXED else column.said()


def _bound(value: float) -> float:
    """A number the database takes: whole ones beyond 64 bits as fractions, which is how it would compare them."""
    return float(value) if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


def _time(name: str, text: str) -> datetime:
    ago = _AGO.fullmatch(text.strip().lower())
    try:
        if ago is not None:
            moment = datetime.now(UTC) - timedelta(**{f"{ago[2]}s": int(ago[1])})
        else:
            moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        expected = "write '2026-11-30', '2026-11-30 14:05' or '3 days ago'"
        raise WhereError(f"where: {name} holds times (UTC), and {text!r} is none; {expected}") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
