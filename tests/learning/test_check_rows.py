import math
from typing import Any

import pandas as pd
import pytest

from mlops_assets.learning.data import check_rows
from partitions.errors import DataError
from partitions.schema import DataSchema

SCHEMA = DataSchema(key="id", target="delay", time="time", features=("distance",))
ROWS = pd.DataFrame(
    {
        "id": ["a", "b", "c"],
        "delay": [1.0, 2.0, 3.0],
        "time": pd.to_datetime(["2013-01-01", "2013-01-02", "2013-01-03"]),
        "distance": [10, 20, 30],
    }
)


def refusal(frame: Any, schema: DataSchema = SCHEMA) -> str:
    with pytest.raises(DataError) as raised:
        check_rows(frame, schema, "flights/AA")
    message = str(raised.value)
    assert message.startswith("flights/AA: ") and "\n" not in message
    return message


def test_good_rows_are_handed_back_as_they_are() -> None:
    assert check_rows(ROWS, SCHEMA, "flights/AA") is ROWS


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (ROWS.iloc[:0], "ingest returned no rows"),
        (pd.DataFrame(), "ingest returned no rows and no columns"),
        (ROWS.to_dict("records"), "ingest must return a pandas DataFrame, not list"),
        (None, "ingest must return a pandas DataFrame, not NoneType"),
        (ROWS.drop(columns="id"), "the schema's key is missing: unknown column 'id'"),
        (ROWS.rename(columns={"delay": "delays"}), "target is missing: unknown column 'delay'; nearest: delays"),
        (ROWS.drop(columns="time"), "the schema's time is missing"),
        (ROWS.rename(columns={"distance": "Distance"}), "feature is missing: unknown column 'distance'; nearest: Dist"),
        (ROWS.assign(delay=[1.0, math.nan, math.nan]), "the target 'delay' is missing in 2 of 3 rows"),
        (ROWS.assign(delay=["1", "2", "3"]), "the target 'delay' is str; regression needs numbers"),
        (ROWS.assign(delay=[1.0, 2.0, float("inf")]), "the target 'delay' is infinite in 1 of 3 rows"),
        (ROWS.assign(time=["2013-01-01"] * 3), "the time 'time' is str; make it dates with pandas.to_datetime"),
        (ROWS.assign(time=ROWS["time"].where(ROWS["id"] == "a")), "the time 'time' is missing in 2 of 3 rows"),
        (ROWS.assign(id=ROWS["id"].where(ROWS["id"] != "b")), "the row key 'id' is missing in 1 of 3 rows"),
        (ROWS.assign(id=["a", "b", "b"]), "the row key 'id' is repeated in 1 of 3 rows (for example b)"),
        (ROWS.assign(id=["a", 1, "c"]), "the row key 'id' mixes types"),
        (ROWS.assign(prediction=1.0), "column 'prediction' is a name that results use; rename it in ingest"),
        (ROWS.assign(truth=1.0), "column 'truth' is a name that results use"),
        (ROWS.assign(x=1).rename(columns={"x": 7}), "column names must be text, not 7"),
        (pd.concat([ROWS, ROWS[["distance"]]], axis=1), "column 'distance' is there twice"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused_in_one_line(frame: Any, said: str) -> None:
    assert said in refusal(frame)


def test_a_private_row_key_is_not_shown_as_an_example() -> None:
    private = DataSchema(key="id", target="delay", private=("id",))

    assert "SECRET" not in refusal(ROWS.assign(id=["a", "SECRET", "SECRET"]), private)


def test_rows_without_a_single_feature_are_refused() -> None:
    schema = DataSchema(key="id", target="delay", time="time", private=("distance",))

    assert "no feature columns" in refusal(ROWS, schema)


def test_a_class_may_be_text_and_probability_columns_are_reserved_for_classifications() -> None:
    schema = DataSchema(key="id", target="delay", task="classification")
    text = ROWS.assign(delay=["yes", "no", "yes"])

    assert check_rows(text, schema, "flights/AA") is text
    assert "'probability_of_rain' is a name that results use" in refusal(ROWS.assign(probability_of_rain=1.0), schema)
    check_rows(ROWS.assign(probability_of_rain=1.0), SCHEMA, "flights/AA")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_times_with_a_zone_are_times(zone: str) -> None:
    frame = ROWS.assign(time=ROWS["time"].dt.tz_localize(zone))

    assert check_rows(frame, SCHEMA, "flights/AA") is frame
