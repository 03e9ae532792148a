"""Runs of one configuration together, over seeds and folds, so that "is this better or is it noise" has an answer.

Two configurations are compared pair by pair: on the same data version, subproject, seed, fold and split (the rows they
are judged on), so that what makes a fold hard or a seed lucky falls out of the difference. The interval is a paired t
interval. Folds share training rows, which makes their differences look steadier than they are; where pairs differ by
fold, the variance is corrected for it (Nadeau and Bengio 2003, "Inference for the generalization error").
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.run_rows import RunRows
from partitions.errors import MlopsError, UnknownName, nearest

Better = Literal["min", "max", "zero"]
Verdict = Literal["best", "worse", "better", "noise", "not paired"]
CONFIDENCE = 0.95
SAME = ("subproject", "code_version", "data_version", "configuration")
Pair = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Difference:
    """This group minus the best, over pairs. ``low`` to ``high``: the 95 % interval, from two pairs on."""

    pairs: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Group:
    """Runs that differ by seed and fold only. ``means`` and ``spreads`` (standard deviations) by metric."""

    subproject: str
    code_version: str
    data_version: str | None
    configuration: str
    runs: int
    params: Mapping[str, Any]
    means: Mapping[str, float]
    spreads: Mapping[str, float | None]
    values: Mapping[Pair, float] = field(repr=False)
    difference: Difference | None = None
    verdict: Verdict = "not paired"

    def row(self, metric: str) -> dict[str, Any]:
        """The group as a flat row, compared by ``metric``."""
        difference = self.difference or Difference(0)
        return {
            **{name: getattr(self, name) for name in SAME},
            "runs": self.runs,
            **self.params,
            **{f"metrics.{name}": value for name, value in self.means.items()},
            "spread": self.spreads.get(metric),
            "difference": difference.mean,
            "low": difference.low,
            "high": difference.high,
            "pairs": difference.pairs,
            "verdict": self.verdict,
        }


def group_query(query: RunQuery) -> RunQuery:
    """What to ask for to group it: every run that has metrics, whatever the limit is, which is one of groups."""
    return replace(query, status=query.status or "succeeded", sort="created_at, run_id", limit=None)


def grouped(rows: RunRows, metric: str, better: Better) -> list[Group]:
    """The groups of these runs, per subproject and data version the best first. Raises UnknownName for the metric."""
    metrics = [name.removeprefix("metrics.") for name in rows.columns if name.startswith("metrics.")]
    if rows.rows and metric not in metrics:
        raise UnknownName(nearest(metric, metrics, noun="metric"))
    members: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows.rows:
        run = dict(zip(rows.columns, row, strict=True))
        if run[f"metrics.{metric}"] is not None:
            members.setdefault(tuple(run[name] for name in SAME), []).append(run)
    varying = _varying(list(members.values()))
    groups = [_group(runs, metrics, metric, varying) for runs in members.values()]
    comparable: dict[tuple[str, str | None], list[Group]] = {}
    for group in groups:
        comparable.setdefault((group.subproject, group.data_version), []).append(group)
    ranked = []
    for together in comparable.values():
        together.sort(key=lambda group: statistics.fmean(_score(v, better) for v in group.values.values()))
        ranked += [_against(group, together[0], better) for group in together]
    return ranked


def _group(runs: Sequence[Mapping[str, Any]], metrics: Sequence[str], metric: str, varying: Sequence[str]) -> Group:
    held = {name: [run[f"metrics.{name}"] for run in runs] for name in metrics}
    known = {name: [value for value in values if value is not None] for name, values in held.items()}
    by_pair: dict[Pair, list[float]] = {}
    for run in runs:
        by_pair.setdefault((run["seed"], run["fold"], run["split"]), []).append(run[f"metrics.{metric}"])
    return Group(
        **{name: runs[0][name] for name in SAME},
        runs=len(runs),
        params={name: runs[0][name] for name in varying},
        means={name: statistics.fmean(values) for name, values in known.items() if values},
        spreads={n: statistics.stdev(values) if len(values) > 1 else None for n, values in known.items() if values},
        # Run again with the same seed, a configuration gives the same: it counts once.
        values={pair: statistics.fmean(values) for pair, values in by_pair.items()},
    )


def _varying(groups: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """The parameters that tell the groups apart."""
    if not groups:
        return []
    names = [name for name in groups[0][0] if name.startswith("params.")]
    return [name for name in names if len({repr(runs[0][name]) for runs in groups}) > 1]


def _against(group: Group, best: Group, better: Better) -> Group:
    if group is best:
        return replace(group, verdict="best")
    shared = sorted(group.values.keys() & best.values.keys(), key=repr)
    scores = [_score(group.values[pair], better) - _score(best.values[pair], better) for pair in shared]
    if len(scores) < 2:
        mean = scores[0] if scores else None
        return replace(group, difference=_turned(Difference(len(scores), mean), better))
    mean, half = statistics.fmean(scores), _half_width(scores, len({fold for _, fold, _ in shared}))
    verdict: Verdict = "worse" if mean - half > 0 else "better" if mean + half < 0 else "noise"
    found = Difference(len(scores), mean, mean - half, mean + half)
    return replace(group, difference=_turned(found, better), verdict=verdict)


def _half_width(differences: Sequence[float], folds: int) -> float:
    from scipy.special import stdtrit

    count = len(differences)
    shared_rows = 1 / (folds - 1) if folds > 1 else 0.0
    quantile = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    return quantile * statistics.stdev(differences) * math.sqrt(1 / count + shared_rows)


def _score(value: float, better: Better) -> float:
    """Smaller is better."""
    return {"min": value, "max": -value, "zero": abs(value)}[better]


def _turned(difference: Difference, better: Better) -> Difference:
    """Scores back into the metric: where more is better, the difference and its interval change sign."""
    if better != "max" or difference.mean is None:
        return difference
    low, high = (None if bound is None else -bound for bound in (difference.high, difference.low))
    return Difference(difference.pairs, -difference.mean, low, high)


def direction_of(metric: str, declared: Mapping[str, str]) -> Better:
    """Which way ``metric`` is better, as the pipeline declares. Raises MlopsError for one it does not declare."""
    if metric not in declared:
        raise MlopsError(f"{nearest(metric, declared, noun='metric')}; Pipeline.metrics says which way each is better")
    return declared[metric]  # type: ignore[return-value]
