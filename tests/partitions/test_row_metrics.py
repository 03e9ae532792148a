"""Metrics by rows: over all rows, and over any group of them, what the default evaluate says."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from partitions.metrics import default_metrics
from partitions.row_metrics import OF_CLASSES, OF_NUMBERS, row_metric

RANDOM = np.random.default_rng(0)


def numbers(rows: int = 300) -> pd.DataFrame:
    truth = RANDOM.normal(1e6, 3.0, rows)  # far from zero: squares of it would lose all digits
    return pd.DataFrame({"truth": truth, "prediction": truth + RANDOM.normal(0.5, 1.0, rows)})


def classes(labels: list[Any], columns: int, rows: int = 300) -> pd.DataFrame:
    """Probabilities for the last ``columns`` labels."""
    likely = RANDOM.dirichlet([1.0] * len(labels), rows)
    frame = pd.DataFrame(
        {
            "truth": [labels[place] for place in RANDOM.integers(0, len(labels), rows)],
            "prediction": [labels[place] for place in likely.argmax(axis=1)],
        }
    )
    for place, label in list(enumerate(labels))[-columns:]:
        frame[f"probability_{label}"] = likely[:, place]
    return frame


FRAMES = {
    "texts": classes(["no", "yes"], 2),
    "three": classes(["a", "b", "c"], 3),
    "whole numbers": classes([0, 1], 2),
    "one column": classes(["no", "yes"], 1),
}


@pytest.mark.parametrize("metric", OF_NUMBERS)
def test_metrics_of_numbers(metric: str) -> None:
    frame = numbers()
    codes = RANDOM.integers(0, 4, len(frame))
    found = row_metric(metric, frame, "regression")
    assert found is not None
    assert found.value == pytest.approx(default_metrics(frame, [metric], "regression")[metric], rel=1e-9)
    exact = [default_metrics(frame[codes == group], [metric], "regression")[metric] for group in range(4)]
    assert found.by_group(codes) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("metric", OF_CLASSES)
@pytest.mark.parametrize("name", FRAMES)
def test_metrics_of_classes(metric: str, name: str) -> None:
    frame = FRAMES[name]
    codes = RANDOM.integers(0, 3, len(frame))
    found = row_metric(metric, frame, "classification")
    assert found is not None
    assert found.value == pytest.approx(default_metrics(frame, [metric], "classification")[metric])
    exact = [default_metrics(frame[codes == group], [metric], "classification")[metric] for group in range(3)]
    assert found.by_group(codes) == pytest.approx(exact)


def test_what_is_no_mean_over_rows_or_lacks_something_is_none() -> None:
    assert row_metric("median_ae", numbers(), "regression") is None
    assert row_metric("mae", numbers().head(0), "regression") is None
    assert row_metric("roc_auc", FRAMES["texts"], "classification") is None
    assert row_metric("mae", FRAMES["texts"], "classification") is None
    assert row_metric("log_loss", FRAMES["texts"][["truth", "prediction"]], "classification") is None


def test_r2_of_rows_of_one_truth_is_not_defined() -> None:
    frame = numbers(40)
    codes = np.repeat([0, 1], 20)
    frame["truth"] = np.where(codes == 0, 5.0, frame["truth"])
    found = row_metric("r2", frame, "regression")
    assert found is not None
    undefined, defined = found.by_group(codes)
    assert np.isnan(undefined)
    assert np.isfinite(defined)
