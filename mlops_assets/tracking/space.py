"""The search space of a subproject and what was sampled of it, over all code versions: by HPO or otherwise."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.evaluation import Evaluation, best_first, comparable
from partitions.search_space import Categorical, Dimension, Fixed, SearchSpace
from partitions.values import canonical_json

if TYPE_CHECKING:
    import pandas as pd

PARTS = 10


@dataclass(frozen=True)
class Sampled:
    """One parameter. ``parts``: how many configurations lie in each part of its range, of ten equal ones (or one for
    each value, where there are no more than ten). ``best``: its value in the best configuration; ``outside``: how many
    configurations have a value that the space has not.
    """

    parameter: str
    type: str
    range: str
    default: Any
    parts: tuple[int, ...]
    values: int
    configurations: int
    outside: int
    code_versions: int
    best: Any

    @property
    def covered(self) -> float:
        """The share of parts with a configuration in it."""
        return sum(count > 0 for count in self.parts) / len(self.parts) if self.parts else 1.0

    def row(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "parameter": self.parameter,
            "type": self.type,
            "range": self.range,
            "default": self.default,
            "covered": self.covered,
            "parts": list(self.parts),
            "values": self.values,
            "configurations": self.configurations,
            "outside": self.outside,
            "code_versions": self.code_versions,
            "best": self.best,
        }


@dataclass(frozen=True)
class SampledSpace:
    """The space of one subproject: a line per parameter, and how many configurations and runs all of it rests on.

    ``best``: the best of those that were judged alike on the newest code version and most seeds and folds.
    """

    project: str
    subproject: str
    metric: str
    parameters: tuple[Sampled, ...]
    configurations: int
    runs: int
    code_versions: tuple[str, ...]
    best: Evaluation | None

    def row(self) -> dict[str, Any]:
        """As plain data."""
        best = self.best
        return {
            "subproject": self.subproject,
            "metric": self.metric,
            "configurations": self.configurations,
            "runs": self.runs,
            "code_versions": list(self.code_versions),
            "best": None
            if best is None
            else {
                "value": best.mean,
                "standard_error": best.standard_error,
                "over": best.over(),
                "code_version": best.code_version,
                "data_version": best.data_version,
                "run_ids": list(best.run_ids),
                "parameters": dict(best.parameters),
            },
            "parameters": [parameter.row() for parameter in self.parameters],
        }

    @property
    def table(self) -> "pd.DataFrame":
        """A row per parameter."""
        import pandas as pd

        return pd.DataFrame([parameter.row() for parameter in self.parameters])

    def _repr_html_(self) -> str:
        return self.table.to_html(index=False)


@dataclass(frozen=True)
class Searched:
    """What is searched: the declared space of a subproject, its default parameters, and what counts as better."""

    project: str
    subproject: str
    space: SearchSpace
    defaults: Mapping[str, Any]
    metric: str
    direction: str


def sampled_space(searched: Searched, evaluations: Sequence[Evaluation]) -> SampledSpace:
    """How much of the space the configurations of these runs (of one subproject) have covered."""
    configurations = {one.key: one for one in evaluations}
    newest = max(evaluations, key=lambda one: max(one.run_ids), default=None)
    of_newest = [one for one in evaluations if newest is not None and one.code_version == newest.code_version]
    ranked = best_first(comparable(of_newest), searched.direction)
    best = ranked[0] if ranked else None
    parameters = [
        _sampled(name, dimension, searched.defaults.get(name), list(configurations.values()), best)
        for name, dimension in searched.space.dimensions.items()
    ]
    return SampledSpace(
        project=searched.project,
        subproject=searched.subproject,
        metric=searched.metric,
        parameters=tuple(parameters),
        configurations=len(configurations),
        runs=len({run_id for one in evaluations for run_id in one.run_ids}),
        code_versions=tuple(dict.fromkeys(one.code_version for one in evaluations)),
        best=best,
    )


def _sampled(
    name: str, dimension: Dimension, default: Any, evaluations: Iterable[Evaluation], best: Evaluation | None
) -> Sampled:
    having = [one for one in evaluations if name in one.parameters]
    inside = [one for one in having if dimension.contains(one.parameters[name])]
    values = [one.parameters[name] for one in inside]
    return Sampled(
        parameter=name,
        type=dimension.type,
        range=said(dimension),
        default=default,
        parts=_parts(dimension, values),
        values=len(set(map(canonical_json, values))),
        configurations=len(inside),
        outside=len(having) - len(inside),
        code_versions=len({one.code_version for one in inside}),
        best=best.parameters.get(name) if best is not None else None,
    )


def said(dimension: Dimension) -> str:
    """``0.01 to 0.3, log``; ``50 to 400 by 25``; ``a, b, c``; with its condition."""
    if isinstance(dimension, Fixed):
        text = canonical_json(dimension.value)
    elif isinstance(dimension, Categorical):
        text = ", ".join(choice if isinstance(choice, str) else canonical_json(choice) for choice in dimension.choices)
    else:
        step = f" by {dimension.step:g}" if dimension.step is not None else ""
        text = f"{dimension.low:g} to {dimension.high:g}{step}{', log' if dimension.log else ''}"
    when = " and ".join(f"{name} is {' or '.join(map(str, values))}" for name, values in (dimension.when or {}).items())
    return f"{text}, when {when}" if when else text


def _parts(dimension: Dimension, values: Sequence[Any]) -> tuple[int, ...]:
    possible = dimension.values()
    if possible is not None and len(possible) <= PARTS:
        texts = [_number_text(value) for value in values]
        return tuple(texts.count(_number_text(value)) for value in possible)
    if isinstance(dimension, Categorical | Fixed):
        seen = list(map(canonical_json, values))
        return tuple(seen.count(canonical_json(choice)) for choice in possible or ())
    counts = [0] * PARTS
    low, high = (math.log(edge) if dimension.log else edge for edge in (dimension.low, dimension.high))
    for value in values:
        place = (math.log(value) if dimension.log else value) - low
        counts[min(PARTS - 1, int(PARTS * place / (high - low)))] += 1
    return tuple(counts)


def _number_text(value: Any) -> str:
    """One text for one value; steps of a float come out of a sum, and a run may have rounded them."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.9g}" if number else canonical_json(value)
