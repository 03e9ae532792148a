"""The same work as a pipeline, and one with next to no work in it."""

from typing import Any

import numpy as np
import pandas as pd

from hpo_project.work import FEATURES, make_frame, new_model
from mlops_assets import Config, DataSchema, Parameters, Pipeline, Window


class Number(Config):
    number: int = 0


class Params(Parameters):
    rate: float = 0.1
    leaves: int = 31
    leaf: int = 20


class Boosted(Pipeline[Number, Params]):
    schema = DataSchema(key="row", target="y", features=FEATURES)
    metrics = {"rmse": "min"}

    def ingest(self, config: Number, window: Window | None) -> pd.DataFrame:
        return make_frame(config.number)

    def build(self, params: Params, seed: int) -> Any:
        return new_model(params.rate, params.leaves, params.leaf)

    def baseline(self, params: Params, seed: int) -> None:
        return None


class Constant:
    """Predicts one number: a trial of it costs what a trial costs."""

    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, X: pd.DataFrame, y: "pd.Series[float]") -> "Constant":
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        return np.full(len(X), self.value)


class Trivial(Boosted):
    def ingest(self, config: Number, window: Window | None) -> pd.DataFrame:
        return make_frame(config.number).head(40)

    def build(self, params: Params, seed: int) -> Any:
        return Constant(params.rate + params.leaves / 100 + params.leaf / 1000)
