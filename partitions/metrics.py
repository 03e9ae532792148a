"""The metrics that ``Pipeline.evaluate`` knows without being overridden, computed from rows with results."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from partitions.errors import PipelineError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

REGRESSION = ("mae", "rmse", "r2", "bias", "median_ae")
CLASSIFICATION = ("accuracy", "balanced_accuracy", "f1", "log_loss", "roc_auc", "brier")
PROBABILITY = "probability_"
_TWO = 2


def default_metrics(
    results: "pd.DataFrame", names: list[str], task: Literal["regression", "classification"]
) -> dict[str, float]:
    """The metrics called ``names``, from the columns ``truth``, ``prediction`` and ``probability_<class>``.

    Regression: mae, rmse, bias (mean of prediction minus truth) and median_ae in the unit of the target; r2.
    Classification: accuracy, balanced_accuracy, f1 (of the positive class where the labels are 0/1 or False/True, else
    the mean over the classes), and from probabilities log_loss, roc_auc (several classes: mean of one against the
    rest) and brier (two classes: 0 to 1; more: the sum over the classes).
    PipelineError for a name it does not know, for no rows, and for a metric these rows do not define.
    """
    known = REGRESSION if task == "regression" else CLASSIFICATION
    for name in names:
        if name not in known:
            offer = nearest(name, known, noun="metric")
            raise PipelineError(
                f"{offer} (the default evaluate for {task} computes {', '.join(known)}; override evaluate for others)"
            )
    if results.empty:
        raise PipelineError(f"no rows to evaluate: {', '.join(names)} need at least one row with truth and prediction")
    return _regression(results, names) if task == "regression" else _classification(results, names)


def _regression(results: "pd.DataFrame", names: list[str]) -> dict[str, float]:
    import numpy as np

    truth = results["truth"].to_numpy(dtype=float)
    error = results["prediction"].to_numpy(dtype=float) - truth
    compute: dict[str, Callable[[], Any]] = {
        "mae": lambda: np.mean(np.abs(error)),
        "rmse": lambda: np.sqrt(np.mean(error**2)),
        "r2": lambda: _r2(truth, error),
        "bias": lambda: np.mean(error),
        "median_ae": lambda: np.median(np.abs(error)),
    }
    return {name: float(compute[name]()) for name in names}


def _r2(truth: "Array", error: "Array") -> float:
    spread = float(((truth - truth.mean()) ** 2).sum())
    if spread == 0.0:
        raise PipelineError(f"r2 needs rows whose truth differs: all {len(truth)} rows have the same truth")
    return 1.0 - float((error**2).sum()) / spread


def _classification(results: "pd.DataFrame", names: list[str]) -> dict[str, float]:
    truth = results["truth"].map(class_label).to_numpy(dtype=object)
    prediction = results["prediction"].map(class_label).to_numpy(dtype=object)
    compute: dict[str, Callable[[], Any]] = {
        "accuracy": (truth == prediction).mean,
        "balanced_accuracy": lambda: _balanced_accuracy(truth, prediction),
        "f1": lambda: _f1(truth, prediction),
        "log_loss": lambda: _log_loss(*class_probabilities(results, truth, "log_loss")),
        "roc_auc": lambda: _roc_auc(*class_probabilities(results, truth, "roc_auc")),
        "brier": lambda: _brier(*class_probabilities(results, truth, "brier")),
    }
    return {name: float(compute[name]()) for name in names}


def class_label(value: Any) -> str:
    """One text for one class, whether it came as 1, 1.0, True's text or from the name of a probability column."""
    text = str(value)
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def class_probabilities(results: "pd.DataFrame", truth: "Array", metric: str) -> "tuple[Array, Array]":
    """Two arrays (rows, classes) with the classes in the estimator's order: whether it is the class, and how likely.

    A class that the estimator never saw is a row of zeros. One column alone is the second of two classes.
    """
    import numpy as np

    columns = [column for column in results.columns if str(column).startswith(PROBABILITY)]
    if not columns:
        raise PipelineError(
            f"{metric} needs probabilities: build an estimator with predict_proba, or let predict return "
            f"{PROBABILITY}<class> columns"
        )
    likely = results[columns].to_numpy(dtype=float)
    labels = [class_label(column[len(PROBABILITY) :]) for column in columns]
    is_class = np.stack([(truth == label).astype(float) for label in labels], axis=1)
    if len(columns) > 1:
        return is_class, likely
    return np.hstack([1.0 - is_class, is_class]), np.hstack([1.0 - likely, likely])


def _balanced_accuracy(truth: "Array", prediction: "Array") -> float:
    recalls = [float((prediction[truth == label] == label).mean()) for label in sorted(set(truth))]
    return sum(recalls) / len(recalls)


def _f1(truth: "Array", prediction: "Array") -> float:
    labels = set(truth) | set(prediction)
    if labels <= {"0", "1"} or labels <= {"False", "True"}:
        labels = {"1"} if labels <= {"0", "1"} else {"True"}
    scores = []
    for label in sorted(labels):
        right = int(((truth == label) & (prediction == label)).sum())
        named = int((truth == label).sum()) + int((prediction == label).sum())
        scores.append(2 * right / named if named else 0.0)
    return sum(scores) / len(scores)


def _log_loss(is_class: "Array", likely: "Array") -> float:
    import numpy as np

    of_truth = (is_class * likely).sum(axis=1)
    return float(-np.log(np.clip(of_truth, np.finfo(float).eps, 1.0)).mean())


def _brier(is_class: "Array", likely: "Array") -> float:
    total = float(((likely - is_class) ** 2).sum(axis=1).mean())
    return total / 2 if is_class.shape[1] == _TWO else total


def _roc_auc(is_class: "Array", likely: "Array") -> float:
    from sklearn.metrics import roc_auc_score

    rows, classes = is_class.shape
    judged = [1] if classes == _TWO else list(range(classes))
    both = [column for column in judged if 0 < is_class[:, column].sum() < rows]
    if not both:
        raise PipelineError(f"roc_auc needs rows of at least two classes: all {rows} rows are of one class")
    return sum(float(roc_auc_score(is_class[:, column], likely[:, column])) for column in both) / len(both)
