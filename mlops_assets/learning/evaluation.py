"""A configuration and how it was judged: one value of a metric for each seed and fold it was run with."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from partitions.values import canonical_json

Pair = tuple[int, int | None, str | None]
# Of thousands of runs with a seed each, not every set of seeds is looked at.
MOST_SETS = 50


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

    @cached_property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @cached_property
    def key(self) -> str:
        """One text for one configuration."""
        return canonical_json(dict(self.parameters))

    @property
    def standard_error(self) -> float | None:
        """Of the mean; None for a single run, which says nothing about noise."""
        return statistics.stdev(self.values) / math.sqrt(self.n) if self.n > 1 else None

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """What it was judged on: evaluations with the same pairs are compared fairly."""
        splits = self.splits or (None,) * self.n
        return tuple(zip(self.seeds, self.folds, splits, strict=True))

    def on(self, pairs: frozenset[Pair]) -> "Evaluation | None":
        """The same, judged on these alone; None where it was not judged on all of them."""
        held = self.pairs
        if not pairs <= set(held):
            return None
        if len(pairs) == self.n:
            return self
        kept = [place for place, pair in enumerate(held) if pair in pairs]
        lists = ("values", "run_ids", "seeds", "folds", "splits", "fingerprints")
        held_by = {name: getattr(self, name) for name in lists}
        fewer: dict[str, Any] = {name: tuple(held[n] for n in kept) for name, held in held_by.items() if held}
        return replace(self, **fewer)

    @cached_property
    def whole(self) -> frozenset[Pair]:
        """What it was judged on, but for seeds of which a fold is missing: a trial that was pruned, or is under way."""
        if self.fold_count is None:
            return frozenset(self.pairs)
        folds = Counter(self.seeds)
        return frozenset(pair for pair in self.pairs if folds[pair[0]] == self.fold_count)

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
    return sorted(evaluations, key=lambda e: (e.score(direction), e.key, e.run_ids))


def comparable(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """The configurations of one subproject, code version and data version that were judged on the same seeds, folds and
    rows, each by its runs on these alone.

    Of several such sets the one with the most runs behind it; one run each only where there is nothing better. So a
    configuration that was run once, or whose trial was pruned, never stands beside one that was judged in full.
    """
    groups: dict[tuple[Any, ...], list[Evaluation]] = {}
    for one in evaluations:
        groups.setdefault((one.subproject, one.code_version, one.data_version, one.metric), []).append(one)
    return max(map(judged_alike, groups.values()), key=_weight, default=[])


def judged_alike(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """As ``comparable``, where code and data may differ as long as the rows they were judged on do not."""
    listed = list(evaluations)
    sets: Counter[tuple[int | None, frozenset[Pair]]] = Counter()
    for one in listed:
        # A set that lacks folds counts only where no other is there.
        sets[one.fold_count, one.whole or frozenset(one.pairs)] += 1
    whole = {(one.fold_count, one.whole) for one in listed if one.whole}
    likely = [key for key, _ in sets.most_common() if not whole or key in whole][:MOST_SETS]
    found = []
    for count, pairs in likely:
        restricted = [one.on(pairs) for one in listed if one.fold_count == count]
        found.append([one for one in restricted if one is not None])
    return max(found, key=_weight, default=[])


def _weight(alike: Sequence[Evaluation]) -> tuple[bool, int, str]:
    if not alike:
        return False, 0, ""
    newest = max(run_id for one in alike for run_id in one.run_ids)  # ids are sorted by time
    return alike[0].n > 1, alike[0].n * len(alike), newest
