"""What is in flights.parquet, and how it is made."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).parents[2] / "projects" / "flight_delays" / "data"


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return pd.read_parquet(DATA / "flights.parquet")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_flights", DATA / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Three flights on 10 July 2013, 19:00 in New York (23:00 UTC); the second is cancelled."""
    flight = {"year": 2013, "month": 7, "day": 10, "sched_dep_time": 1930, "carrier": "UA", "origin": "EWR"}
    flight |= {"dep_delay": 4, "arr_delay": -3, "distance": 2565, "tailnum": "N1", "time_hour": "2013-07-10T23:00:00Z"}
    pd.DataFrame(
        [
            flight | {"flight": 1, "dest": "SFO", "sched_arr_time": 2245},
            flight | {"flight": 2, "dest": "SFO", "sched_arr_time": 2245, "arr_delay": None, "dep_delay": None},
            flight | {"flight": 3, "dest": "SJU", "sched_arr_time": 2330, "distance": 1608, "tailnum": "N2"},
        ]
    ).to_csv(tmp_path / "flights.csv", index=False)
    pd.DataFrame({"faa": ["SFO"], "tzone": ["America/Los_Angeles"]}).to_csv(tmp_path / "airports.csv", index=False)
    pd.DataFrame(
        {"tailnum": ["N1"], "year": [1999], "manufacturer": ["BOEING COMPANY"], "seats": [182]},
    ).to_csv(tmp_path / "planes.csv", index=False)
    weather = {"origin": "EWR", "humid": 50.0, "wind_dir": 90, "precip": 0, "pressure": 1012, "visib": 10}
    pd.DataFrame(
        [
            weather | {"time_hour": "2013-07-10T22:00:00Z", "temp": 71.0, "wind_speed": 1048.36},
            weather | {"time_hour": "2013-07-10T23:00:00Z", "temp": 82.0, "wind_speed": 5.0},
        ]
    ).to_csv(tmp_path / "weather.csv", index=False)
    return tmp_path


def test_the_file_holds_every_arrived_flight_of_the_year(flights: pd.DataFrame) -> None:
    assert len(flights) == 327_346
    assert flights["carrier"].nunique() == 16
    assert flights["time_hour"].min() == pd.Timestamp("2013-01-01 10:00", tz="UTC")
    assert flights["time_hour"].max() == pd.Timestamp("2014-01-01 04:00", tz="UTC")
    assert flights["arr_delay"].mean() == pytest.approx(6.8954, abs=1e-4)


def test_a_row_key_is_unique_and_says_which_flight_it_is(flights: pd.DataFrame) -> None:
    assert flights["flight_id"].is_unique
    first = flights[flights["flight_id"] == "AA1141-JFK-2013-01-01"].iloc[0]
    assert (first["carrier"], first["origin"], first["dest"], first["arr_delay"]) == ("AA", "JFK", "MIA", 33.0)


def test_what_a_prediction_cannot_do_without_is_never_missing(flights: pd.DataFrame) -> None:
    optional = ["plane_maker", "plane_seats", "plane_year"]
    optional += ["temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    assert flights.drop(columns=optional).notna().all().all()
    assert flights["temp"].notna().mean() > 0.99


def test_planned_times_are_those_of_flights(flights: pd.DataFrame) -> None:
    assert flights["sched_minutes"].between(50, 700).all()
    speed = flights["distance"] / flights["sched_minutes"]
    assert speed.between(0.9, 9.0).all()  # miles a minute, waiting included
    assert flights["weekday"].between(1, 7).all()
    assert flights["sched_dep_minute"].between(0, 1439).all()


def test_the_file_is_small_and_sorted_for_reading_one_airline(flights: pd.DataFrame) -> None:
    assert (DATA / "flights.parquet").stat().st_size < 8_000_000
    columns = ["carrier", "time_hour", "flight_id"]
    assert flights[columns].equals(flights[columns].sort_values(columns, ignore_index=True))
    described = pq.read_metadata(DATA / "flights.parquet")
    groups = [described.row_group(number).column(1).statistics for number in range(described.num_row_groups)]
    holding_yv = [group for group in groups if group.min <= "YV" <= group.max]
    assert len(holding_yv) < len(groups) / 2


def test_the_committed_file_has_the_columns_that_the_script_makes(flights: pd.DataFrame, script: ModuleType) -> None:
    assert {name: str(dtype) for name, dtype in flights.dtypes.items()} == script.COLUMNS


def test_a_cancelled_flight_makes_no_row_but_counts_for_how_busy_the_hour_is(script: ModuleType, tables: Path) -> None:
    made = script.build(tables)
    assert list(made["flight_id"]) == ["UA1-EWR-2013-07-10", "UA3-EWR-2013-07-10"]
    assert set(made["departures_this_hour"]) == {3}


def test_planned_minutes_take_time_zones_into_account(script: ModuleType, tables: Path) -> None:
    made = script.build(tables).set_index("dest")
    # 19:30 in New York to 22:45 in San Francisco, three hours behind; Puerto Rico has New York's summer time all year.
    assert made.loc["SFO", "sched_minutes"] == 6 * 60 + 15
    assert made.loc["SJU", "sched_minutes"] == 4 * 60


def test_the_weather_is_that_of_the_hour_before_and_an_impossible_wind_is_left_out(
    script: ModuleType, tables: Path
) -> None:
    made = script.build(tables)
    assert list(made["temp"]) == [71.0, 71.0]
    assert made["wind_speed"].isna().all()


def test_a_plane_nobody_knows_leaves_its_columns_empty(script: ModuleType, tables: Path) -> None:
    made = script.build(tables).set_index("tailnum")
    assert list(made.loc["N1", ["plane_maker", "plane_seats", "plane_year"]]) == ["Boeing", 182.0, 1999.0]
    assert made.loc["N2", ["plane_maker", "plane_seats", "plane_year"]].isna().all()


def test_the_script_writes_the_same_bytes_again(script: ModuleType, tables: Path, tmp_path: Path) -> None:
    for name in ("once", "again"):
        script.write(script.build(tables), tmp_path / name)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "again").read_bytes()
