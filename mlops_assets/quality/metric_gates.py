"""Gates on what ``evaluate`` said: thresholds, slices, the baseline, other seeds."""

from typing import TYPE_CHECKING, Any

from mlops_assets.quality.case import Case, Finding
from partitions.errors import CouldNotLook, nearest
from partitions.gates import BetterThanBaseline, SliceFloor, StableOverSeeds, Threshold
from partitions.pipeline import Better

if TYPE_CHECKING:
    import numpy as np

WORST_SHOWN = 10
LARGEST_SEED = 2**32
MISSING = "missing"


def number(value: float) -> str:
    """A number as reasons show it."""
    return f"{value:.6g}"


def worse_by(better: Better, value: float, other: float) -> float:
    """By how much ``value`` is worse than ``other``, in the metric's unit; negative where it is better."""
    if better == "zero":
        return abs(value) - abs(other)
    return value - other if better == "min" else other - value


def threshold(gate: Threshold, case: Case) -> Finding:
    value = case.value_of(gate.metric)
    outside = _outside(gate, value)
    verb = "is not" if outside > 0 else "is"
    reason = f"{gate.metric} {number(value)} {verb} {gate.bounds}"
    return Finding(outside <= 0, reason, value, {"rows": len(case.judged.rows), "min": gate.min, "max": gate.max})


def _outside(gate: "Threshold | SliceFloor", value: float) -> float:
    """How far outside the bounds; 0 on a bound, negative inside."""
    below = -float("inf") if gate.min is None else gate.min - value
    above = -float("inf") if gate.max is None else value - gate.max
    return max(below, above)


def slice_floor(gate: SliceFloor, case: Case) -> Finding:
    """The value is the metric of the group furthest outside the bounds or, with all inside, nearest to them."""
    import numpy as np

    codes, names = _groups(gate.column, case)
    counts = np.bincount(codes, minlength=len(names))
    large = [group for group in range(len(names)) if counts[group] >= gate.min_rows]
    left_out = {"groups_left_out": len(names) - len(large), "rows_left_out": int(counts.sum() - counts[large].sum())}
    if not large:
        raise CouldNotLook(f"no {gate.column} has {gate.min_rows} test rows or more (the largest has {counts.max()})")
    values = _by_group(gate.metric, case, codes, large)
    judged = sorted(
        ((_outside(gate, value), names[group], int(counts[group]), value) for group, value in values.items()),
        key=lambda one: -one[0],
    )
    if not judged:
        raise CouldNotLook(f"{gate.metric} is not defined for any {gate.column} with {gate.min_rows} test rows or more")
    table = [
        {"slice": name, "rows": rows, "value": value, "passed": outside <= 0} for outside, name, rows, value in judged
    ]
    failed = [one for one in judged if one[0] > 0]
    _, worst, rows, value = judged[0]
    said = f"{gate.metric} {number(value)} for {gate.column} {worst} ({rows} rows)"
    reason = f"{said} is not {gate.bounds}" if failed else f"worst of {len(judged)}: {said} is {gate.bounds}"
    if len(failed) > 1:
        reason += f"; so are {len(failed) - 1} more of {len(judged)}"
    undefined = {"groups_not_defined": len(large) - len(judged)} if len(large) > len(judged) else {}
    evidence = {"groups": len(judged), "failed": len(failed), **left_out, **undefined, "worst": table[:WORST_SHOWN]}
    return Finding(not failed, reason, value, evidence)


def _groups(column: str, case: Case) -> "tuple[np.ndarray[Any, Any], list[str]]":
    """The group of every test row as a number from 0, and what each is called; missing values are one group."""
    import numpy as np
    import pandas as pd

    rows = case.judged.rows
    if column in case.judged.pipeline.schema.private:
        raise CouldNotLook(f"{column!r} is private at this code version: its values may not stand in a verdict")
    if column not in rows.columns:
        raise CouldNotLook(nearest(column, map(str, rows.columns), noun="column"))
    values: pd.Series[Any] = rows[column]
    found, uniques = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
    names = [number(value) if isinstance(value, float) else str(value) for value in uniques]
    if (found < 0).any():
        return np.where(found < 0, len(names), found), [*names, MISSING]
    return found, names


def _by_group(metric: str, case: Case, codes: "np.ndarray[Any, Any]", large: list[int]) -> dict[int, float]:
    """The metric of each group for which it is defined."""
    import math

    by_rows = case.row_metric(metric)
    if by_rows is not None:
        of_all = by_rows.by_group(codes)
        return {group: float(of_all[group]) for group in large if math.isfinite(of_all[group])}
    values = {}
    reason: CouldNotLook | None = None
    for group in large:
        try:
            values[group] = case.metric_of(metric, case.judged.rows[codes == group])
        except CouldNotLook as error:
            reason = error  # one class only, say; where no group can be judged, this is why
    if not values and reason is not None:
        raise reason
    return values


def better_than_baseline(gate: BetterThanBaseline, case: Case) -> Finding:
    baseline = case.judged.baseline
    if not baseline:
        raise CouldNotLook(f"{case.name}.baseline returns none: return an estimator, or leave this gate out")
    if gate.metric not in baseline:
        raise CouldNotLook(f"the baseline has no {gate.metric!r} ({', '.join(baseline)})")
    value, theirs = case.value_of(gate.metric), baseline[gate.metric]
    gained, wanted = -worse_by(case.better(gate.metric), value, theirs), gate.by * abs(theirs)
    passed = gained > 0 and gained >= wanted
    word = "better" if gained > 0 else "worse" if gained < 0 else "no better"
    much = f" by {number(abs(gained))} ({_share(gained, theirs)})" if gained else ""
    asked = "" if passed or not gate.by else f", less than the {gate.by:.3g} of it that is asked"
    reason = f"{gate.metric} {number(value)} is {word} than the baseline's {number(theirs)}{much}{asked}"
    evidence = {"model": value, "baseline": theirs, "better_by": gained, "wanted": wanted}
    return Finding(passed, reason, value, evidence)


def _share(part: float, whole: float) -> str:
    return f"{abs(part) / abs(whole):.1%}" if whole else "of 0"


def stable_over_seeds(gate: StableOverSeeds, case: Case) -> Finding:
    """The run's own metric and those of ``seeds - 1`` trainings with the seeds after it."""
    own = case.judged.seed
    values = {own: case.value_of(gate.metric)}
    for step in range(1, gate.seeds):
        seed = (own + step) % LARGEST_SEED
        metrics = case.retrained(seed)
        if gate.metric not in metrics:
            raise CouldNotLook(f"trained with seed {seed}, there is no {gate.metric!r} ({', '.join(metrics)})")
        values[seed] = metrics[gate.metric]
    spread = max(values.values()) - min(values.values())
    passed = spread <= gate.max_spread
    at = "at most" if passed else "more than"
    reason = f"{gate.metric} spreads by {number(spread)} over {gate.seeds} seeds, {at} {number(gate.max_spread)}"
    return Finding(passed, reason, spread, {"by_seed": {str(seed): value for seed, value in values.items()}})
