"""The same work as a pipeline: what a data scientist would write."""

from typing import Any

import pandas as pd

from mlops_assets import Config, DataSchema, Parameters, Pipeline, Window
from retraining_project.work import FEATURES, month_frame, new_model


class Number(Config):
    number: int


class Params(Parameters):
    pass


class Retrained(Pipeline[Number, Params]):
    schema = DataSchema(key="row", target="y", features=FEATURES)
    metrics = {"r2": "max", "rmse": "min"}

    def ingest(self, config: Number, window: Window | None) -> pd.DataFrame:
        """Other rows every month; their keys, too, as a champion is judged by rows that it has not been trained on."""
        month = window.until.month if window is not None and window.until is not None else 1
        frame = month_frame(config.number, month)
        frame.insert(0, "row", range(month * 100_000, month * 100_000 + len(frame)))
        return frame

    def build(self, params: Params, seed: int) -> Any:
        return new_model()

    def baseline(self, params: Params, seed: int) -> None:
        return None
