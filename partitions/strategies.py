"""How a new model takes over from the one that serves: the deployment strategies, as values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from partitions.errors import DeclarationError
from partitions.values import Value

Part = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Minutes = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Replace(Value):
    """At once and for all requests."""

    type: Literal["replace"] = "replace"


class Canary(Value):
    """First a ``fraction`` of the requests, then each fraction of ``steps``, then all; ``minutes`` at each, and no step
    further before ``min_requests`` were answered there."""

    positional: ClassVar[tuple[str, ...]] = ("fraction",)

    type: Literal["canary"] = "canary"
    fraction: Part
    steps: tuple[Part, ...] = ()
    minutes: Minutes = 60.0
    min_requests: int = Field(default=0, ge=0)

    if TYPE_CHECKING:

        def __init__(
            self, fraction: float, *, steps: Sequence[float] = (), minutes: float = 60.0, min_requests: int = 0
        ) -> None: ...

    @model_validator(mode="after")
    def _growing(self) -> "Canary":
        fractions = (self.fraction, *self.steps)
        if any(later <= earlier for earlier, later in zip(fractions, self.steps, strict=False)):
            written = ", ".join(f"{fraction:g}" for fraction in fractions)
            raise DeclarationError("", f"fraction and steps must grow from one to the next, not {written}")
        return self


class Shadow(Value):
    """Answers ``fraction`` of the requests beside the model that serves; callers never see these answers. ``minutes``
    later it takes over; None: only when promoted."""

    positional: ClassVar[tuple[str, ...]] = ("fraction",)

    type: Literal["shadow"] = "shadow"
    fraction: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    minutes: Minutes | None = None

    if TYPE_CHECKING:

        def __init__(self, fraction: float = 1.0, *, minutes: float | None = None) -> None: ...


class ABTest(Value):
    """A fixed ``fraction`` of the requests, by caller, until ``min_outcomes`` outcomes of each model are known; then
    the better one by ``metric`` serves. Without a metric a person decides."""

    positional: ClassVar[tuple[str, ...]] = ("fraction",)

    type: Literal["ab_test"] = "ab_test"
    fraction: Part = 0.5
    metric: str | None = None
    min_outcomes: int = Field(default=1000, ge=1)

    if TYPE_CHECKING:

        def __init__(self, fraction: float = 0.5, *, metric: str | None = None, min_outcomes: int = 1000) -> None: ...


Strategy = Annotated[Replace | Canary | Shadow | ABTest, Field(discriminator="type")]
