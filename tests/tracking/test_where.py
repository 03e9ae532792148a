"""The language of where: what it reads, what it refuses, and that it finds what a plain reading of the rows finds."""

import operator
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.tracking.run_query import RunQuery
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
from partitions.errors import MlopsError, UnknownName
from tests.tracking.runs_logged import PROJECT, log_runs, open_log, record

OF_NUMBERS = ("params.depth", "params.mixed", "params.C", "metrics.rmse", "seed", "fold")
OF_TEXT = ("params.mixed", "params.c", "tags.hub", "stage")


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    """40 runs whose columns hold whole numbers, fractions, text, true and false, lists, and nothing."""
    folder: Path = tmp_path_factory.mktemp("where")
    log = open_log(folder)
    mixed: list[Any] = [1, 2.5, "2", True, [3], "text", None, -7]
    runs = [
        record(
            n,
            subproject=f"S{n % 4}",
            parameters={"depth": n % 7, "mixed": mixed[n % 8], "C": n / 8, "c": f"c{n % 3}", "odd name": n},
            metrics={"rmse": (n * 7 % 11) / 4} if n % 5 else {"mae": 1.0},
            tags={"hub": "JFK" if n % 2 else "LAX"} if n % 3 else {},
            fold=n % 3 or None,
            code_version={"digest": "c", "commit": None, "dirty": n % 2 == 0},
        )
        for n in range(40)
    ]
    log_runs(log, runs)
    yield Tracker(log, PROJECT, folder / "index")
    log.instance.dispose()


def found(tracker: Tracker, where: str) -> list[int]:
    """The numbers (seeds) of the runs that fit, ascending."""
    return sorted(tracker.rows(RunQuery(where=where)).column("seed"))


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("metrics.rmse < 12", Compare(Name("metrics.rmse"), "<", 12)),
        ("12 > metrics.rmse", Compare(Name("metrics.rmse"), "<", 12)),
        ("a == -1.5e3", Compare(Name("a"), "=", -1500.0)),
        ("a <> 'it''s'", Compare(Name("a"), "!=", "it's")),
        ('a != "say ""so"""', Compare(Name("a"), "!=", 'say "so"')),
        ("a <= b", Compare(Name("a"), "<=", Name("b"))),
        ("a = TRUE", Compare(Name("a"), "=", True)),
        ("`params.odd name` >= .5", Compare(Name("params.odd name"), ">=", 0.5)),
        ("params.learning-rate > 0", Compare(Name("params.learning-rate"), ">", 0)),
        ("a in (1, 'b',true)", OneOf(Name("a"), (1, "b", True))),
        ("a not in (1)", Not(OneOf(Name("a"), (1,)))),
        ("a like 'x%' and a glob 'y*'", All((Matches(Name("a"), "like", "x%"), Matches(Name("a"), "glob", "y*")))),
        ("a not like 'x'", Not(Matches(Name("a"), "like", "x"))),
        ("a is null or a IS NOT NULL", Either((IsNull(Name("a")), Not(IsNull(Name("a")))))),
        ("dirty and not dirty", All((IsTrue(Name("dirty")), Not(IsTrue(Name("dirty")))))),
        ("a or b and c", Either((IsTrue(Name("a")), All((IsTrue(Name("b")), IsTrue(Name("c"))))))),
        ("((a or b)) and c", All((Either((IsTrue(Name("a")), IsTrue(Name("b")))), IsTrue(Name("c"))))),
    ],
)
def test_what_is_written_is_what_is_read(text: str, condition: Condition) -> None:
    assert parse(text) == condition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column or a value, but it ends (character 1)"),
        ("metrics.rmse <", "expected a column or a value, but it ends (character 15)"),
        ("metrics.rmse < 12 12", "expected `and`, `or` or the end, but there is '12' (character 19)"),
        ("1 < a < 2", "expected `and`, `or` or the end"),
        ("(a = 1", "expected `)`"),
        ("a = 'open", "the ' is never closed"),
        ("a = 1 && b = 2", "write `and` and `or` as words"),
        ("!a", "write `not` as a word"),
        ("a = null", "write `is null`"),
        ("a is 3", "expected `null`"),
        ("1 = 1", "a comparison needs a column on one side"),
        ("a in 3", "expected `(`"),
        ("a in ()", "expected a column or a value"),
        ("a in (1, b)", "expected a value, but there is 'b'"),
        ("a like b", "expected a pattern in quotes after `like`"),
        ("a between 1 and 2", "expected `and`, `or` or the end, but there is 'between'"),
        ("lower(a) = 'x'", "expected `and`, `or` or the end, but there is '('"),
        ("a = 1; drop table runs", "';' has no meaning here"),
        ("a = 1 -- and so on", "'-' has no meaning here"),
        ("a = 1 /* x */", "'/' has no meaning here"),
        ("a + 1 = 2", "'+' has no meaning here"),
        ("12abc = 1", "has no meaning here"),
        ("(" * 60 + "a" + ")" * 60, "nested more than 50 deep"),
        ("a = 1 or " * 2000 + "a = 1", "at most 10000 are read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(WhereError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.rmse < 1 or 1=1",
        "tags.hub = 'JFK' union select 1",
        "tags.hub = 'x'); drop table x; --",
        "exists (select 1)",
        "read_text('/etc/passwd') = ''",
        '"metrics.rmse:f" < 1',
        "e.event_id > 0",
        "event_id > 0",
        "what = 'run'",
        "`metrics.rmse:f` < 1",
        '`" or 1=1 --` = 1',
        "tags.hub = 'JFK' and params.depth > (select 1)",
        "$1 = 1",
        "params.depth = ?",
        "params.depth = 1::int",
    ],
)
def test_an_injection_is_an_error(tracker: Tracker, text: str) -> None:
    for query in (RunQuery(where=text), RunQuery(sort=text)):
        with pytest.raises(MlopsError):
            tracker.rows(query)


