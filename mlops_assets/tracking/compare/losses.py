"""The loss of every row: how wrong a prediction was, as a number that can be averaged over any rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from partitions.metrics import PROBABILITY, class_label

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Loss = Literal["absolute error", "squared error", "log loss", "brier", "wrong class"]

# The loss whose mean goes with a metric: what is compared by rows shall not contradict what is compared as a whole.
OF_METRIC: Mapping[str, Loss] = {
    "mae": "absolute error",
    "median_ae": "absolute error",
    "rmse": "squared error",
    "r2": "squared error",
    "accuracy": "wrong class",
    "balanced_accuracy": "wrong class",
    "f1": "wrong class",
    "log_loss": "log loss",
    "roc_auc": "log loss",
    "brier": "brier",
}
OF_NUMBERS = ("absolute error", "squared error")
NEEDS_PROBABILITIES = ("log loss", "brier")


def loss_for(metrics: Iterable[str], results: "Sequence[pd.DataFrame]", regression: bool) -> Loss:
    """The loss that goes with the first metric for which there is one, and that all these results allow."""
    likely = all(probability_columns(frame) for frame in results)
    for name in metrics:
        loss = OF_METRIC.get(name)
        if loss is None or (loss in OF_NUMBERS) != regression or (loss in NEEDS_PROBABILITIES and not likely):
            continue
        return loss
    return "absolute error" if regression else "wrong class"


def is_regression(task: str, results: "Iterable[pd.DataFrame]") -> bool:
    """Whether these are numbers to be met: what the schema at hand says, unless the results show otherwise."""
    import pandas as pd

    kinds = pd.api.types
    return task == "regression" and all(
        kinds.is_numeric_dtype(frame[name].dtype) and not kinds.is_bool_dtype(frame[name].dtype)
        for frame in results
        for name in ("truth", "prediction")
    )


def probability_columns(results: "pd.DataFrame") -> list[str]:
    return [name for name in results.columns if name.startswith(PROBABILITY)]


def errors(results: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    """Prediction minus truth."""
    import numpy as np

    return np.asarray(_numbers(results["prediction"]) - _numbers(results["truth"]))


def _numbers(values: "pd.Series[Any]") -> Any:
    return values.to_numpy(dtype=float)


def losses(loss: Loss, results: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    """The loss of every row, 0 where the prediction is perfect."""
    import numpy as np

    if loss == "absolute error":
        return np.asarray(np.abs(errors(results)))
    if loss == "squared error":
        return np.asarray(errors(results) ** 2)
    truth = labels_of(results["truth"])
    if loss == "wrong class":
        return np.asarray(truth != labels_of(results["prediction"]), dtype=float)
    names = [class_label(name.removeprefix(PROBABILITY)) for name in probability_columns(results)]
    likely = results[probability_columns(results)].to_numpy(dtype=float)
    if len(names) == 1:
        # One column alone is the second of two classes; what the other is called is not known.
        likely, names = np.column_stack([1.0 - likely[:, 0], likely[:, 0]]), ["", names[0]]
        truth = np.where(truth == names[1], names[1], "")
    is_class = np.column_stack([truth == name for name in names]).astype(float)
    if loss == "log loss":
        return np.asarray(-np.log(np.clip((likely * is_class).sum(axis=1), np.finfo(float).eps, 1.0)))
    squared = ((likely - is_class) ** 2).sum(axis=1)
    # Of two classes, each says the same.
    return np.asarray(squared / 2.0 if len(names) == 2 else squared)


def labels_of(values: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """Classes as texts; each different value is turned into one once."""
    import numpy as np
    import pandas as pd

    codes, uniques = pd.factorize(values.to_numpy(dtype=object))
    return np.array([class_label(value) for value in uniques], dtype=object)[codes]


def disagreement(first: "pd.DataFrame", second: "pd.DataFrame", regression: bool) -> "np.ndarray[Any, Any]":
    """How far apart two predictions of the same rows are.

    Regression: the absolute difference. Classification: half the sum of the differences of the probabilities (0 to 1);
    without probabilities, 1 where the classes differ.
    """
    import numpy as np

    if regression:
        return np.asarray(np.abs(_numbers(second["prediction"]) - _numbers(first["prediction"])))
    columns = [probability_columns(frame) for frame in (first, second)]
    if not all(columns):
        return np.asarray(labels_of(first["prediction"]) != labels_of(second["prediction"]), dtype=float)
    apart = np.zeros(len(first))
    for name in dict.fromkeys([*columns[0], *columns[1]]):
        sides = [frame[name].to_numpy(dtype=float) if name in frame else 0.0 for frame in (first, second)]
        apart += np.abs(sides[1] - sides[0])
    # One column alone stands for two classes, and both differ by as much.
    return apart if max(map(len, columns)) == 1 else apart / 2.0
