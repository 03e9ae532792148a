"""Metrics as functions of means over rows: what makes a slice, or a resample, cost a sum instead of an evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from partitions.errors import PipelineError
from partitions.metrics import class_label, class_probabilities

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

# rmse and r2 are no means of a loss, but functions of such means. Medians, ranks and ratios of counts are neither.
OF_NUMBERS = ("mae", "rmse", "r2", "bias")
OF_CLASSES = ("accuracy", "log_loss", "brier")


@dataclass(frozen=True, eq=False)
class RowMetric:
    """A metric as ``finish`` of the means of ``parts``, an array (rows, parts).

    ``finish`` takes an array (..., parts) of means and returns one without its last axis; where a metric is not defined
    for these means it is NaN.
    """

    parts: "Array"
    finish: "Callable[[Array], Array]"

    @property
    def value(self) -> float:
        """Over all rows."""
        return float(self.finish(self.parts.mean(axis=0)))

    def by_group(self, codes: "Array") -> "Array":
        """Of each group of rows; ``codes`` is the group of every row as a number from 0, and no group is empty."""
        import numpy as np

        rows = np.bincount(codes)
        sums = [np.bincount(codes, weights=self.parts[:, part]) for part in range(self.parts.shape[1])]
        return self.finish(np.stack(sums, axis=1) / rows[:, None])


def row_metric(metric: str, results: "pd.DataFrame", task: Literal["regression", "classification"]) -> RowMetric | None:
    """One of the default metrics by rows with results.

    None for a metric that is no function of means over rows, or that these rows lack something for. Whether a pipeline
    means the same by its name is for the caller to see.
    """
    import numpy as np

    if metric not in (OF_NUMBERS if task == "regression" else OF_CLASSES) or results.empty:
        return None
    if task == "regression":
        truth = results["truth"].to_numpy(dtype=float)
        return _of_numbers(metric, truth, results["prediction"].to_numpy(dtype=float) - truth)
    truth = _labels(results["truth"])
    if metric == "accuracy":
        return RowMetric((truth == _labels(results["prediction"])).astype(float)[:, None], _first)
    try:
        is_class, likely = class_probabilities(results, truth, metric)
    except PipelineError:
        return None
    if metric == "log_loss":
        of_truth = (is_class * likely).sum(axis=1)
        return RowMetric(-np.log(np.clip(of_truth, np.finfo(float).eps, 1.0))[:, None], _first)
    squared = ((likely - is_class) ** 2).sum(axis=1)
    return RowMetric((squared / 2 if is_class.shape[1] == 2 else squared)[:, None], _first)


def _labels(values: "pd.Series[Any]") -> "Array":
    """Classes as texts; each different value is turned into one once."""
    import numpy as np
    import pandas as pd

    codes, uniques = pd.factorize(values.to_numpy(dtype=object))
    return np.array([class_label(value) for value in uniques], dtype=object)[codes]


def _of_numbers(metric: str, truth: "Array", error: "Array") -> RowMetric:
    import numpy as np

    if metric == "mae":
        return RowMetric(np.abs(error)[:, None], _first)
    if metric == "rmse":
        return RowMetric((error**2)[:, None], _root)
    if metric == "bias":
        return RowMetric(error[:, None], _first)
    # Around the mean of all rows: a variance as the difference of two large numbers would lose its digits.
    centred = truth - truth.mean()
    return RowMetric(np.stack([error**2, centred, centred**2], axis=1), _r2)


def _first(means: "Array") -> "Array":
    return means[..., 0]


def _root(means: "Array") -> "Array":
    import numpy as np

    return np.asarray(np.sqrt(means[..., 0]))


def _r2(means: "Array") -> "Array":
    import numpy as np

    spread = means[..., 2] - means[..., 1] ** 2
    # Rows of one truth leave a spread of rounding errors.
    defined = spread > 1e-12 * np.maximum(means[..., 2], np.finfo(float).tiny)
    return np.where(defined, 1.0 - means[..., 0] / np.where(defined, spread, 1.0), np.nan)
