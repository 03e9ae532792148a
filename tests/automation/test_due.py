"""What is due when: against a clock that is walked minute by minute, over leaps of the clock, outages and jumps."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.automation.due import Due, due, last_time, next_time, next_times
from partitions.errors import DeclarationError
from partitions.stages import Cron

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NEW_YORK = ZoneInfo("America/New_York")


def at(text: str, zone: tzinfo = UTC) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def fired(cron: Cron, since: datetime, until: datetime, step: timedelta = MINUTE) -> list[datetime]:
    """Every time at which someone who looks each ``step`` finds it due."""
    found, moment = [], since
    while moment < until:
        later = min(moment + step, until)
        found += [one.at for one in due({("AA", "production"): cron}, moment, later)]
        moment = later
    return found


def shown(moments: list[datetime], zone: str) -> list[str]:
    return [moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M%z") for moment in moments]


def test_what_is_due_is_told_by_subproject_and_stage_with_its_time() -> None:
    daily, weekly = Cron("0 3 * * *"), Cron("0 3 * * 1")
    schedules = {("AA", "production"): daily, ("AA", "testing"): weekly, ("B6", "production"): weekly}
    tuesday = at("2024-05-14T03:00")
    assert due(schedules, tuesday - MINUTE, tuesday) == [Due("AA", "production", tuesday)]
    monday = tuesday - timedelta(days=1)
    assert {(one.subproject, one.stage) for one in due(schedules, monday - MINUTE, monday)} == set(schedules)
    assert due(schedules, tuesday, tuesday + MINUTE) == []
    assert due({}, monday, tuesday) == []


def test_missed_times_are_due_once_with_the_last_of_them() -> None:
    found = due({("AA", "production"): Cron("0 * * * *")}, at("2024-05-01T00:00"), at("2024-05-20T10:30"))
    assert found == [Due("AA", "production", at("2024-05-20T10:00"))]


def test_a_clock_that_is_set_back_makes_nothing_due_again() -> None:
    schedules, noon = {("AA", "production"): Cron("* * * * *")}, at("2024-05-01T12:00")
    assert due(schedules, noon, noon - HOUR) == [] and due(schedules, noon, noon) == []


@pytest.mark.parametrize(
    ("cron", "zone", "day", "expected"),
    [
        # 02:30 is leapt over: it fires when the clock arrives at 03:00.
        ("30 2 * * *", "America/New_York", "2024-03-10", ["03-10 03:00-0400"]),
        ("30 2 * * *", "Europe/Berlin", "2024-03-31", ["03-31 03:00+0200"]),
        ("0 0 * * *", "Asia/Beirut", "2024-03-31", ["03-31 01:00+0300"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2024-10-06", ["10-06 02:30+1100"]),
        # Leapt over and named as well: once.
        ("0 2,3 * * *", "America/New_York", "2024-03-10", ["03-10 03:00-0400"]),
        # 01:30 is shown twice: it fires the first time.
        ("30 1 * * *", "America/New_York", "2024-11-03", ["11-03 01:30-0400"]),
        ("30 2 * * *", "Europe/Berlin", "2024-10-27", ["10-27 02:30+0200"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2024-04-07", ["04-07 01:45+1100"]),
        ("30 1,2 * * *", "America/New_York", "2024-11-03", ["11-03 01:30-0400", "11-03 02:30-0500"]),
        # Times beside the leap are what the clock shows.
        ("0 3 * * *", "America/New_York", "2024-03-10", ["03-10 03:00-0400"]),
        ("0 3 * * *", "America/New_York", "2024-11-03", ["11-03 03:00-0500"]),
        ("30 5 * * *", "Asia/Kolkata", "2024-03-10", ["03-10 05:30+0530"]),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 90])
def test_a_time_that_the_clock_leaps_over_or_shows_twice_fires_once(
    cron: str, zone: str, day: str, expected: list[str], step: int
) -> None:
    start = at(f"{day}T00:00", ZoneInfo(zone)) - MINUTE
    found = shown(fired(Cron(cron, timezone=zone), start, start + 23 * HOUR, step * MINUTE), zone)
    if step == 90:  # those close together are missed times to one who looks so seldom
        assert set(found) <= set(expected) and found
        expected = found if len(expected) > 1 else expected
    assert found == expected


def test_every_hour_and_every_minute_go_by_elapsed_time() -> None:
    hourly = Cron("30 * * * *", timezone="America/New_York")
    autumn = at("2024-11-03T00:00", NEW_YORK)
    assert len(fired(hourly, autumn, autumn + 5 * HOUR)) == 5
    spring = at("2024-03-10T00:00", NEW_YORK)
    assert len(fired(hourly, spring, spring + 5 * HOUR)) == 5


def test_whoever_looks_first_in_the_second_of_two_equal_hours_finds_what_fired_in_the_first() -> None:
    cron = Cron("30 1 * * *", timezone="America/New_York")
    first = at("2024-11-03T05:30")  # 01:30 -04:00
    for now in (first + timedelta(minutes=40), first + timedelta(minutes=70)):  # 01:10 and 01:40, -05:00
        assert last_time(cron, now) == first
        assert [one.at for one in due({("AA", "p"): cron}, first - MINUTE, now)] == [first]
        assert due({("AA", "p"): cron}, first, now) == []
        next_one = next_time(cron, now)
        assert next_one is not None and shown([next_one], "America/New_York") == ["11-04 01:30-0500"]


def test_a_day_that_a_country_left_out() -> None:
    cron = Cron("0 12 * * *", timezone="Pacific/Apia")  # there was no 30 December 2011
    found = fired(cron, at("2011-12-29T00:00"), at("2012-01-01T12:00"))
    noons = ["12-29 12:00-1000", "12-31 00:00+1400", "12-31 12:00+1400", "01-01 12:00+1400"]
    assert shown(found, "Pacific/Apia") == noons


def test_the_next_time_of_each() -> None:
    now = at("2024-05-14T03:00")
    expected = {"a": at("2024-05-15T03:00"), "b": at("2024-05-20T03:00"), "c": at("2028-02-29T00:00")}
    crons = {"a": Cron("0 3 * * *"), "b": Cron("0 3 * * 1"), "c": Cron("0 0 29 2 *")}
    assert next_times(crons, now) == expected


@pytest.mark.parametrize("cron", ["61 * * * *", "* * *", "0 0 31 2 *", "@daily", "0 0 * * * *", "a b c d e"])
def test_what_is_no_schedule_cannot_be_declared(cron: str) -> None:
    with pytest.raises(DeclarationError):
        Cron(cron)


ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
minutes = st.one_of(st.just("*"), st.integers(0, 59).map(str), st.sampled_from(["*/15", "0,30"]))
hours = st.one_of(st.just("*"), st.integers(0, 23).map(str), st.sampled_from(["*/6", "1-3", "1,2"]))
days = st.sampled_from(["*", "*", "1", "15", "L"])
weekdays = st.sampled_from(["*", "*", "1", "1-5", "0"])
crons = st.builds(
    lambda minute, hour, day, weekday, zone: Cron(f"{minute} {hour} {day} * {weekday}", timezone=zone),
    minutes, hours, days, weekdays, st.sampled_from(ZONES),
)  # fmt: skip
# Some hours before clocks are set.
SET = [
    "2024-03-10T03:00",
    "2024-03-30T21:00",
    "2024-10-26T20:00",
    "2024-11-03T01:00",
    "2024-04-06T10:00",
    "2024-10-05T10:00",
]
# About the days on which clocks are set, and any other.
moments = st.one_of(
    st.datetimes(datetime(2024, 3, 9), datetime(2024, 3, 12)),  # noqa: DTZ001
    st.datetimes(datetime(2024, 11, 2), datetime(2024, 11, 5)),  # noqa: DTZ001
    st.datetimes(datetime(2024, 4, 6), datetime(2024, 4, 8)),  # noqa: DTZ001
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
).map(lambda moment: moment.replace(tzinfo=UTC))


@given(crons, moments)
@example(Cron("* 0 * * *", timezone="Australia/Lord_Howe"), datetime(2024, 4, 6, 14, tzinfo=UTC))
@settings(max_examples=300, deadline=None)
def test_last_and_next_agree(cron: Cron, now: datetime) -> None:
    last, following = last_time(cron, now), next_time(cron, now)
    assert last is not None and following is not None
    assert last <= now < following
    assert last_time(cron, following) == following
    assert next_time(cron, last) == following
    assert last_time(cron, following - timedelta(seconds=1)) == last


@given(crons, moments, st.lists(st.integers(1, 5000), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_however_often_one_looks_each_time_is_found_at_most_once_and_the_last_always(
    cron: Cron, since: datetime, waits: list[int]
) -> None:
    found, moment = [], since
    for wait in waits:
        later = moment + timedelta(minutes=wait)
        found += [one.at for one in due({("AA", "p"): cron}, moment, later)]
        moment = later
    assert found == sorted(set(found)) and all(since < one <= moment for one in found)
    last = last_time(cron, moment)
    assert found[-1:] == [last] if last is not None and last > since else found == []


def test_distinct_schedules_are_computed_once() -> None:
    shared = {(f"S{number}", "production"): Cron("0 3 * * 1") for number in range(10_000)}
    monday = at("2024-05-13T03:00")
    found = due(shared, monday - MINUTE, monday)
    assert len(found) == 10_000 and len({id(one.at) for one in found}) == 1


@given(crons, st.sampled_from(SET))
@example(Cron("* 0 * * *", timezone="Australia/Lord_Howe"), "2024-04-06T10:00")
@settings(max_examples=60, deadline=None)
def test_it_fires_when_the_clock_shows_it(cron: Cron, since: str) -> None:
    start, zone = at(since), UTC if cron.timezone == "UTC" else ZoneInfo(cron.timezone)
    wildcard = any(field.startswith("*") for field in cron.expression.split()[:2])
    expected: list[datetime] = []
    for minute in range(1, 12 * 60):
        moment = start + minute * MINUTE
        wall, before = (one.astimezone(zone).replace(tzinfo=None, fold=0) for one in (moment, moment - MINUTE))
        # All that the clock shows in this minute, with what it has just leapt over.
        leapt = max(1, int((wall - before) / MINUTE))
        shown = [wall - MINUTE * back for back in range(1 if wildcard else leapt)]
        first = wildcard or moment.astimezone(zone).fold == 0
        expected += [moment] if first and any(named(cron, one) for one in shown) else []
    found, moment = [], start
    while (following := next_time(cron, moment)) is not None and following < start + 12 * HOUR:
        assert last_time(cron, following) == following and last_time(cron, following + MINUTE / 2) == following
        moment = following
        found.append(following)
    assert found == expected


def named(cron: Cron, wall: datetime) -> bool:
    """Whether a schedule names a time of day, by a clock that is never set."""
    return bool(next(CronSim(cron.expression, wall - MINUTE)) == wall)
