"""Not worse than the champion: both models on the same test rows, none of which the champion was trained on.

The model fails where it is worse by more than the tolerance and the difference is no noise: the interval of a paired
bootstrap lies above zero.
"""

from typing import TYPE_CHECKING, Any

from mlops_assets.quality.case import Case, Contest, Finding, same
from mlops_assets.quality.metric_gates import number, worse_by
from mlops_assets.quality.resampling import CONFIDENCE, Interval, by_evaluating, by_rows
from partitions.errors import CouldNotLook
from partitions.gates import NotWorseThanChampion
from partitions.pipeline import Better
from partitions.row_metrics import row_metric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def not_worse_than_champion(gate: NotWorseThanChampion, case: Case) -> Finding:
    judged, metric = case.judged, gate.metric
    if judged.champion_lost is not None:
        raise CouldNotLook(f"the champion cannot be asked: {judged.champion_lost}")
    if judged.champion is None:
        value = case.value_of(metric)
        reason = "no champion yet: nothing is deployed that it could be worse than"
        return Finding(True, reason, value, {"champion": None})
    better = case.better(metric)
    contest = case.contest(judged.champion, gate.min_rows)
    ours, theirs = _values(metric, case, contest)
    apart, allowed = worse_by(better, ours, theirs), gate.tolerance * abs(theirs)
    interval = _interval(metric, case, contest, (ours, theirs), needed=apart > allowed)
    passed = apart <= allowed or (interval is not None and interval.low <= 0)
    evidence: dict[str, Any] = {
        "champion": judged.champion.run_id,
        "champion_code_version": judged.champion.code_version,
        "rows": len(contest.challenger),
        "rows_champion_was_trained_on": contest.trained_on,
        "model": ours,
        "champion_value": theirs,
        "worse_by": apart,
        "allowed": allowed,
        **_told(interval),
    }
    return Finding(passed, _reason(gate, (ours, theirs), (apart, allowed), interval), ours, evidence)


def _values(metric: str, case: Case, contest: Contest) -> tuple[float, float]:
    whole = not contest.trained_on
    ours = case.value_of(metric) if whole else case.metric_of(metric, contest.challenger)
    return ours, case.metric_of(metric, contest.champion)


def _interval(
    metric: str, case: Case, contest: Contest, values: tuple[float, float], *, needed: bool
) -> Interval | None:
    """None where it would cost hundreds of evaluations and could not change the verdict."""
    better, task = case.better(metric), case.judged.pipeline.schema.task
    parts = [row_metric(metric, rows, task) for rows in (contest.challenger, contest.champion)]
    ours, theirs = parts
    if ours is not None and theirs is not None and same(ours.value, values[0]) and same(theirs.value, values[1]):
        return by_rows(ours, theirs, lambda one, other: _apart(better, one, other))
    if not needed:
        return None

    def evaluate(drawn: "Array") -> tuple[float, float]:
        one, other = (case.metric_of(metric, rows.iloc[drawn]) for rows in (contest.challenger, contest.champion))
        return one, other

    return by_evaluating(len(contest.challenger), evaluate, lambda one, other: _apart(better, one, other))


def _apart(better: Better, ours: "Array", theirs: "Array") -> "Array":
    import numpy as np

    if better == "zero":
        return np.asarray(np.abs(ours) - np.abs(theirs))
    return np.asarray(ours - theirs if better == "min" else theirs - ours)


def _told(interval: Interval | None) -> dict[str, Any]:
    if interval is None:
        return {"interval": None}
    return {
        "interval": [interval.low, interval.high],
        "confidence": CONFIDENCE,
        "resamples": interval.resamples,
        "resampled": interval.method,
    }


def _reason(
    gate: NotWorseThanChampion, values: tuple[float, float], by: tuple[float, float], interval: Interval | None
) -> str:
    apart, allowed = by
    opening = f"{gate.metric} {number(values[0])}, the champion's {number(values[1])} on the same rows"
    if apart <= 0:
        return f"{opening}: {'better' if apart < 0 else 'equal'}"
    if apart <= allowed:
        return f"{opening}: worse by {number(apart)}, at most {number(allowed)} is allowed"
    assert interval is not None
    between = f"[{number(interval.low)}, {number(interval.high)}]"
    more = f"{opening}: worse by {number(apart)}, more than the {number(allowed)} allowed"
    if interval.low <= 0:
        return f"{more}, but inside the noise: the interval {between} holds zero"
    return f"{more}; the interval {between} lies above zero"
