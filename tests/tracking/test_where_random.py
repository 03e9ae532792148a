"""Random conditions find what a plain reading of the rows finds; random text is read or refused with its place."""

import operator
import re
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.tracking.tracker import Tracker
from mlops_assets.tracking.where import (
    All,
    Compare,
    Condition,
    Either,
    IsNull,
    IsTrue,
    Matches,
    Name,
    Not,
    OneOf,
    WhereError,
    names_in,
    parse,
)
from tests.tracking.mixed_runs import found
from tests.tracking.mixed_runs import tracker as tracker

OF_NUMBERS = ("params.depth", "params.mixed", "params.C", "metrics.rmse", "seed", "fold")
OF_TEXT = ("params.mixed", "params.c", "tags.hub", "stage")
NUMBERS = st.one_of(st.integers(-8, 40), st.sampled_from([0.5, 1.75, 2.5, -7.0, 1e3]))
TEXTS = st.sampled_from(["JFK", "LAX", "c0", "c1", "2", "text", "", "it's", "C"])
PATTERNS = st.sampled_from(["J%", "%X", "_FK", "c_", "%", "", "t%t"])
GLOBS = st.sampled_from(["J*", "*X", "?FK", "c[01]", "*", "", "t*t"])
LITERALS = st.one_of(NUMBERS, TEXTS, st.booleans())
COLUMNS = st.sampled_from((*OF_NUMBERS, *OF_TEXT, "dirty")).map(Name)
NUMERIC, TEXTUAL = (st.sampled_from(names).map(Name) for names in (OF_NUMBERS, OF_TEXT))
TRUE_OR_FALSE = st.sampled_from(("dirty", "params.mixed")).map(Name)
FUNCTIONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
OPERATORS = dict(zip(("=", "!=", "<", "<=", ">", ">="), FUNCTIONS, strict=True))
SIGNS = st.sampled_from(list(OPERATORS))
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, NUMERIC, SIGNS, st.one_of(NUMBERS, NUMERIC)),
    st.builds(Compare, TEXTUAL, SIGNS, st.one_of(TEXTS, TEXTUAL)),
    st.builds(Compare, TRUE_OR_FALSE, SIGNS, st.one_of(st.booleans(), TRUE_OR_FALSE)),
    st.builds(OneOf, NUMERIC, st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)),
    st.builds(OneOf, st.just(Name("params.mixed")), st.lists(LITERALS, min_size=1, max_size=3).map(tuple)),
    st.builds(Matches, TEXTUAL, st.just("like"), PATTERNS),
    st.builds(Matches, TEXTUAL, st.just("glob"), GLOBS),
    st.builds(IsNull, COLUMNS),
    st.builds(IsTrue, TRUE_OR_FALSE),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def written(condition: Condition) -> str:
    """The condition as text, with every part in parentheses."""
    match condition:
        case Compare(left, sign, right):
            return f"{_word(left)} {sign} {_word(right)}"
        case OneOf(column, values):
            return f"{_word(column)} in ({', '.join(map(_word, values))})"
        case Matches(column, how, pattern):
            return f"{_word(column)} {how} {_word(pattern)}"
        case IsNull(column):
            return f"{_word(column)} is null"
        case IsTrue(column):
            return _word(column)
        case Not(part):
            return f"not ({written(part)})"
        case All(parts) | Either(parts):
            return (" and " if isinstance(condition, All) else " or ").join(f"({written(part)})" for part in parts)


def _word(value: Any) -> str:
    if isinstance(value, Name):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def says(condition: Condition, row: dict[str, Any]) -> bool | None:
    """True, False, or None where the row has nothing to compare: the three values of SQL."""
    match condition:
        case Compare(Name(name), sign, right):
            other = row.get(right.name) if isinstance(right, Name) else right
            return _compared(OPERATORS[sign], row.get(name), other)
        case OneOf(Name(name), values):
            return _any([_compared(operator.eq, row.get(name), value) for value in values])
        case Matches(Name(name), how, pattern):
            value = row.get(name)
            if not isinstance(value, str):
                return None
            like = re.escape(pattern).replace("%", ".*").replace("_", ".")
            return fnmatchcase(value, pattern) if how == "glob" else re.fullmatch(like, value) is not None
        case IsNull(Name(name)):
            return row.get(name) is None
        case IsTrue(Name(name)):
            value = row.get(name)
            return value if isinstance(value, bool) else None
        case Not(part):
            inner = says(part, row)
            return None if inner is None else not inner
        case Either(parts):
            return _any([says(part, row) for part in parts])
        case All(parts):
            inner = _any([None if (said := says(part, row)) is None else not said for part in parts])
            return None if inner is None else not inner
    raise TypeError(condition)


def _any(parts: list[bool | None]) -> bool | None:
    return True if True in parts else None if None in parts else False


def _compared(how: Any, value: Any, other: Any) -> bool | None:
    kinds = {bool: "b", str: "s", int: "n", float: "n"}
    same = type(value) in kinds and kinds[type(value)] == kinds.get(type(other))
    return bool(how(value, other)) if same else None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONDITIONS)
def test_a_condition_finds_what_a_plain_reading_of_the_rows_finds(tracker: Tracker, condition: Condition) -> None:
    text = written(condition)
    assert parse(text) == condition
    assert found(tracker, text) == sorted(row["seed"] for row in _all_rows(tracker) if says(condition, row))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=12), st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_no_value_is_too_strange_to_ask_for(tracker: Tracker, text: str, number: float) -> None:
    before = {file: file.stat().st_mtime_ns for file in tracker.index.refresh().files}
    quoted = "'" + text.replace("'", "''") + "'"
    of_text = f"tags.hub glob {quoted} or tags.hub like {quoted} or tags.hub >= {quoted}"
    of_both = f"params.mixed in ({quoted}, {number!r}) or seed < {number!r} or metrics.rmse >= {number!r}"
    assert len(found(tracker, f"{of_text} or {of_both}")) <= 40
    assert {file: file.stat().st_mtime_ns for file in before} == before, (
        "what cannot be asked is no damage of the index"
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab.'\"()<>=!,;-` 1and or not in null", max_size=40))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        condition = parse(text)
    except WhereError as error:
        message = str(error)
    else:
        message = f"read, character by character: {names_in(condition)}"
    assert "character" in message


_ROWS: dict[int, list[dict[str, Any]]] = {}


def _all_rows(tracker: Tracker) -> list[dict[str, Any]]:
    if id(tracker) not in _ROWS:
        _ROWS[id(tracker)] = [run.row() for run in tracker.records()]
    return _ROWS[id(tracker)]
