"""Make flights.parquet from the tables of the public data set nycflights13.

    python projects/flight_delays/data/build.py FOLDER

FOLDER holds flights.csv (or flights.csv.zip), weather.csv, planes.csv and airports.csv; README.md beside this file says
where they come from. The same tables and the same versions of pandas and pyarrow give the same bytes.
"""

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
NEW_YORK = "America/New_York"
# Four airports in the Caribbean are missing from airports.csv; all four keep Atlantic standard time all year.
NOT_IN_AIRPORTS = {"BQN": "America/Puerto_Rico", "PSE": "America/Puerto_Rico", "SJU": "America/Puerto_Rico"}
NOT_IN_AIRPORTS["STT"] = "America/St_Thomas"
WEATHER = ["temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
FASTEST_WIND = 100.0  # mph; one observation of February says 1048
COLUMNS = {
    "flight_id": "str",
    "carrier": "str",
    "time_hour": "datetime64[us, UTC]",
    "origin": "str",
    "dest": "str",
    "distance": "int64",
    "weekday": "int64",
    "sched_dep_minute": "int64",
    "sched_minutes": "int64",
    "departures_this_hour": "int64",
    "dep_delay": "float64",
    "tailnum": "str",
    "plane_maker": "str",
    "plane_seats": "float64",
    "plane_year": "float64",
    **dict.fromkeys(WEATHER, "float64"),
    "arr_delay": "float64",
}
ROW_GROUP = 16_384


def read_flights(folder: Path) -> pd.DataFrame:
    """Every flight that was planned, also the cancelled ones: they count for how busy an airport is."""
    packed = folder / "flights.csv.zip"
    flights = pd.read_csv(packed if packed.exists() else folder / "flights.csv")
    flights["time_hour"] = pd.to_datetime(flights["time_hour"], utc=True)
    return flights


def add_schedule(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """The schedule as a person at the gate knows it: when, how busy the hour is, how long the flight should take."""
    date = pd.to_datetime(flights[["year", "month", "day"]])
    number = flights["carrier"] + flights["flight"].astype(str)
    departs = flights["sched_dep_time"] // 100 * 60 + flights["sched_dep_time"] % 100
    arrives = flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100
    zones = airports.set_index("faa")["tzone"].to_dict() | NOT_IN_AIRPORTS
    ahead = hours_ahead(flights["time_hour"], flights["dest"].map(zones))
    return flights.assign(
        flight_id=number + "-" + flights["origin"] + "-" + date.dt.strftime("%Y-%m-%d"),
        weekday=date.dt.isocalendar().day,
        sched_dep_minute=departs,
        # Only the clock time of arrival is given, so the length is known up to whole days; none takes longer than one.
        sched_minutes=(arrives - departs - 60 * ahead) % 1440,
        departures_this_hour=flights.groupby(["origin", "time_hour"])["flight"].transform("size"),
    )


def hours_ahead(moment: pd.Series, zone: pd.Series) -> pd.Series:
    """How many hours the clocks in ``zone`` are ahead of those in New York at ``moment``."""
    here = moment.dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    ahead = pd.Series(0.0, index=moment.index)
    for name, moments in moment.groupby(zone):
        there = moments.dt.tz_convert(str(name)).dt.tz_localize(None)
        ahead[moments.index] = (there - here[moments.index]).dt.total_seconds() / 3600
    return ahead.astype("int64")


def add_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """The weather at the origin one hour before the hour of departure: nothing that was not yet known."""
    observed = weather[["origin", "time_hour", *WEATHER]].copy()
    observed["time_hour"] = pd.to_datetime(observed["time_hour"], utc=True) + pd.Timedelta(hours=1)
    observed["wind_speed"] = observed["wind_speed"].where(observed["wind_speed"] < FASTEST_WIND)
    return flights.merge(observed, on=["origin", "time_hour"], how="left", validate="many_to_one")


def add_planes(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Maker, seats and year of the plane; AA and MQ report fleet numbers instead of tail numbers, so most lack them."""
    makers = planes["manufacturer"].str.split().str[0].str.capitalize()
    facts = planes.assign(plane_maker=makers, plane_seats=planes["seats"], plane_year=planes["year"])
    facts = facts[["tailnum", "plane_maker", "plane_seats", "plane_year"]]
    return flights.merge(facts, on="tailnum", how="left", validate="many_to_one")


def build(folder: Path) -> pd.DataFrame:
    """One row per flight that arrived where it should, sorted by carrier, time and key."""
    flights = add_schedule(read_flights(folder), pd.read_csv(folder / "airports.csv"))
    flights = add_weather(flights, pd.read_csv(folder / "weather.csv"))
    flights = add_planes(flights, pd.read_csv(folder / "planes.csv"))
    arrived = flights[flights["arr_delay"].notna()]
    ordered = arrived.sort_values(["carrier", "time_hour", "flight_id"], ignore_index=True)
    return ordered[list(COLUMNS)].astype(COLUMNS)


def write(flights: pd.DataFrame, path: Path) -> None:
    """Small, and quick to read by carrier and time: row groups carry the bounds of both."""
    table = pa.Table.from_pandas(flights, preserve_index=False).replace_schema_metadata(None)
    encodings = {"flight_id": "DELTA_BYTE_ARRAY"}
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        row_group_size=ROW_GROUP,
        use_dictionary=[name for name in table.column_names if name not in encodings],
        column_encoding=encodings,
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: build.py FOLDER (the folder that holds flights.csv or flights.csv.zip)")
    made = build(Path(sys.argv[1]))
    write(made, HERE / "flights.parquet")
    print(f"{len(made)} flights of {made['carrier'].nunique()} airlines in {HERE / 'flights.parquet'}")
