"""Evaluations as points: one value each, and the parameters that tell them apart."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mlops_assets.learning.evaluation import Evaluation, judged_alike
from partitions.hpo import Direction
from partitions.search_space import Float, Int, SearchSpace
from partitions.values import canonical_json

FEWEST_ALIKE = 2
LOG_FROM = 50.0


@dataclass(frozen=True)
class Points:
    """Evaluations judged on the same rows, oldest first. notes: what was left out or turned to make them comparable."""

    evaluations: tuple[Evaluation, ...]
    metric: str
    direction: Direction
    space: SearchSpace = field(default_factory=SearchSpace)
    notes: tuple[str, ...] = ()

    @cached_property
    def values(self) -> list[float]:
        return [evaluation.mean for evaluation in self.evaluations]

    @cached_property
    def ranks(self) -> list[int]:
        """Positions of the evaluations, the best first."""
        return sorted(range(len(self.values)), key=lambda place: self.evaluations[place].score(self.direction))

    @cached_property
    def parameters(self) -> dict[str, list[Any]]:
        """The parameters that are not the same everywhere, by dotted name, a value for each evaluation."""
        each = [flat(evaluation.parameters) for evaluation in self.evaluations]
        names = list(dict.fromkeys(name for one in each for name in one))
        held = {name: [one.get(name) for one in each] for name in names}
        return {name: values for name, values in held.items() if len(set(map(canonical_json, values))) > 1}

    def is_number(self, name: str) -> bool:
        """Whether all values of a parameter are numbers."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.parameters[name])

    def is_log(self, name: str) -> bool:
        """Whether it is read best on a logarithmic scale: as the space says, else where it spans far."""
        values, dimension = self.parameters[name], self.space.dimensions.get(name)
        if not self.is_number(name) or min(values) <= 0:
            return False
        if isinstance(dimension, Float | Int):
            return dimension.log
        return bool(max(values) / min(values) >= LOG_FROM)

    def places(self, name: str) -> tuple[list[float], list[str] | None]:
        """A parameter as numbers, and where it is not one, the names of its values from 0 on."""
        values = self.parameters[name]
        if self.is_number(name):
            return [float(value) for value in values], None
        texts = [value if isinstance(value, str) else canonical_json(value) for value in values]
        names = sorted(set(texts))
        return [float(names.index(text)) for text in texts], names


def points(
    evaluations: Iterable[Evaluation], metric: str, direction: Direction, space: SearchSpace | None = None
) -> Points:
    """The evaluations that can stand beside each other.

    Of each subproject and data version those that were judged alike, on most seeds and folds. Where several of these
    remain, whose results do not compare, each value is its distance from the mean of its own ones, in their standard
    deviations.
    """
    everything = list(evaluations)
    alike = _alike(everything)
    left_out = len(everything) - sum(map(len, alike))
    notes = []
    if left_out:
        notes.append(
            f"{left_out} of {len(everything)} configurations are left out: they were judged on fewer or other folds, "
            "seeds or rows"
        )
    if len(alike) > 1:
        notes.append(
            f"results of {len(alike)} subprojects or data versions do not compare: each value is its distance from the "
            "mean of its own ones, in standard deviations"
        )
        alike = [_standardised(group) for group in alike if len(group) >= FEWEST_ALIKE]
        metric = f"{metric} (standard deviations from own mean)"
    ordered = sorted((one for group in alike for one in group), key=lambda one: one.run_ids[-1])
    return Points(tuple(ordered), metric, direction, space or SearchSpace(), tuple(notes))


def best_so_far(values: Sequence[float], direction: str) -> list[float]:
    better: Callable[[float, float], float] = max if direction == "maximize" else min
    found: list[float] = []
    for value in values:
        found.append(better(found[-1], value) if found else value)
    return found


def _alike(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """By subproject and data version those judged on the same seeds, folds and rows."""
    groups: dict[tuple[Any, ...], list[Evaluation]] = {}
    for one in evaluations:
        groups.setdefault((one.subproject, one.data_version), []).append(one)
    return [judged_alike(group) for group in groups.values()]


def _standardised(group: Sequence[Evaluation]) -> list[Evaluation]:
    means = [one.mean for one in group]
    middle, spread = statistics.fmean(means), statistics.stdev(means)
    scale = spread if spread > 0 and math.isfinite(spread) else 1.0
    return [replace(one, values=tuple((value - middle) / scale for value in one.values)) for one in group]


def flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names."""
    named: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            named.update(flat(value, f"{prefix}{name}."))
        else:
            named[f"{prefix}{name}"] = value
    return named
