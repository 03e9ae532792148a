"""A trial: the runs of one configuration over folds and seeds, and what is kept of each of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.assets.way import RunPlan
from mlops_assets.learning.search.search import Asked, Ended
from mlops_assets.tracking.hpo_run import TrialSummary
from mlops_assets.tracking.record import RunRecord


@dataclass(frozen=True)
class Result:
    """What is kept of a run that succeeded, also of one of before. ``parent``: the HPO run it was made by."""

    run_id: str
    metrics: Mapping[str, float]
    parent: str | None = None
    split: str | None = None
    model_bytes: float | None = None
    fit_seconds: float | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, record: RunRecord) -> "Result":
        model = record.artifacts.get("model")
        return cls(
            run_id=record.run_id,
            metrics=record.metrics,
            parent=record.parent,
            split=record.settings.get("split"),
            model_bytes=model.bytes if model is not None else None,
            fit_seconds=record.timings.get("fit"),
            seconds=sum(record.timings.values()),
        )


@dataclass(frozen=True)
class Ticket:
    """A run to do: the trial it belongs to, and its place among the folds and seeds."""

    asked: Asked
    place: int
    plan: RunPlan
    fingerprint: str


@dataclass
class Trial:
    """A trial: what is known of its runs, by place; how many are on their way; and what stops it, if anything."""

    asked: Asked
    params: dict[str, Any]
    results: dict[int, Result] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    in_flight: int = 0
    reused: int = 0
    pruned: bool = False
    error: str | None = None

    def values(self, metric: str) -> list[float]:
        return [self.results[place].metrics[metric] for place in sorted(self.results)]

    def ended(self, places: int) -> Ended | None:
        """How the trial ended; None while runs are missing or on their way."""
        if self.in_flight:
            return None
        if self.error:
            return "failed"
        return "pruned" if self.pruned else "complete" if len(self.results) == places else None

    def summary(self, metric: str, ended: Ended) -> TrialSummary:
        values = self.values(metric)
        mean = math.fsum(values) / len(values) if values else None
        error = None
        if mean is not None and len(values) > 1:
            variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
            error = math.sqrt(variance / len(values))
        return TrialSummary(
            number=self.asked.number,
            parameters=self.params,
            state=ended,
            mean=mean,
            standard_error=error,
            run_ids=tuple(self.results[place].run_id for place in sorted(self.results)),
            reused=self.reused,
            origin=self.asked.origin,
            error=self.error,
        )
