"""The language of where: what it reads, what it refuses, and what it finds."""

import re
from datetime import UTC, datetime, timedelta

import pytest

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
from tests.tracking.mixed_runs import found
from tests.tracking.mixed_runs import tracker as tracker


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
