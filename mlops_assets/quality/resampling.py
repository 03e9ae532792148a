"""How sure is a difference between two models on the same rows: the paired bootstrap, in NumPy.

Rows are drawn with replacement, the same rows for both models, so that how hard a row is counts for both alike. They
are taken as independent of each other. Equal inputs give equal intervals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from partitions.errors import CouldNotLook
from partitions.row_metrics import RowMetric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CONFIDENCE = 0.95
RESAMPLES = 1000
EVALUATIONS = 200
# Sums over this many random blocks of rows stand for the rows where there are more: the spread of their mean is the
# same, and a resample costs the same for a million rows.
BLOCKS = 500
SEED = 20130101


@dataclass(frozen=True)
class Interval:
    """Where the difference lies with 95 %; ``method`` says what was resampled, ``resamples`` how often."""

    low: float
    high: float
    resamples: int
    method: str


def by_rows(challenger: RowMetric, champion: RowMetric, difference: "Callable[[Array, Array], Array]") -> Interval:
    """For metrics that are functions of means over rows. ``difference``: of arrays of both metrics."""
    import numpy as np

    both = np.hstack([np.ones((len(challenger.parts), 1)), challenger.parts, champion.parts])
    sums = _blocks(both)
    drawn = _drawn(len(sums)) @ sums
    means = drawn[:, 1:] / drawn[:, :1]
    width = challenger.parts.shape[1]
    apart = difference(challenger.finish(means[:, :width]), champion.finish(means[:, width:]))
    return _interval(apart[np.isfinite(apart)], RESAMPLES, "losses of rows")


def by_evaluating(
    rows: int, evaluate: "Callable[[Array], tuple[float, float]]", difference: "Callable[[Array, Array], Array]"
) -> Interval:
    """For any metric. ``evaluate`` gives both models' from the positions of drawn rows.

    Where the metric is not defined for them (all of one class, say) it raises CouldNotLook, and the draw is left out.
    """
    import numpy as np

    random = np.random.default_rng(SEED)
    pairs = []
    for _ in range(EVALUATIONS):
        try:
            pairs.append(evaluate(random.integers(0, rows, rows)))
        except CouldNotLook:
            continue
    ours, theirs = np.array(pairs, dtype=float).reshape(-1, 2).T
    return _interval(difference(ours, theirs), EVALUATIONS, "evaluate on drawn rows")


def _blocks(parts: "Array") -> "Array":
    """The rows themselves, or sums over random blocks of them."""
    import numpy as np

    rows = len(parts)
    if rows <= BLOCKS:
        return parts
    block = np.random.default_rng(SEED).permutation(rows) % BLOCKS
    return np.stack([np.bincount(block, weights=column, minlength=BLOCKS) for column in parts.T], axis=1)


@lru_cache(maxsize=4)
def _drawn(number: int) -> "Array":
    """An array (resamples, number): how often each block is drawn in each resample."""
    import numpy as np

    drawn = np.random.default_rng(SEED).integers(0, number, (RESAMPLES, number))
    places = drawn + np.arange(RESAMPLES)[:, None] * number
    counts = np.bincount(places.ravel(), minlength=RESAMPLES * number).reshape(RESAMPLES, number).astype(float)
    counts.setflags(write=False)
    return counts


def _interval(apart: "Array", tried: int, method: str) -> Interval:
    import numpy as np

    if len(apart) < tried / 2:
        raise CouldNotLook(f"the metric is defined for {len(apart)} of {tried} resamples of these rows only")
    low, high = np.quantile(apart, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), len(apart), method)
