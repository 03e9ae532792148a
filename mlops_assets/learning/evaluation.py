"""A configuration and how it was judged: one value of a metric for each seed and fold it was run with."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from partitions.values import canonical_json

Pair = tuple[int, int | None, str | None]


@dataclass(frozen=True)
class Evaluation:
    """Runs that differ by seed and fold only, in the order of seeds and folds.

    parameters: complete. values: of ``metric``. fold_count: how many folds the train rows were parted into; None for
    runs that were judged on the test rows. splits: digests of the rows each run was judged on, None where unknown.
    parents: the HPO runs that these runs were trials of. model_bytes, fit_seconds: means; None as long as nobody asked.
    """

    subproject: str
    code_version: str
    data_version: str | None
    parameters: Mapping[str, Any]
    metric: str
    values: tuple[float, ...]
    run_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[int | None, ...]
    fold_count: int | None = None
    splits: tuple[str | None, ...] = ()
    fingerprints: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    model_bytes: float | None = None
    fit_seconds: float | None = None

    @property
    def n(self) -> int:
        """How many runs judge it."""
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Of the mean; None for a single run, which says nothing about noise."""
        return statistics.stdev(self.values) / math.sqrt(self.n) if self.n > 1 else None

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """What it was judged on: evaluations with the same pairs are compared fairly."""
        splits = self.splits or (None,) * self.n
        return tuple(zip(self.seeds, self.folds, splits, strict=True))

    @property
    def judged_on(self) -> tuple[Any, ...]:
        """Evaluations that have this in common may be compared by their means."""
        return (self.subproject, self.code_version, self.data_version, self.metric, self.fold_count, self.pairs)

    def score(self, direction: str) -> float:
        """The mean, turned so that smaller is better."""
        return -self.mean if direction == "maximize" else self.mean

    def over(self) -> str:
        """``5 folds``, ``5 folds x 2 seeds``, ``3 seeds``, ``1 run``."""
        folds, seeds = len(set(self.folds)), len(set(self.seeds))
        said = [f"{folds} folds"] if folds > 1 else []
        said += [f"{seeds} seeds"] if seeds > 1 else []
        return " x ".join(said) or "1 run"


def best_first(evaluations: Iterable[Evaluation], direction: str) -> list[Evaluation]:
    """By mean; equal ones in an order of their own that is the same each time."""
    return sorted(evaluations, key=lambda e: (e.score(direction), canonical_json(dict(e.parameters)), e.run_ids))


def comparable(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """The largest part that was judged on the same seeds, folds and rows, of those judged on most of them.

    So a configuration that was run once, or whose trial was pruned, never stands beside one that was judged in full.
    """
    parts: dict[tuple[Any, ...], list[Evaluation]] = {}
    for evaluation in evaluations:
        parts.setdefault(evaluation.judged_on, []).append(evaluation)
    # Of parts of one size the one with the newest run: ids are sorted by time.
    return max(parts.values(), key=lambda part: (part[0].n, len(part), _newest(part)), default=[])


def _newest(evaluations: Sequence[Evaluation]) -> str:
    return max(run_id for evaluation in evaluations for run_id in evaluation.run_ids)
