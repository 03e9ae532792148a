"""What one pipeline accepts, and what is wrong with a declaration that asks for something else."""

import importlib.util
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from partitions.errors import DeclarationError, Problem, nearest
from partitions.gates import Check, Gate, SliceFloor
from partitions.hpo import HPO
from partitions.parameters import bind_params, config_type, merge, params_type, plain_params
from partitions.pipeline import Better, Pipeline
from partitions.problems import shown
from partitions.reference import refusal
from partitions.schema import DataSchema
from partitions.search_space import Dimension, Float, Int, SearchSpace
from partitions.stages import Stage
from partitions.strategies import ABTest

if TYPE_CHECKING:
    from partitions.parameters import AnyPipeline


@dataclass(frozen=True)
class PipelineContract:
    """A pipeline's types and metrics. Each method yields what is wrong, with paths below what it was given."""

    pipeline: "AnyPipeline"
    config: type[BaseModel]
    params: type[BaseModel]
    schema: DataSchema
    metrics: dict[str, Better]

    @classmethod
    def of(cls, pipeline: "AnyPipeline") -> "PipelineContract":
        """Raises DeclarationError where the pipeline itself is not one that can be run."""
        reason = refusal(pipeline)
        problems = [] if reason is None else [Problem("", reason)]
        name = type(pipeline).__qualname__
        if not isinstance(getattr(pipeline, "schema", None), DataSchema):
            problems.append(Problem("", f"pipeline {name} declares no schema = DataSchema(key=..., target=...)"))
        metrics = getattr(pipeline, "metrics", None)
        problems += _metrics_problems(name, metrics)
        if problems or not isinstance(metrics, dict):
            raise DeclarationError("", problems)
        return cls(pipeline, config_type(pipeline), params_type(pipeline), pipeline.schema, metrics)

    def check_params(self, base: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Problem]:
        """Whether ``values`` over ``base`` become parameters that can also be stored."""
        try:
            plain_params(bind_params(self.params, merge(base, values), ""), "")
        except DeclarationError as error:
            yield from error.problems

    def check_space(self, dimensions: Mapping[str, Dimension], base: Mapping[str, Any]) -> Iterator[Problem]:
        """Whether each dimension is a parameter whose type takes its values."""
        for name, dimension in dimensions.items():
            if name not in self.params.model_fields:
                yield Problem(name, nearest(name, self.params.model_fields, noun="parameter"))
                continue
            for value in _tried(dimension):
                refused = self._refused(name, value, base)
                if refused is not None:
                    yield Problem(name, f"the parameter does not take {shown(value)}: {refused}")
                    break

    def _refused(self, name: str, value: Any, base: Mapping[str, Any]) -> str | None:
        """Why the parameter does not take the value. What only fails together with other parameters is let pass: they
        may be searched, too."""
        try:
            bind_params(self.params, {**base, name: value}, "")
        except DeclarationError as error:
            for problem in error.problems:
                if problem.path == name or problem.path.startswith((f"{name}.", f"{name}[")):
                    return problem.message
        return None

    def check_hpo(self, hpo: HPO, space: SearchSpace) -> Iterator[Problem]:
        yield from self._check_metric(hpo.metric, "metric")
        better = self.metrics.get(hpo.metric)
        if better == "zero":
            yield Problem("metric", f"{hpo.metric!r} is best at zero, which cannot be optimised; choose another metric")
        elif better is not None and not hpo.direction.startswith(better):
            right = {"min": "minimize", "max": "maximize"}[better]
            yield Problem("direction", f"{hpo.metric!r} is {better} in the pipeline's metrics: expected {right!r}")
        try:
            part = space if hpo.parameters is None else space.part(hpo.parameters)
        except DeclarationError as error:
            yield from (problem.below("parameters") for problem in error.problems)
            return
        if hpo.sampler == "grid":
            for name, dimension in part.dimensions.items():
                if dimension.values() is None:
                    yield Problem("sampler", f"a grid needs a step for the range of {name!r}")

    def check_gates(self, gates: Sequence[Gate]) -> Iterator[Problem]:
        for position, gate in enumerate(gates):
            here = f"[{position}]"
            if gate in gates[:position]:
                yield Problem(here, f"the gate {gate.title!r} is there twice")
            if hasattr(gate, "metric"):
                yield from self._check_metric(gate.metric, f"{here}.metric")
            if isinstance(gate, SliceFloor) and gate.column in self.schema.private:
                yield Problem(f"{here}.column", f"{gate.column!r} is private: its values may not stand in a verdict")
            if isinstance(gate, Check):
                reason = self._not_found(gate.function)
                if reason is not None:
                    yield Problem(f"{here}.function", reason)

    def _not_found(self, function: str) -> str | None:
        module, colon, name = function.rpartition(":")
        if not colon:
            kind = type(self.pipeline)
            if callable(getattr(kind, name, None)):
                return None
            own = [n for n in dir(kind) if n[0] != "_" and not hasattr(Pipeline, n) and callable(getattr(kind, n))]
            return nearest(name, own, noun=f"method of pipeline {kind.__name__}")
        if module in sys.modules:
            loaded = sys.modules[module]
            # The project's own module may be half loaded now: what stands further down in it is not there yet.
            loading = getattr(getattr(loaded, "__spec__", None), "_initializing", False)
            return None if loading or callable(getattr(loaded, name, None)) else f"no function {name!r} in {module}"
        try:
            found = importlib.util.find_spec(module) is not None
        except (ModuleNotFoundError, ValueError):
            found = False
        return None if found else f"no module {module!r}"

    def check_stages(self, stages: Sequence[Stage], base: Mapping[str, Any]) -> Iterator[Problem]:
        names = [stage.name for stage in stages]
        for position, stage in enumerate(stages):
            here = f"[{position}]"
            if stage.name in names[:position]:
                yield Problem(f"{here}.name", f"{stage.name!r} is there twice; stage names must be unique")
            yield from (problem.below(f"{here}.gates") for problem in self.check_gates(stage.gates or ()))
            if isinstance(stage.strategy, ABTest) and stage.strategy.metric is not None:
                yield from self._check_metric(stage.strategy.metric, f"{here}.strategy.metric")
            configuration = stage.retraining.configuration if stage.retraining is not None else "best"
            if not isinstance(configuration, str):
                problems = self.check_params(base, configuration)
                yield from (problem.below(f"{here}.retraining.configuration") for problem in problems)

    def _check_metric(self, metric: str, path: str) -> Iterator[Problem]:
        if metric not in self.metrics:
            yield Problem(path, nearest(metric, self.metrics, noun="metric"))


def _metrics_problems(pipeline: str, metrics: Any) -> Iterable[Problem]:
    if not isinstance(metrics, dict) or not metrics:
        return [Problem("", f'pipeline {pipeline} declares no metrics = {{"rmse": "min", ...}}')]
    ways = get_args(Better)
    return [
        Problem("", f"pipeline {pipeline}: metric {name!r} is {shown(better)}; expected 'min', 'max' or 'zero'")
        for name, better in metrics.items()
        if better not in ways
    ] + [
        Problem("", f"pipeline {pipeline}: metric {name!r}: a name is letters, digits and '_', no digit first")
        for name in metrics
        if not (isinstance(name, str) and name.isidentifier() and name.isascii())
    ]


def _tried(dimension: Dimension) -> tuple[Any, ...]:
    """Every one of a few named values; of a range the two ends and a point between them."""
    if isinstance(dimension, Float):
        between = dimension.low + (dimension.step or (dimension.high - dimension.low) / math.e)
        return dimension.low, dimension.high, between
    if isinstance(dimension, Int):
        return dimension.low, dimension.high, dimension.low + (dimension.step or 1)
    return dimension.values() or ()
