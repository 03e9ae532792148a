"""The frame after every step of a fitted model, on the way that its pipeline's ``predict`` takes."""

import copy
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_assets.learning.contract import check_predictions
from partitions.pipeline import Pipeline

if TYPE_CHECKING:
    import pandas as pd

# What an estimator that is no pipeline of several steps is called.
ONLY_STEP = "model"


class Walked(NamedTuple):
    """What ``predict`` handed to the model, and the frame after each of its steps; the last one holds predictions."""

    given: "pd.DataFrame"
    steps: "dict[str, pd.DataFrame]"


def walk(pipeline: Pipeline[Any, Any], model: Any, rows: "pd.DataFrame") -> Walked:
    """Predict ``rows`` and look at the way: a frame per step of a scikit-learn Pipeline, by name, with their index.

    A ColumnTransformer, FeatureUnion or Pipeline inside is one step; any other estimator is one step, ``model``.
    Columns are named as the step names them (``get_feature_names_out``), else by position. ``rows`` stay as they are.
    """
    handed, predictions = _predicted(pipeline, model, rows)
    given = _frame(handed, rows.index, [])
    frames: dict[str, pd.DataFrame] = {}
    current, names = handed, list(given.columns)
    *before, last = _named_steps(model)
    for name, step in before:
        # "passthrough", None, and what only resamples the train rows change nothing here.
        changes = hasattr(step, "transform")
        current = step.transform(current) if changes else current
        frames[name] = _frame(current, rows.index, list(_names_by_step(step, names)) if changes else [names])
        names = list(frames[name].columns)
    frames[last[0]] = predictions
    return Walked(given, frames)


def _predicted(pipeline: Pipeline[Any, Any], model: Any, rows: "pd.DataFrame") -> tuple[Any, "pd.DataFrame"]:
    """The predictions, and what the pipeline gave its model for them: ``predict`` may have made something of the rows.

    The model's own class is kept, so that whatever the pipeline asks of it is answered; where it cannot be listened to
    (no attributes of its own) the feature columns are what it was given.
    """
    heard: list[Any] = []
    listening = copy.copy(model)
    for method in ("predict", "predict_proba"):
        if callable(getattr(model, method, None)):
            try:
                setattr(listening, method, _noting(getattr(model, method), heard))
            except AttributeError:
                listening = model
    what = f"{type(pipeline).__name__}.predict"
    predictions = check_predictions(pipeline.predict(listening, rows.copy(deep=False)), rows, pipeline.schema, what)
    whole = [value for value in heard if _length(value) == len(rows)]
    return whole[0] if whole else pipeline.schema.features_of(rows), predictions


def _noting(method: Callable[..., Any], heard: list[Any]) -> Callable[..., Any]:
    def noted(X: Any, *arguments: Any, **named: Any) -> Any:
        heard.append(X.copy() if hasattr(X, "copy") else X)
        return method(X, *arguments, **named)

    return noted


def _length(value: Any) -> int:
    shape = getattr(value, "shape", None)
    return int(shape[0]) if shape else len(value)


def _named_steps(model: Any) -> list[tuple[str, Any]]:
    # A model of scikit-learn's cannot be here without its module; a model of nothing of it need not load it.
    of_steps = getattr(sys.modules.get("sklearn.pipeline"), "Pipeline", None)
    return list(model.steps) if of_steps is not None and isinstance(model, of_steps) else [(ONLY_STEP, model)]


def _names_by_step(step: Any, given: list[str]) -> Iterator[list[str]]:
    """The names a step may have for its columns, the most telling first."""
    naming = getattr(step, "get_feature_names_out", None)
    for arguments in ((given,), ()):
        if callable(naming):
            try:
                yield [str(name) for name in naming(*arguments)]
            except (ValueError, AttributeError, TypeError):
                # Some steps want the names of their input, some refuse them, some cannot tell before or at all.
                continue


def _frame(value: Any, index: "pd.Index[Any]", names: list[list[str]]) -> "pd.DataFrame":
    """What a step returned as a frame: array, sparse matrix, Series or list alike."""
    import numpy as np
    import pandas as pd

    if isinstance(value, pd.DataFrame | pd.Series):
        frame = value.to_frame() if isinstance(value, pd.Series) else value.copy(deep=False)
        frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    else:
        if hasattr(value, "tocsc"):
            frame = pd.DataFrame.sparse.from_spmatrix(value.tocsc())  # type: ignore[attr-defined]  # the stubs lack it
        elif isinstance(value, list):
            frame = pd.DataFrame({"0": pd.Series(value, dtype=object)})
        else:
            array = np.asarray(value)
            frame = pd.DataFrame(array.reshape(len(array), -1), copy=True)
        fitting = [candidate for candidate in names if len(candidate) == frame.shape[1]]
        columns = fitting[0] if fitting else [str(position) for position in range(frame.shape[1])]
        frame = frame.set_axis(columns, axis="columns")
    return frame.set_axis(index, axis="index") if len(frame) == len(index) else frame
