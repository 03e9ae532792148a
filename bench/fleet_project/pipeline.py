"""The same work as a pipeline: what a data scientist would write."""

from typing import Any

import pandas as pd

from fleet_project.work import FEATURES, make_frame, new_model
from mlops_assets import Config, DataSchema, Parameters, Pipeline, Window


class Number(Config):
    number: int
    expectations: int = 0


class Params(Parameters):
    pass


class Fleet(Pipeline[Number, Params]):
    schema = DataSchema(key="row", target="y", features=FEATURES)
    metrics = {"r2": "max", "rmse": "min"}

    def ingest(self, config: Number, window: Window | None) -> pd.DataFrame:
        frame = make_frame(config.number)
        frame.insert(0, "row", range(len(frame)))
        return frame

    def expectations(self, config: Number) -> list[Any]:
        limits = {"min_value": -20.0, "max_value": 20.0}
        columns = (*FEATURES, "row", "y")[: config.expectations]
        kind = "expect_column_values_to_be_between"
        return [
            {"type": kind, "kwargs": {"column": name, **(limits if name in FEATURES else {"min_value": -1000.0})}}
            for name in columns
        ]

    def build(self, params: Params, seed: int) -> Any:
        return new_model()

    def baseline(self, params: Params, seed: int) -> None:
        return None
