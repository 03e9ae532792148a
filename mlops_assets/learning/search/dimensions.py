"""A search space as Optuna samples it, and parameters as Optuna knows them.

Optuna is given the place of a choice among the choices and not the choice itself: it takes few types. What is fixed is
not told to Optuna at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from partitions.search_space import Categorical, Dimension, Fixed, Float, Int, SearchSpace

CIRCUMSTANCE = "circumstance"
HERE = ""


@dataclass(frozen=True)
class Dimensions:
    """``base``: complete parameters; what is not sampled keeps its value there.

    ``circumstances``: the own one first, then those of the values known of other code or data.
    """

    space: SearchSpace
    base: Mapping[str, Any]
    circumstances: tuple[str, ...] = ()

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The parameters, each after those it depends on."""
        return self.space.in_order()

    @cached_property
    def sampled(self) -> dict[str, Any]:
        """Optuna's distribution of everything that has more than one value."""
        named = {name: _distribution(self.space.dimensions[name]) for name in self.order}
        if len(self.circumstances) > 1:
            named[CIRCUMSTANCE] = _places(len(self.circumstances))
        return {name: distribution for name, distribution in named.items() if distribution is not None}

    @property
    def conditional(self) -> bool:
        return any(dimension.when for dimension in self.space.dimensions.values())

    def suggested(self, trial: Any) -> dict[str, Any]:
        """Complete parameters of a trial, each sampled by Optuna where its condition holds."""
        if CIRCUMSTANCE in self.sampled:
            _suggest(trial, CIRCUMSTANCE, self.sampled[CIRCUMSTANCE])
        parameters = dict(self.base)
        for name in self.order:
            dimension = self.space.dimensions[name]
            if not _holds(dimension, parameters):
                continue
            if name in self.sampled:
                parameters[name] = _value(dimension, _suggest(trial, name, self.sampled[name]))
            elif isinstance(dimension, Fixed):
                parameters[name] = dimension.value
            else:
                parameters[name] = (dimension.values() or (self.base[name],))[0]
        return parameters

    def known(self, parameters: Mapping[str, Any], circumstance: str = HERE) -> dict[str, Any] | None:
        """Parameters as Optuna knows them; None where they lie outside the space, or differ where nothing is sampled.

        A parameter that is not named has the value of the base: it was added to the space later.
        """
        full = {**self.base, **parameters}
        searched = set(self.space.dimensions)
        if any(full[name] != self.base.get(name) for name in full if name not in searched):
            return None
        told: dict[str, Any] = {}
        for name in self.order:
            dimension = self.space.dimensions[name]
            if not _holds(dimension, full):
                if full[name] != self.base[name]:
                    return None
            elif not dimension.contains(full[name]):
                return None
            elif name in self.sampled:
                told[name] = _place(dimension, full[name])
        if CIRCUMSTANCE in self.sampled:
            told[CIRCUMSTANCE] = self.circumstances.index(circumstance)
        return told

    def kept(self, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """A configuration from elsewhere with everything that is not searched here as it is in the base.

        None where a value lies outside of the space.
        """
        named = {name: parameters[name] for name in self.space.dimensions if name in parameters}
        full = dict(self.base)
        for name in self.order:
            dimension = self.space.dimensions[name]
            if _holds(dimension, full) and name in named:
                full[name] = named[name]
        return full if self.known(full) is not None else None


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(dimension, Float) and dimension.step is None:
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, Float):
        # Fractions add up to a little more or less than the end of the range, which Optuna does not take.
        return IntDistribution(0, len(dimension.values() or ()) - 1)
    if isinstance(dimension, Int):
        step = dimension.step or 1
        last = (
            dimension.low + (dimension.high - dimension.low) // step * step
        )  # Optuna wants the range to end on a step
        return IntDistribution(dimension.low, last, log=dimension.log, step=step)
    if isinstance(dimension, Categorical) and len(dimension.choices) > 1:
        return _places(len(dimension.choices))
    return None


def _suggest(trial: Any, name: str, distribution: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    suggest = trial.suggest_float if isinstance(distribution, FloatDistribution) else trial.suggest_int
    return suggest(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _places(count: int) -> Any:
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution(tuple(range(count)))


def _holds(dimension: Dimension, parameters: Mapping[str, Any]) -> bool:
    """Whether the condition of a dimension holds for these parameters."""
    conditions = (dimension.when or {}).items()
    return all(any(_same(parameters.get(other), value) for value in values) for other, values in conditions)


def _by_place(dimension: Dimension) -> tuple[Any, ...] | None:
    """The values of a dimension that Optuna knows by their places."""
    if isinstance(dimension, Categorical):
        return dimension.choices
    return dimension.values() if isinstance(dimension, Float) else None


def _value(dimension: Dimension, suggested: Any) -> Any:
    values = _by_place(dimension)
    return suggested if values is None else values[suggested]


def _place(dimension: Dimension, value: Any) -> Any:
    values = _by_place(dimension)
    if values is None:
        return value
    if isinstance(dimension, Categorical):
        return next(place for place, choice in enumerate(values) if _same(choice, value))
    return min(range(len(values)), key=lambda place: abs(values[place] - value))


def _same(one: Any, other: Any) -> bool:
    """In Python ``True == 1``; among parameters it is not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
