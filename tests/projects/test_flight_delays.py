"""The pipeline of the example: what it reads, what it gives the model, and that the model is worth having."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from mlops_assets.learning.data import check_rows
from mlops_assets.learning.run import RunInput, RunResult, execute_run
from mlops_assets.quality.expectations import validate
from partitions.errors import DataError, MlopsError
from partitions.pipeline import Window
from projects.flight_delays.checks import residual_bias
from projects.flight_delays.features import add_features
from projects.flight_delays.pipeline import SCHEMA, CarrierConfig, FlightDelays, Params
from resources.models import dump_model, verify_model

AIRTRAN = CarrierConfig(carrier="FL")  # a small airline: 3,175 flights
MARCH = Window(since=datetime(2013, 3, 1, tzinfo=UTC), until=datetime(2013, 4, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return FlightDelays().ingest(AIRTRAN, None)


def trained(rows: pd.DataFrame, **params: Any) -> RunResult:
    return execute_run(RunInput(FlightDelays(), AIRTRAN, Params(**params), 1, rows.drop(columns=list(SCHEMA.private))))


@pytest.fixture(scope="module")
def result(flights: pd.DataFrame) -> RunResult:
    return trained(flights)


def test_ingest_reads_one_airline_with_every_column_of_the_schema(flights: pd.DataFrame) -> None:
    assert len(flights) == 3175
    assert flights["flight_id"].str.startswith("FL").all()
    assert list(flights) == ["flight_id", "time_hour", "tailnum", *SCHEMA.features, "arr_delay"]
    assert check_rows(flights, SCHEMA, "flight_delays/FL") is flights


def test_ingest_reads_the_window_with_its_beginning_and_without_its_end() -> None:
    march = FlightDelays().ingest(AIRTRAN, MARCH)
    assert march["time_hour"].min() >= pd.Timestamp("2013-03-01", tz="UTC")
    assert march["time_hour"].max() < pd.Timestamp("2013-04-01", tz="UTC")
    assert 200 < len(march) < 400


def test_windows_that_meet_hold_every_flight_once(flights: pd.DataFrame) -> None:
    moment = flights["time_hour"].iloc[1000].to_pydatetime()
    before = FlightDelays().ingest(AIRTRAN, Window(until=moment))
    since = FlightDelays().ingest(AIRTRAN, Window(since=moment))
    assert (since["time_hour"] == moment).any()
    assert pd.concat([before, since], ignore_index=True).equals(flights)


def test_a_window_without_a_time_zone_is_in_utc() -> None:
    naive = Window(since=datetime(2013, 3, 1), until=datetime(2013, 4, 1))  # noqa: DTZ001
    assert FlightDelays().ingest(AIRTRAN, naive).equals(FlightDelays().ingest(AIRTRAN, MARCH))


def test_an_airline_without_flights_has_no_rows_to_train_on() -> None:
    with pytest.raises(DataError, match="no rows"):
        trained(FlightDelays().ingest(CarrierConfig(carrier="ZZ"), None))


def test_a_carrier_is_a_two_letter_code() -> None:
    with pytest.raises((MlopsError, ValueError), match="carrier"):
        CarrierConfig(carrier="american")


def test_the_private_column_is_dropped_and_no_feature() -> None:
    assert SCHEMA.treatments == {"tailnum": "drop"}
    assert "tailnum" not in SCHEMA.features


def test_only_what_is_known_at_departure_is_a_feature() -> None:
    afterwards = {"arr_delay", "arr_time", "air_time", "dep_time"}
    assert not afterwards & set(SCHEMA.features)


@pytest.mark.parametrize("carrier", ["FL", "AA"])
def test_the_data_is_as_the_pipeline_expects_it(carrier: str) -> None:
    config = CarrierConfig(carrier=carrier, registered_planes=carrier != "AA")
    verdict = validate(FlightDelays().ingest(config, MARCH), FlightDelays().expectations(config), carrier)
    assert verdict.passed
    assert not verdict.warned
    assert len(verdict.results) >= 7


def test_an_impossible_delay_and_unknown_planes_are_noticed(flights: pd.DataFrame) -> None:
    wrong = flights.assign(arr_delay=flights["arr_delay"].mask(flights.index == 0, 5000.0), plane_maker=None)
    verdict = validate(wrong, FlightDelays().expectations(AIRTRAN), "FL")
    assert [failed.column for failed in verdict.failed] == ["arr_delay"]
    assert [warned.column for warned in verdict.warned] == ["plane_maker"]


def test_the_model_is_better_than_arriving_as_late_as_it_left(result: RunResult) -> None:
    assert result.rows == {"train": 2381, "test": 794}
    assert result.metrics["mae"] < result.baseline["mae"]
    assert result.metrics["rmse"] < result.baseline["rmse"]
    assert result.metrics["r2"] > 0.85
    assert abs(result.metrics["bias"]) < 3


def test_the_test_rows_are_the_latest(result: RunResult, flights: pd.DataFrame) -> None:
    times = result.results.merge(flights, left_on="key", right_on="flight_id").groupby("split")["time_hour"]
    assert times.max()["train"] <= times.min()["test"]


def test_the_same_run_gives_the_same_predictions(result: RunResult, flights: pd.DataFrame) -> None:
    shuffled = flights.sample(frac=1.0, random_state=3)
    assert trained(shuffled).predictions_digest == result.predictions_digest


@pytest.mark.parametrize(
    "params",
    [{"learning_rate": 0.2}, {"max_iter": 20}, {"max_depth": 2}, {"loss": "absolute_error"}, {"weather": False}],
)
def test_every_parameter_that_is_searched_changes_the_model(
    params: dict[str, Any], result: RunResult, flights: pd.DataFrame
) -> None:
    assert trained(flights, **params).predictions_digest != result.predictions_digest


def test_without_weather_the_model_does_not_look_at_it(flights: pd.DataFrame) -> None:
    blind = trained(flights, weather=False, max_iter=20).model
    rows = flights.head(50)
    stormy = rows.assign(wind_speed=40.0, visib=0.1, temp=10.0)
    predict = FlightDelays().predict
    assert predict(blind, stormy).equals(predict(blind, rows))


def test_an_unseen_airport_and_missing_values_are_predicted_too(result: RunResult, flights: pd.DataFrame) -> None:
    rows = flights.head(3).assign(
        dest=["XXX", "ATL", "MKE"], plane_maker=None, plane_year=None, temp=None, wind_dir=None
    )
    predictions = FlightDelays().predict(result.model, rows.astype({"plane_maker": object}))
    assert predictions["prediction"].notna().all()


def test_added_features_need_nothing_but_the_row_itself(flights: pd.DataFrame) -> None:
    together = add_features(flights.head(20))
    alone = pd.concat([add_features(flights.iloc[[number]]) for number in range(20)])
    assert alone.equals(together)
    wind = add_features(flights.head(1).assign(wind_speed=10.0, wind_dir=270.0)).iloc[0]
    assert wind["wind_to_east"] == pytest.approx(10.0)  # a west wind blows to the east
    assert wind["wind_to_north"] == pytest.approx(0.0)


def test_the_model_file_predicts_where_the_project_is_out_of_reach(result: RunResult, flights: pd.DataFrame) -> None:
    rows = flights.drop(columns=["tailnum", "arr_delay"]).head(100)
    pipeline = FlightDelays()
    data = dump_model(result.model, pipeline, "projects.flight_delays", {})
    verify_model(data, "projects.flight_delays", rows, pipeline.predict(result.model, rows))
    assert len(data) < 5_000_000


def test_a_model_that_flatters_late_flights_has_residual_bias() -> None:
    rows = pd.DataFrame({"dep_delay": [0.0, 2.0, 90.0, 120.0], "truth": [0.0, 0.0, 90.0, 120.0]})
    assert residual_bias(rows.assign(prediction=rows["truth"] + 5))
    assert not residual_bias(rows.assign(prediction=[0.0, 0.0, 60.0, 80.0]))
