"""What gates look at: a model with its results on the test rows, and the model that it would replace."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from partitions.pipeline import Pipeline

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Champion:
    """The model deployed now.

    predict: its own, at its own code version: rows without a target in, a frame with their index and a column
        ``prediction`` out. trained_keys: the row keys of its train rows. code_version: its digest.
    """

    run_id: str
    model: Any
    predict: "Callable[[pd.DataFrame], pd.DataFrame]"
    trained_keys: frozenset[Any]
    code_version: str | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """A model to be judged.

    rows: the test rows as ``evaluate`` gets them: their own columns, ``truth``, ``prediction`` and, for classification
        with probabilities, ``probability_<class>``.
    metrics, baseline: of these rows; ``baseline`` is empty where the pipeline has none.
    model_bytes: size of the model file. config, params: as the pipeline's types.
    retrain: trains anew with another seed and returns the metrics; None where it cannot be done.
    champion: None where nothing is deployed yet. champion_lost: why the one that is deployed cannot be loaded.
    predict: how it predicts, where that is not by ``pipeline`` (a model from its file has its own code).
    """

    pipeline: Pipeline[Any, Any]
    rows: "pd.DataFrame"
    metrics: dict[str, float]
    model: Any
    model_bytes: int
    baseline: dict[str, float]
    config: Any
    params: Any
    seed: int
    retrain: Callable[[int], dict[str, float]] | None = None
    champion: Champion | None = None
    champion_lost: str | None = None
    predict: "Callable[[pd.DataFrame], pd.DataFrame] | None" = None
