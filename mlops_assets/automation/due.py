"""Which schedules are due: pure, so that any moment, zone and outage can be asked about.

A schedule names times of day on the clock of its zone. A time that the clock leaps over (spring) fires when the clock
arrives; a time that it shows twice (autumn) fires the first time. A schedule with a wildcard for its minutes or hours
fires whenever the clock shows it, as cron does: every hour and every minute go by elapsed time.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from cronsim import CronSim

from partitions.stages import Cron

Key = tuple[str, str]
K = TypeVar("K", bound=Hashable)
NOTHING, SECOND, MINUTE = timedelta(0), timedelta(seconds=1), timedelta(minutes=1)
# No zone sets its clock further than this in one step, but for those that have moved across the date line.
LEAP = timedelta(hours=3)


@dataclass(frozen=True)
class Due:
    """A subproject to retrain for a stage. ``at``: the last of its times that has passed, in UTC."""

    subproject: str
    stage: str
    at: datetime


def due(schedules: Mapping[Key, Cron], since: datetime, now: datetime) -> list[Due]:
    """What became due after ``since``, up to and with ``now``, by (subproject, stage): each once, however often missed.

    Nothing where ``now`` is not after ``since``: a clock that was set back does not make anything due again.
    """
    if now <= since:
        return []
    last = _per_schedule(schedules, lambda cron: last_time(cron, now))
    return [Due(*key, at) for key, at in last.items() if at is not None and at > since]


def next_times(schedules: Mapping[K, Cron], now: datetime) -> dict[K, datetime | None]:
    """When each is due next, in UTC; None for one that never is again within 50 years."""
    return _per_schedule(schedules, lambda cron: next_time(cron, now))


def last_time(cron: Cron, now: datetime) -> datetime | None:
    """The last time at or before ``now`` at which the schedule fires, in UTC."""
    whole = now.astimezone(UTC).replace(microsecond=0)
    passed = (
        [at for at in times if at <= whole] for times in _by_the_clock(cron, whole + _margin(cron, whole, SECOND), -1)
    )
    return next((max(times) for times in passed if times), None)


def next_time(cron: Cron, now: datetime) -> datetime | None:
    """The first time after ``now`` at which the schedule fires, in UTC."""
    whole = now.astimezone(UTC).replace(microsecond=0)
    coming = (
        [at for at in times if at > whole] for times in _by_the_clock(cron, whole - _margin(cron, whole, NOTHING), 1)
    )
    return next((min(times) for times in coming if times), None)


def _by_the_clock(cron: Cron, start: datetime, direction: int) -> Iterator[list[datetime]]:
    """What the clock shows when the schedule fires, from ``start`` on, forwards or backwards, as moments in UTC.

    cronsim is asked about the clock alone: in zones that set it by half an hour it loses times. Moments that need not
    be in the order of what the clock shows, because it is set about them, come together.
    """
    walls = CronSim(cron.expression, _local(cron, start).replace(tzinfo=None), reverse=direction < 0)
    together: list[datetime] = []
    until = None
    for wall in walls:
        if until is not None and (wall - until) * direction > NOTHING:
            yield together
            together, until = [], None
        moments = _moments(cron, wall)
        together += moments
        if until is None and not any(_clock_is_set(cron, at) for at in moments):
            yield together
            together = []
        elif until is None:
            until = wall + LEAP * direction
    yield together


def _moments(cron: Cron, wall: datetime) -> list[datetime]:
    """When the clock shows ``wall`` and the schedule fires."""
    if cron.timezone == "UTC":
        return [wall.replace(tzinfo=UTC)]
    shown = [wall.replace(tzinfo=ZoneInfo(cron.timezone), fold=fold) for fold in (0, 1)]
    first, second = (one.utcoffset() or NOTHING for one in shown)
    wildcard = any(field.startswith("*") for field in cron.expression.split()[:2])
    if first == second:
        return [shown[0].astimezone(UTC)]
    if first > second:  # set back: shown twice
        return [one.astimezone(UTC) for one in shown[: 2 if wildcard else 1]]
    # Leapt over: the next minute that is shown is when the clock arrives.
    return [] if wildcard else _moments(cron, wall + MINUTE)


def _per_schedule(schedules: Mapping[K, Cron], of: Callable[[Cron], datetime | None]) -> dict[K, datetime | None]:
    """Asked once per distinct schedule: thousands of subprojects share a few."""
    known: dict[tuple[str, str], datetime | None] = {}
    found = {}
    for key, cron in schedules.items():
        said = (cron.expression, cron.timezone)
        if said not in known:
            known[said] = of(cron)
        found[key] = known[said]
    return found


def _margin(cron: Cron, moment: datetime, usual: timedelta) -> timedelta:
    """So much further one has to look where what the clock shows does not say what comes first."""
    return LEAP if _clock_is_set(cron, moment) else usual


def _clock_is_set(cron: Cron, moment: datetime) -> bool:
    if cron.timezone == "UTC":
        return False
    return _local(cron, moment - LEAP).utcoffset() != _local(cron, moment + LEAP).utcoffset()


def _local(cron: Cron, moment: datetime) -> datetime:
    return moment if cron.timezone == "UTC" else moment.astimezone(ZoneInfo(cron.timezone))
