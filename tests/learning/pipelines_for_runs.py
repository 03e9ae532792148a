"""Pipelines and rows that the tests of runs share."""

from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.learning.run import RunInput
from partitions.pipeline import Config, Parameters, Pipeline, Window
from partitions.schema import DataSchema


def delays(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    """Rows whose ``delay`` follows ``distance`` and ``hour``; keys "f0000" on, in shuffled order."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": [f"f{number:04d}" for number in range(rows)],
            "time": pd.Timestamp("2013-01-01") + pd.to_timedelta(np.arange(rows), unit="h"),
            "distance": random.uniform(100, 2_000, rows),
            "hour": random.integers(0, 24, rows),
        }
    )
    frame["delay"] = 0.02 * frame["distance"] + 1.5 * frame["hour"] + random.normal(0, 2, rows)
    frame["late"] = np.where(frame["delay"] > frame["delay"].median(), "yes", "no")
    return frame.sample(frac=1.0, random_state=seed)


class Params(Parameters):
    max_depth: int = 3


class Delays(Pipeline[Config, Params]):
    schema = DataSchema(key="id", target="delay", time="time", features=("distance", "hour"))
    metrics = {"mae": "min", "rmse": "min", "r2": "max", "bias": "zero"}

    def ingest(self, config: Config, window: Window | None) -> pd.DataFrame:
        return delays()

    def build(self, params: Params, seed: int) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(n_estimators=5, max_depth=params.max_depth, random_state=seed)


class Late(Delays):
    schema = DataSchema(key="id", target="late", time="time", features=("distance", "hour"), task="classification")
    metrics = {"accuracy": "max", "log_loss": "min", "roc_auc": "max", "brier": "min"}

    def build(self, params: Params, seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=5, max_depth=params.max_depth, random_state=seed)


def run_of(pipeline: Pipeline[Any, Any], data: pd.DataFrame | None = None, **changes: Any) -> RunInput:
    fields: dict[str, Any] = {"config": Config(), "params": Params(), "seed": 7, **changes}
    return RunInput(pipeline=pipeline, data=delays() if data is None else data, **fields)


class NearestHour:
    """No scikit-learn: the mean delay of the hour, the overall mean where the hour is new."""

    def fit(self, X: pd.DataFrame, y: "pd.Series[float]") -> None:
        self.means, self.mean = y.groupby(X["hour"]).mean(), y.mean()

    def predict(self, X: pd.DataFrame) -> "pd.Series[float]":
        return X["hour"].map(self.means).fillna(self.mean)
