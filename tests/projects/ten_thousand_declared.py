"""10,000 subprojects of a pipeline that does next to nothing, declared in a loop."""

import numpy as np
import pandas as pd

from mlops_assets import Config, DataSchema, Parameters, Pipeline, Project, Subproject, Window


class ShopConfig(Config):
    shop: int


class Mean:
    """Predicts the mean of what it was fitted on."""

    def fit(self, X: pd.DataFrame, y: "pd.Series[float]") -> "Mean":
        self.mean = float(y.mean())
        return self

    def predict(self, X: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.full(len(X), self.mean)


class Sales(Pipeline[ShopConfig, Parameters]):
    schema = DataSchema(key="day", target="sold", features=("weekday",))
    metrics = {"mae": "min"}

    def ingest(self, config: ShopConfig, window: Window | None) -> pd.DataFrame:
        days = np.arange(40)
        return pd.DataFrame({"day": days, "weekday": days % 7, "sold": (days * config.shop) % 11.0})

    def build(self, params: Parameters, seed: int) -> Mean:
        return Mean()


project = Project(
    name="ten_thousand",
    pipeline=Sales(),
    subprojects=[
        Subproject(f"shop-{number:05d}", ShopConfig(shop=number), tags={"region": f"region-{number % 20:02d}"})
        for number in range(10_000)
    ],
)