@pytest.mark.parametrize("text", ["x'); drop table runs; --", "' or '1'='1", '" or ""="', "%", "\\", "\x00", "ü€"])
def test_text_is_only_ever_text(tracker: Tracker, text: str) -> None:
    quoted = text.replace("'", "''")
    assert found(tracker, f"tags.hub = '{quoted}'") == []
    assert found(tracker, f"tags.hub != '{quoted}'") == [n for n in range(40) if n % 3]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("metrics.rsme < 1", "unknown column 'metrics.rsme'; nearest: metrics.rmse"),
        ("rmse < 1", "unknown column 'rmse': there is metrics.rmse"),
        ("Metrics.rmse < 1", "nearest: metrics.rmse"),
        ("tags.hub > 3", "tags.hub holds text, which cannot be compared with the number 3"),
        ("metrics.rmse = '1'", "metrics.rmse holds numbers, which cannot be compared with the text '1'"),
        ("metrics.rmse = true", "metrics.rmse holds numbers, which cannot be compared with true or false"),
        ("params.depth", "params.depth holds whole numbers, which cannot stand alone as a condition"),
        ("seed like '1%'", "seed holds whole numbers, which cannot be matched with like"),
        ("tags.hub < metrics.rmse", "tags.hub holds text and metrics.rmse numbers, which cannot be compared"),
        ("created_at > 'yesterday'", "created_at holds times (UTC), and 'yesterday' is none; write '2026-11-30'"),
        ("parent > 3", "parent holds text, which cannot be compared with the number 3"),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_says_what_would_be_right(
    tracker: Tracker, where: str, message: str
) -> None:
    with pytest.raises((WhereError, UnknownName), match=re.escape(message)):
        found(tracker, where)


def test_values_of_each_type_are_compared_with_their_like(tracker: Tracker) -> None:
    assert found(tracker, "params.mixed >= 1 and seed < 16") == [0, 1, 8, 9]
    assert found(tracker, "params.mixed = '2' and seed < 16") == [2, 10]
    assert found(tracker, "params.mixed and seed < 16") == [3, 11]
    assert found(tracker, "params.mixed is null and seed < 16") == [6, 14]
    assert found(tracker, "params.mixed in (1, 'text', true) and seed < 8") == [0, 3, 5]
    assert found(tracker, "params.C = 0.5") == [4]
    assert found(tracker, "params.c = 'c0'") == list(range(0, 40, 3))
    assert found(tracker, "`params.odd name` = 7") == [7]
    assert found(tracker, "seed < 99999999999999999999999999") == list(range(40))


def test_times_are_utc_and_may_be_relative(tracker: Tracker) -> None:
    assert found(tracker, "created_at >= '2026-01-01 00:00:38'") == [38, 39]
    assert found(tracker, "created_at >= '2026-01-01T01:00:38+01:00'") == [38, 39]
    assert found(tracker, "created_at < '2026-01-01'") == []
    day = datetime(2026, 1, 1, tzinfo=UTC)
    days = (datetime.now(UTC) - day) // timedelta(days=1) + 1
    assert len(found(tracker, f"created_at > '{days} days ago'")) == 40


def test_order_nulls_last_equal_ones_newest_first(tracker: Tracker) -> None:
    seeds = tracker.rows(RunQuery(sort="metrics.rmse", limit=3)).column("seed")
    assert seeds == [33, 22, 11]
    assert tracker.rows(RunQuery(sort="-metrics.rmse")).column("metrics.rmse")[-8:] == [None] * 8
    assert tracker.rows(RunQuery(sort="tags.hub, -seed", limit=2)).column("seed") == [37, 35]
    assert tracker.rows(RunQuery(limit=2)).column("seed") == [39, 38]
    with pytest.raises(UnknownName, match="unknown column 'metrics.rsme'; nearest: metrics.rmse"):
        tracker.rows(RunQuery(sort="-metrics.rsme"))
    with pytest.raises(UnknownName, match="should read like"):
        tracker.rows(RunQuery(sort=","))


def test_the_columns_that_a_condition_speaks_of() -> None:
    assert names_in(parse("a = 1 and (b > a or not c like 'x') and d is null or e in (1) or f")) == tuple("abcdef")


# ------------------------------------------------------------------------------- random conditions, plainly evaluated

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
