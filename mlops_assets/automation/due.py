"""Which schedules are due: pure, so that any moment, zone and outage can be asked about.

A schedule names times of day on the clock of its zone. A time that the clock leaps over (spring) fires when the clock
arrives; a time that it shows twice (autumn) fires the first time. A schedule of every minute or every hour goes by
elapsed time, as cron does.

On Lord Howe Island, where the clock is set by half an hour, cronsim is off by that for some schedules with a wildcard
in the night and day after.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from cronsim import CronSim

from partitions.stages import Cron

Key = tuple[str, str]
K = TypeVar("K", bound=Hashable)
SECOND = timedelta(seconds=1)
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
    # cronsim counts a shifted hour by what the clock shows, which does not say in which of two equal hours ``now``
    # lies: where the clock is set about now, start beyond that and look at real time.
    start = whole + (LEAP if _clock_is_set(cron, whole) else SECOND)
    for moment in CronSim(cron.expression, _local(cron, start), reverse=True):
        if (at := moment.astimezone(UTC)) <= whole:
            return at
    return None


def next_time(cron: Cron, now: datetime) -> datetime | None:
    """The first time after ``now`` at which the schedule fires, in UTC."""
    whole = now.astimezone(UTC).replace(microsecond=0)
    start = whole - LEAP if _clock_is_set(cron, whole) else whole
    for moment in CronSim(cron.expression, _local(cron, start)):
        if (at := moment.astimezone(UTC)) > whole:
            return at
    return None


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


def _clock_is_set(cron: Cron, moment: datetime) -> bool:
    if cron.timezone == "UTC":
        return False
    return _local(cron, moment - LEAP).utcoffset() != _local(cron, moment + LEAP).utcoffset()


def _local(cron: Cron, moment: datetime) -> datetime:
    return moment if cron.timezone == "UTC" else moment.astimezone(ZoneInfo(cron.timezone))
