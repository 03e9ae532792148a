"""100 rows on a line, and a least squares fit."""

from typing import Any

import numpy as np
import pandas as pd

from mlops_assets import Config, DataSchema, Parameters, Pipeline, Window


class Slope(Config):
    slope: float


class LeastSquares:
    def fit(self, X: pd.DataFrame, y: "pd.Series[float]") -> "LeastSquares":
        self.weights = np.linalg.lstsq(X.to_numpy(), y.to_numpy(), rcond=None)[0]
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        return X.to_numpy() @ self.weights


class Lines(Pipeline[Slope, Parameters]):
    schema = DataSchema(key="row", target="y", features=("x",))
    metrics = {"rmse": "min", "r2": "max"}

    def ingest(self, config: Slope, window: Window | None) -> pd.DataFrame:
        x = np.linspace(-1.0, 1.0, 100)
        return pd.DataFrame({"row": np.arange(100), "x": x, "y": config.slope * x + np.sin(9.0 * x)})

    def build(self, params: Parameters, seed: int) -> LeastSquares:
        return LeastSquares()
