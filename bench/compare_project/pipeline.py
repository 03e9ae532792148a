"""Rows with numbers, categories, a time and a text key; a linear model, so that the runs themselves are soon done."""

import os
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets import Config, DataSchema, Parameters, Pipeline, SplitSettings, Window

NUMBERS = tuple(f"x{k}" for k in range(8))
CATEGORIES = ("region", "maker", "day")


class Params(Parameters):
    alpha: float = 1.0
    split: SplitSettings = SplitSettings(test_size=0.5)


class Ridge:
    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def fit(self, X: Any, y: Any) -> "Ridge":
        x = X[list(NUMBERS)].to_numpy(dtype=float)
        self.weights = np.linalg.solve(x.T @ x + self.alpha * np.eye(x.shape[1]), x.T @ y.to_numpy())
        return self

    def predict(self, X: Any) -> Any:
        return X[list(NUMBERS)].to_numpy(dtype=float) @ self.weights


class Compared(Pipeline[Config, Params]):
    schema = DataSchema(key="row", target="y", time="time", features=(*NUMBERS, *CATEGORIES))
    metrics = {"rmse": "min", "mae": "min", "r2": "max"}

    def ingest(self, config: Config, window: Window | None) -> pd.DataFrame:
        rows = int(os.environ["COMPARE_ROWS"])
        random = np.random.default_rng(0)
        frame = pd.DataFrame(random.normal(size=(rows, len(NUMBERS))), columns=list(NUMBERS))
        frame.insert(0, "row", [f"row-{number:08d}" for number in range(rows)])
        frame["time"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), unit="min")
        for name, values in zip(CATEGORIES, (5, 60, 7), strict=True):
            frame[name] = [f"{name} {number}" for number in random.integers(0, values, rows)]
        frame["y"] = frame[list(NUMBERS)].sum(axis=1) + random.normal(size=rows)
        if os.environ.get("COMPARE_CHANGED"):
            frame.loc[frame.index % 20 == 0, "x0"] += 1.0
            frame = frame[frame.index % 100 != 1].assign(added=1.0)
        return frame

    def build(self, params: Params, seed: int) -> Ridge:
        return Ridge(params.alpha)

    def baseline(self, params: Params, seed: int) -> None:
        return None
