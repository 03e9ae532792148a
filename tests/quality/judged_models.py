"""Real models with their results, for the tests of gates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.learning.results import rows_with_results
from mlops_assets.learning.run import RunInput, RunResult, execute_run
from mlops_assets.quality.gates import Champion, Judged, judge
from mlops_assets.quality.verdicts import GateVerdict
from partitions.gates import Gate
from partitions.pipeline import Config, Pipeline
from tests.learning.pipelines_for_runs import Delays, Late, Params, delays

REGIONS = ["north", "south", "south", "west"]


def data(rows: int = 800, seed: int = 0) -> pd.DataFrame:
    """Rows whose ``region`` says nothing; one row in four has the region missing."""
    frame = delays(rows, seed)
    regions = pd.Series([REGIONS[number % 4] for number in range(rows)], index=frame.index, dtype="str")
    return frame.assign(region=regions.where(regions != "west"))


class Flights(Delays):
    """With gates of its own, as methods."""

    def early_ones_too(self, results: pd.DataFrame) -> bool:
        return bool((results["prediction"] < results["truth"].median()).any())


class LateFlights(Late):
    metrics = {"accuracy": "max", "log_loss": "min", "roc_auc": "max", "brier": "min", "f1": "max"}


def run(pipeline: Pipeline[Any, Any], frame: pd.DataFrame, params: Params | None = None, seed: int = 1) -> RunResult:
    return execute_run(RunInput(pipeline, Config(), params or Params(), seed, frame))


def judged(
    pipeline: Pipeline[Any, Any] | None = None,
    frame: pd.DataFrame | None = None,
    params: Params | None = None,
    seed: int = 1,
) -> Judged:
    """A model trained now, without a champion."""
    pipeline, frame, params = pipeline or Flights(), data() if frame is None else frame, params or Params()
    result = run(pipeline, frame, params, seed)
    return Judged(
        pipeline=pipeline,
        rows=rows_with_results(frame, pipeline.schema.key, result.results, "test"),
        metrics=result.metrics,
        model=result.model,
        model_bytes=1_500_000,
        baseline=result.baseline,
        config=Config(),
        params=params,
        seed=seed,
        retrain=lambda other: run(pipeline, frame, params, other).metrics,
    )


def champion(pipeline: Pipeline[Any, Any], frame: pd.DataFrame, params: Params | None = None) -> Champion:
    """A model trained before, on other rows."""
    result = run(pipeline, frame, params)
    trained = result.results.loc[result.results["split"] == "train", "key"].tolist()
    return Champion(
        run_id="0199-champion",
        model=result.model,
        predict=lambda rows: pipeline.predict(result.model, rows),
        trained_keys=frozenset(trained),
        code_version="c" * 64,
    )


def predicting(one: Judged, prediction: Any) -> Judged:
    """The same, had it predicted this for its test rows."""
    rows = one.rows.assign(prediction=np.broadcast_to(prediction, len(one.rows)))
    return replace(one, rows=rows, metrics=one.pipeline.evaluate(rows))


def verdict(gate: Gate, one: Judged) -> GateVerdict:
    (found,) = judge([gate], one)
    return found
