"""Stages of serving, in order, each with its retrainer: when, on which data, with which configuration."""

import functools
import re
import zoneinfo
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from partitions.errors import DeclarationError, nearest
from partitions.gates import Gate
from partitions.messages import Message
from partitions.names import check_stage_name
from partitions.pipeline import Window, as_utc
from partitions.plain import Plain
from partitions.strategies import Replace, Strategy
from partitions.values import Value


@functools.lru_cache(maxsize=4096)
def _schedule(expression: str) -> str:
    """The expression with single spaces, if it is one that fires. Thousands of subprojects share a few."""
    fields = expression.upper().split()
    if len(fields) != 5:
        reason = f"expected 5 fields (minute hour day month weekday), not {len(fields)}: {expression!r}"
        raise DeclarationError("", reason)
    if (fields[2] != "L" and "L" in fields[2]) or fields[4].endswith("L"):
        raise DeclarationError("", f"in {expression!r}, L stands only alone, as the day: the last of the month")
    try:
        CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise DeclarationError("", f"{expression!r} is not a schedule: {str(error).lower()}") from None
    return " ".join(expression.split())


class Cron(Value):
    """``0 3 * * 1``: minute, hour, day of month, month, day of week, in the time zone."""

    positional: ClassVar[tuple[str, ...]] = ("expression",)

    expression: str
    timezone: str = "UTC"

    if TYPE_CHECKING:

        def __init__(self, expression: str, *, timezone: str = "UTC") -> None: ...

    @field_validator("expression")
    @classmethod
    def _five_fields(cls, expression: str) -> str:
        return _schedule(expression)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str) -> str:
        try:
            zoneinfo.ZoneInfo(timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            known = sorted(zoneinfo.available_timezones())
            raise DeclarationError("", nearest(timezone, known, noun="time zone")) from None
        return timezone


class DeploymentData(Value):
    """The live data a retraining reads: the last ``window_days`` days, or since ``since``; up to ``until``, or now."""

    window_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    since: datetime | None = None
    until: datetime | None = None

    @model_validator(mode="after")
    def _one_beginning(self) -> "DeploymentData":
        if self.window_days is not None and self.since is not None:
            raise DeclarationError("", "give window_days or since, not both")
        if self.since is not None and self.until is not None and as_utc(self.since) >= as_utc(self.until):
            raise DeclarationError("", f"since {self.since} must lie before until {self.until}")
        return self

    def window(self, now: datetime) -> Window:
        """What to read at ``now``; all of it, up to now, where nothing is declared."""
        until = as_utc(self.until or now)
        since = as_utc(self.since) if self.since is not None else None
        return Window(since=until - timedelta(days=self.window_days) if self.window_days else since, until=until)


class Retraining(Value):
    """The retrainer of a stage. Its code version is not declared but set by ``mlops deploy``.

    schedule: None retrains by hand, or ``on_new_data``. data: what it reads. configuration: "best" follows the best
    configuration, a mapping fixes pipeline parameters. follow: a branch whose newest commit the stage always takes.
    """

    positional: ClassVar[tuple[str, ...]] = ("schedule",)

    schedule: Cron | None = None
    data: DeploymentData = DeploymentData()
    configuration: Literal["best"] | dict[str, Plain] = "best"
    on_new_data: bool = False
    follow: str | None = None

    if TYPE_CHECKING:

        def __init__(self, schedule: Cron | None = None, **fields: Any) -> None: ...

    @field_validator("follow")
    @classmethod
    def _a_branch(cls, follow: str | None) -> str | None:
        if follow is not None and not re.fullmatch(r"[^\s~^:?*\[\\-][^\s~^:?*\[\\]*", follow):
            raise DeclarationError("", f"expected the name of a branch, such as main, not {follow!r}")
        return follow


class Stage(Value):
    """A degree of serving. ``retraining`` may be just its Cron; ``gates`` None are the project's; ``notifications`` are
    sent beside the project's."""

    positional: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    retraining: Retraining | None = None
    strategy: Strategy = Replace()
    gates: tuple[Gate, ...] | None = None
    notifications: tuple[Message, ...] = ()

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            *,
            retraining: Cron | Retraining | None = None,
            strategy: Strategy = ...,
            gates: Sequence[Gate] | None = None,
            notifications: Sequence[Message] = (),
        ) -> None: ...

    @field_validator("name")
    @classmethod
    def _legal_name(cls, name: str) -> str:
        return check_stage_name(name)

    @field_validator("retraining", mode="before")
    @classmethod
    def _schedule_alone(cls, retraining: Any) -> Any:
        alone = isinstance(retraining, Cron) or (isinstance(retraining, Mapping) and "expression" in retraining)
        return {"schedule": retraining} if alone else retraining
