"""The pipeline contract, checked: what split, build, predict and evaluate return is what the framework relies on."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from partitions.errors import PipelineError
from partitions.pipeline import Split
from partitions.schema import DataSchema

if TYPE_CHECKING:
    import pandas as pd


def check_split(parts: Any, rows: "pd.DataFrame", schema: DataSchema, what: str) -> Split:
    """``parts`` as a Split, if train and test are two non-empty, disjoint sets of ``rows``, told apart by row key."""
    import pandas as pd

    if not (isinstance(parts, tuple) and len(parts) == 2 and all(isinstance(part, pd.DataFrame) for part in parts)):
        raise PipelineError(f"{what} returned {_kind(parts)}; it must return Split(train, test), two DataFrames")
    split = Split(*parts)
    # Sets of plain values: `isin` on Arrow strings takes seconds for 50,000 keys.
    known = set(rows[schema.key].tolist())
    keys: dict[str, set[Any]] = {}
    for name, part in split._asdict().items():
        if part.empty:
            raise PipelineError(f"{what} left no {name} rows (of {len(rows)}); each part needs at least one")
        lost = [column for column in (schema.key, schema.target) if column not in part.columns]
        if lost:
            raise PipelineError(f"{what} lost column {lost[0]!r} in the {name} rows; it must keep the rows' columns")
        listed = part[schema.key].tolist()
        keys[name] = set(listed)
        foreign = sum(key not in known for key in listed)
        if foreign:
            raise PipelineError(f"{what} returned {foreign} {name} rows that it was not given; it may only part them")
        repeated = len(part) - len(keys[name])
        if repeated:
            raise PipelineError(f"{what} returned {repeated} {name} rows twice; every row may be there once")
    both = len(keys["train"] & keys["test"])
    if both:
        raise PipelineError(f"{what} put {both} rows in train and in test; the two must have no row in common")
    return split


def check_estimator(model: Any, what: str) -> Any:
    """``model``, if it has fit and predict and is an object, not a class."""
    if isinstance(model, type):
        raise PipelineError(f"{what} returned the class {model.__name__}; return an object: {model.__name__}(...)")
    lacking = [method for method in ("fit", "predict") if not callable(getattr(model, method, None))]
    if lacking:
        raise PipelineError(
            f"{what} returned {_kind(model)}, which has no {' and no '.join(lacking)}; "
            "return an unfitted estimator with fit and predict"
        )
    return model


def check_predictions(predictions: Any, rows: "pd.DataFrame", schema: DataSchema, what: str) -> "pd.DataFrame":
    """``predictions`` with its result columns only, if they have a usable value for each of ``rows``."""
    import pandas as pd

    right = "a DataFrame with the index of the rows and a column 'prediction'"
    if not isinstance(predictions, pd.DataFrame):
        raise PipelineError(f"{what} returned {_kind(predictions)}; it must return {right}")
    if "prediction" not in predictions.columns:
        found = ", ".join(map(str, predictions.columns[:8])) or "none"
        raise PipelineError(f"{what} returned no column 'prediction' (columns: {found}); it must return {right}")
    if not predictions.columns.is_unique:
        raise PipelineError(f"{what} returned two columns of one name; name each column once")
    if len(predictions) != len(rows):
        raise PipelineError(
            f"{what} returned {len(predictions)} predictions for {len(rows)} rows; one per row is right"
        )
    if not predictions.index.equals(rows.index):
        raise PipelineError(f"{what} returned another index than its rows have; it must return {right}")
    _check_prediction(predictions["prediction"], schema, what)
    columns = result_columns(predictions, schema)
    for column in columns[1:]:
        _check_probability(predictions[column], what)
    return predictions if columns == list(predictions.columns) else predictions[columns]


def result_columns(frame: "pd.DataFrame", schema: DataSchema) -> list[str]:
    """The columns of predictions that results keep: ``prediction`` and, for classification, ``probability_<class>``.

    Elsewhere a name that begins like that may be a feature's.
    """
    if schema.task == "regression":
        return ["prediction"]
    return ["prediction", *(c for c in frame.columns if isinstance(c, str) and c.startswith("probability_"))]


def _check_prediction(prediction: "pd.Series[Any]", schema: DataSchema, what: str) -> None:
    import numpy as np
    import pandas as pd

    if prediction.dtype == np.float64 and schema.task == "regression" and np.isfinite(prediction.to_numpy()).all():
        return
    missing = int(prediction.isna().sum())
    if missing:
        raise PipelineError(
            f"{what} returned NaN for {missing} of {len(prediction)} rows; every row needs a prediction"
        )
    if schema.task == "classification":
        return
    if not pd.api.types.is_numeric_dtype(prediction.dtype):
        raise PipelineError(f"{what} returned predictions of type {prediction.dtype}; regression needs numbers")
    infinite = int(np.isinf(prediction.to_numpy(dtype=float)).sum())
    if infinite:
        raise PipelineError(f"{what} returned infinite predictions for {infinite} of {len(prediction)} rows")


def _check_probability(probability: "pd.Series[Any]", what: str) -> None:
    import pandas as pd

    name = probability.name
    if not pd.api.types.is_numeric_dtype(probability.dtype):
        raise PipelineError(
            f"{what} returned {name!r} of type {probability.dtype}; probabilities are numbers from 0 to 1"
        )
    # Rounding may leave a probability a little outside; NaN fails the comparison too.
    outside = int((~probability.between(-1e-9, 1 + 1e-9)).sum())
    if outside:
        raise PipelineError(f"{what} returned {name!r} outside 0 to 1, or NaN, in {outside} of {len(probability)} rows")


def check_metrics(values: Any, declared: Mapping[str, Any], what: str) -> dict[str, float]:
    """``values`` as floats, in declared order, if they are exactly the declared names, each a finite number."""
    right = f"it must return exactly {', '.join(declared)}"
    if not isinstance(values, Mapping):
        raise PipelineError(f"{what} returned {_kind(values)}; it must return a dict of {', '.join(declared)}")
    missing = [name for name in declared if name not in values]
    if missing:
        raise PipelineError(f"{what} returned no {', '.join(missing)}; {right} (declared in metrics)")
    extra = [str(name) for name in values if name not in declared]
    if extra:
        raise PipelineError(f"{what} returned {', '.join(extra)}, not declared in metrics; {right}")
    return {name: _number(values[name], f"{what} returned {name}") for name in declared}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise PipelineError(f"{what} = {value!r} ({type(value).__name__}); a metric is a number")
    if not math.isfinite(value):
        raise PipelineError(
            f"{what} = {float(value)}; a metric is a finite number: leave out rows it is not defined for"
        )
    return float(value)


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
