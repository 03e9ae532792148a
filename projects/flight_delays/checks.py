"""Gates of our own: functions from rows with results to whether a model may be deployed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

LATE = 15.0  # minutes; from here on an airline counts a departure as late
LARGEST_BIAS = 10.0  # minutes


def residual_bias(results: "pd.DataFrame") -> bool:
    """Whether flights that left late and those that left on time are both predicted without much bias on average."""
    error = results["prediction"] - results["truth"]
    of_both = error.groupby(results["dep_delay"] >= LATE).mean()
    return bool((of_both.abs() <= LARGEST_BIAS).all())
