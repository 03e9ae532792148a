"""Gates on predictions and on the model itself: are they sane, how long does it take, how large is it."""

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mlops_assets.quality.case import Case, Finding, asked
from mlops_assets.quality.metric_gates import number
from partitions.errors import CouldNotLook
from partitions.gates import ModelSize, PredictionSanity, PredictLatency

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# A machine that trains many models at once makes a call slow now and then; a slow predict is slow each time.
MOST_CALLS = 10
MEGABYTE = 1_000_000


def prediction_sanity(gate: PredictionSanity, case: Case) -> Finding:
    """The value is the share of test rows whose prediction is missing or out of range."""
    prediction = case.judged.rows["prediction"]
    rows = len(prediction)
    missing = int(prediction.isna().sum())
    constant = int(prediction.value_counts().iloc[0]) / rows if missing < rows else 0.0
    evidence: dict[str, Any] = {"rows": rows, "missing": missing, "largest_share_of_one_value": constant}
    wrong = []
    outside = 0
    if gate.low is not None or gate.high is not None:
        values = _numbers(prediction)
        outside = int((values < gate.low).sum() if gate.low is not None else 0)
        outside += int((values > gate.high).sum() if gate.high is not None else 0)
        lowest, highest = (float(bound) for bound in (values.min(), values.max())) if len(values) else (None, None)
        evidence |= {"lowest": lowest, "highest": highest, "outside": outside}
        if outside:
            wrong.append(f"{outside} of {rows} are out of range (they reach from {lowest:.6g} to {highest:.6g})")
    if constant > gate.max_constant_share:
        wrong.append(f"{constant:.1%} of them are one and the same value, more than {gate.max_constant_share:.1%}")
    if missing / rows > gate.max_missing:
        wrong.append(f"{missing} of {rows} are missing, more than {gate.max_missing:.1%}")
    reason = f"predictions: {'; '.join(wrong)}" if wrong else f"{rows} predictions are as they should be"
    return Finding(not wrong, reason, (missing + outside) / rows, evidence)


def _numbers(prediction: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(prediction.dtype):
        raise CouldNotLook(f"low and high are for numbers, and predictions are {prediction.dtype}")
    there: np.ndarray[Any, Any] = prediction.dropna().to_numpy(dtype=float)
    return there


def predict_latency(gate: PredictLatency, case: Case) -> Finding:
    """The fastest of up to ten calls, the first within the limit is the last. Fewer test rows are repeated."""
    given = case.given
    rows = given.iloc[[place % len(given) for place in range(gate.rows)]].reset_index(drop=True)
    taken: list[float] = []
    while len(taken) < MOST_CALLS and not (taken and taken[-1] <= gate.max_ms):
        taken.append(_milliseconds(case, rows.copy(deep=False)))
    fastest = min(taken)
    passed = fastest <= gate.max_ms
    many = f"{gate.rows} row{'s' if gate.rows > 1 else ''}"
    at = "at most" if passed else "more than"
    reason = f"predicting {many} took {fastest:.3g} ms, {at} {number(gate.max_ms)} ms"
    if not passed:
        reason += f", in each of {len(taken)} calls"
    return Finding(passed, reason, fastest, {"rows": gate.rows, "calls_ms": taken})


def _milliseconds(case: Case, rows: "pd.DataFrame") -> float:
    judged = case.judged
    predict = judged.predict or partial(judged.pipeline.predict, judged.model)
    began = perf_counter()
    asked(f"{case.name}.predict", lambda: predict(rows))
    return round((perf_counter() - began) * 1000, 4)


def model_size(gate: ModelSize, case: Case) -> Finding:
    size = case.judged.model_bytes / MEGABYTE
    passed = size <= gate.max_mb
    reason = f"the model file has {number(size)} MB, {'at most' if passed else 'more than'} {number(gate.max_mb)} MB"
    return Finding(passed, reason, size, {"bytes": case.judged.model_bytes})
