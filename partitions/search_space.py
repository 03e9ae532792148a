"""The search space of a subproject: which parameters may take which values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from partitions.errors import DeclarationError, Problem, nearest
from partitions.plain import Plain, PlainScalar, Scalar
from partitions.problems import shown
from partitions.values import Value

Finite = Annotated[float, Field(allow_inf_nan=False)]
When = Mapping[str, Scalar | Sequence[Scalar]]


class _Dimension(Value):
    """The values one parameter may take. ``when={"booster": ["gbtree", "dart"]}`` samples it only where another
    parameter has one of these values; everywhere else the parameter keeps its default."""

    when: dict[str, tuple[PlainScalar, ...]] | None = None

    @field_validator("when", mode="before")
    @classmethod
    def _one_value_is_a_list_of_one(cls, when: Any) -> Any:
        if not isinstance(when, Mapping):
            return when
        if not when:
            raise DeclarationError("", "names no other parameter; leave it out")
        listed = {name: values if isinstance(values, list | tuple) else (values,) for name, values in when.items()}
        empty = [name for name, values in listed.items() if not values]
        if empty:
            raise DeclarationError("", f"lists no value of {', '.join(empty)}")
        return listed


class _Range(_Dimension):
    """What Float and Int share. A subclass declares the types of low, high and step."""

    positional: ClassVar[tuple[str, ...]] = ("low", "high")

    low: Any
    high: Any
    log: bool = False
    step: Any = None

    @model_validator(mode="after")
    def _bounds_fit(self) -> "_Range":
        if self.low > self.high:
            raise DeclarationError("", f"bounds reversed: low {self.low} is above high {self.high}")
        if self.low == self.high:
            raise DeclarationError("", f"low and high are both {self.low}; use Fixed({self.low})")
        if self.log and self.low <= 0:
            raise DeclarationError("", f"a logarithmic range must begin above 0, not at {self.low}")
        if self.log and self.step is not None:
            raise DeclarationError("", "log and step do not go together; leave one of them out")
        if self.step is not None and self.step > self.high - self.low:
            raise DeclarationError("", f"step {self.step} is larger than the range from {self.low} to {self.high}")
        return self


class Float(_Range):
    """A number between ``low`` and ``high``, both included; evenly, or in logarithmic steps with ``log``."""

    type: Literal["float"] = "float"
    low: Finite
    high: Finite
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    if TYPE_CHECKING:

        def __init__(
            self, low: float, high: float, *, log: bool = False, step: float | None = None, when: When | None = None
        ) -> None: ...

    def contains(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-8)

    def values(self) -> tuple[Scalar, ...] | None:
        """Every value in order, or None where they cannot be counted."""
        if self.step is None:
            return None
        count = int((self.high - self.low) / self.step + 1e-8) + 1
        return tuple(min(self.low + position * self.step, self.high) for position in range(count))


class Int(_Range):
    """A whole number between ``low`` and ``high``, both included."""

    type: Literal["int"] = "int"
    low: int
    high: int
    step: Annotated[int, Field(gt=0)] | None = None

    if TYPE_CHECKING:

        def __init__(
            self, low: int, high: int, *, log: bool = False, step: int | None = None, when: When | None = None
        ) -> None: ...

    def contains(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            return False
        return self.step is None or (value - self.low) % self.step == 0

    def values(self) -> tuple[Scalar, ...] | None:
        """Every value in order."""
        return tuple(range(self.low, self.high + 1, self.step or 1))


class Categorical(_Dimension):
    """One of several values: text, numbers, true, false or null, in any order."""

    positional: ClassVar[tuple[str, ...]] = ("choices",)

    type: Literal["categorical"] = "categorical"
    choices: tuple[PlainScalar, ...]

    if TYPE_CHECKING:

        def __init__(self, choices: Sequence[Scalar], *, when: When | None = None) -> None: ...

    @field_validator("choices")
    @classmethod
    def _several_different(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if not choices:
            raise DeclarationError("", "there are no choices")
        for position, choice in enumerate(choices):
            if choice in choices[:position]:
                raise DeclarationError("", f"{choice!r} is there twice")
        return choices

    def contains(self, value: Any) -> bool:
        return any(_same(value, choice) for choice in self.choices)

    def values(self) -> tuple[Scalar, ...] | None:
        """Every choice, in the order declared."""
        return self.choices


class Fixed(_Dimension):
    """One value: the parameter is part of the space and is not searched."""

    positional: ClassVar[tuple[str, ...]] = ("value",)

    type: Literal["fixed"] = "fixed"
    value: Plain

    if TYPE_CHECKING:

        def __init__(self, value: Any, *, when: When | None = None) -> None: ...

    def contains(self, value: Any) -> bool:
        return _same(value, self.value)

    def values(self) -> tuple[Any, ...] | None:
        """The one value."""
        return (self.value,)


Dimension = Float | Int | Categorical | Fixed
AnyDimension = Annotated[Dimension, Field(discriminator="type")]


class SearchSpace(Value):
    """The dimensions by parameter name: ``SearchSpace(max_depth=Int(2, 10), rate=Float(0.01, 0.3, log=True))``."""

    dimensions: dict[str, AnyDimension] = Field(default_factory=dict)

    def __init__(self, **dimensions: Any) -> None:
        # The JSON form is {"dimensions": {...}}; a parameter of that name is a dimension, or a mapping with its type.
        stored = dimensions.get("dimensions") if len(dimensions) == 1 else None
        if isinstance(stored, Mapping) and not isinstance(stored.get("type"), str):
            dimensions = dict(stored)
        super().__init__(dimensions=dimensions)

    @model_validator(mode="after")
    def _conditions_lead_somewhere(self) -> "SearchSpace":
        problems = [
            Problem(f"dimensions.{name}.when", problem)
            for name, dimension in self.dimensions.items()
            for other, values in (dimension.when or {}).items()
            for problem in self._condition_problems(other, values)
        ]
        if problems:
            raise DeclarationError("", problems)
        self.in_order()
        return self

    def _condition_problems(self, other: str, values: tuple[Scalar, ...]) -> list[str]:
        if other not in self.dimensions:
            return [nearest(other, self.dimensions, noun="parameter of the space")]
        outside = [value for value in values if not self.dimensions[other].contains(value)]
        return [f"{shown(value)} is not a value that {other!r} can take" for value in outside]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, in the order declared."""
        return tuple(self.dimensions)

    def in_order(self) -> tuple[str, ...]:
        """The parameters, each after those its ``when`` names; otherwise in the order declared."""
        if not any(dimension.when for dimension in self.dimensions.values()):
            return self.names
        done: dict[str, None] = {}
        waiting = list(self.dimensions)
        while waiting:
            ready = [name for name in waiting if all(other in done for other in self.dimensions[name].when or {})]
            if not ready:
                raise DeclarationError("", f"the conditions of {', '.join(sorted(waiting))} form a cycle")
            done.update(dict.fromkeys(ready))
            waiting = [name for name in waiting if name not in done]
        return tuple(done)

    def part(self, names: Iterable[str]) -> "SearchSpace":
        """The space of only these parameters; refuses an unknown one, and one whose condition is left out."""
        wanted = tuple(names)
        unknown = [name for name in wanted if name not in self.dimensions]
        if unknown:
            raise DeclarationError("", nearest(unknown[0], self.dimensions, noun="parameter of the space"))
        return SearchSpace(dimensions={name: self.dimensions[name] for name in wanted})

    def changed(self, changes: Mapping[str, Dimension | None]) -> "SearchSpace":
        """This space with some dimensions put in or replaced; None takes one out."""
        absent = next((name for name, value in changes.items() if value is None and name not in self.dimensions), None)
        if absent is not None:
            raise DeclarationError("", nearest(absent, self.dimensions, noun="parameter of the space"))
        merged = {**self.dimensions, **changes}
        return SearchSpace(dimensions={name: dimension for name, dimension in merged.items() if dimension is not None})


def _same(one: Any, other: Any) -> bool:
    """Equal, and both or neither a boolean: in Python ``True == 1``."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
