"""The arrival delay of a flight from New York, predicted when it leaves the gate."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mlops_assets import Config, DataSchema, Estimator, Parameters, Pipeline, Window
from projects.flight_delays.features import (
    CATEGORIES,
    FLIGHT,
    PLANE,
    WEATHER,
    AsLateAsItLeft,
    MinutesSinceDeparture,
    add_features,
    model_columns,
)

if TYPE_CHECKING:
    import pandas as pd

FLIGHTS = Path(__file__).parent / "data" / "flights.parquet"
SCHEMA = DataSchema(
    key="flight_id",
    target="arr_delay",
    time="time_hour",
    # No month: with one year of data the test rows lie in months that no train row has, and it only misleads.
    features=(*CATEGORIES, *FLIGHT, *PLANE, *WEATHER),
    private=("tailnum",),
)


class CarrierConfig(Config):
    """Whose flights these are: one airline's, those of one route, or both.

    carrier: the airline's two-letter code. origin, dest: airport codes. registered_planes: whether planes are reported
    by their registration, so that maker, seats and year are known; AA and MQ report numbers of their own.
    """

    carrier: str | None = Field(default=None, pattern=r"^[A-Z0-9]{2}$")
    origin: Literal["EWR", "JFK", "LGA"] | None = None
    dest: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    registered_planes: bool = True

    @model_validator(mode="after")
    def _of_some_flights(self) -> "CarrierConfig":
        if not self.flights:
            raise ValueError("name a carrier, an origin or a dest; without any it would be all flights")
        return self

    @property
    def flights(self) -> dict[str, str]:
        """The columns that say which flights these are, and their values."""
        return self.model_dump(include={"carrier", "origin", "dest"}, exclude_none=True)


class Params(Parameters):
    """Gradient boosting, cautious by default: the smallest airlines have a few hundred flights."""

    learning_rate: float = Field(default=0.05, gt=0.0, le=1.0)
    max_iter: int = Field(default=150, ge=1, le=2000)
    max_depth: int = Field(default=4, ge=1, le=20)
    min_samples_leaf: int = Field(default=50, ge=1)
    l2_regularization: float = Field(default=5.0, ge=0.0)
    loss: Literal["squared_error", "absolute_error"] = "squared_error"
    weather: bool = True


class FlightDelays(Pipeline[CarrierConfig, Params]):
    """Minutes of delay at arrival, negative when early, from what is known when the plane leaves the gate."""

    schema = SCHEMA
    metrics = {"mae": "min", "rmse": "min", "r2": "max", "bias": "zero"}

    def ingest(self, config: CarrierConfig, window: Window | None) -> "pd.DataFrame":
        """Their flights in the window, by the hour (UTC) they were to leave in; cancelled ones are left out."""
        import pyarrow.parquet as pq

        wanted: list[tuple[str, str, Any]] = [(column, "==", value) for column, value in config.flights.items()]
        if window is not None and window.since is not None:
            wanted.append(("time_hour", ">=", in_utc(window.since)))
        if window is not None and window.until is not None:
            wanted.append(("time_hour", "<", in_utc(window.until)))
        columns = [SCHEMA.key, "time_hour", *SCHEMA.private, *SCHEMA.features, SCHEMA.target]
        rows: pd.DataFrame = pq.read_table(FLIGHTS, columns=columns, filters=wanted).to_pandas()
        return rows

    def expectations(self, config: CarrierConfig) -> list[Any]:
        """What would make the model wrong stops a training; what makes it a little worse is a warning."""
        planes = expect("values_to_not_be_null", "warning", column="plane_maker", mostly=0.9)
        return [
            expect("values_to_be_unique", column="flight_id"),
            expect("values_to_be_in_set", column="origin", value_set=["EWR", "JFK", "LGA"]),
            expect("values_to_be_between", column="arr_delay", min_value=-180, max_value=2880),
            expect("values_to_not_be_null", column="dep_delay"),
            expect("values_to_be_between", column="dep_delay", min_value=-120, max_value=2880),
            expect("values_to_be_between", column="sched_minutes", min_value=30, max_value=800),
            expect("values_to_not_be_null", "warning", column="temp", mostly=0.95),
            *([planes] if config.registered_planes else []),
        ]

    def build(self, params: Params, seed: int) -> Estimator:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.pipeline import Pipeline as Steps
        from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

        unseen = float("nan")  # an airport or maker that was not there at training counts as missing
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=unseen, encoded_missing_value=unseen)
        columns = ColumnTransformer(
            [("codes", codes, CATEGORIES), ("numbers", "passthrough", model_columns(weather=params.weather))],
            verbose_feature_names_out=False,
        )
        regressor = HistGradientBoostingRegressor(
            learning_rate=params.learning_rate,
            max_iter=params.max_iter,
            max_depth=params.max_depth,
            min_samples_leaf=params.min_samples_leaf,
            l2_regularization=params.l2_regularization,
            loss=params.loss,
            categorical_features=CATEGORIES,
            early_stopping=False,
            random_state=seed,
        )
        steps = [("features", FunctionTransformer(add_features)), ("columns", columns.set_output(transform="pandas"))]
        return Steps([*steps, ("model", MinutesSinceDeparture(regressor))])  # type: ignore[no-any-return]

    def baseline(self, params: Params, seed: int) -> Estimator:
        return AsLateAsItLeft()


def expect(what: str, severity: Literal["error", "warning"] = "error", **kwargs: Any) -> dict[str, Any]:
    """One expectation about a column, as Great Expectations names it."""
    return {"type": f"expect_column_{what}", "kwargs": kwargs, "severity": severity}


def in_utc(moment: datetime) -> datetime:
    """The moment with its zone; without one it is UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
