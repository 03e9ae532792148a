"""The same pipeline code under a second declaration: 200 routes, planned, applied, and some of them trained."""

from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.opened_project import OpenedProject, open_project
from partitions.errors import DeclarationError
from projects.flight_delays.pipeline import FLIGHTS, CarrierConfig, FlightDelays

TRAINED = ["JFK-LAX", "LGA-ATL", "EWR-MYR", "LGA-SAV"]


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenedProject:
    monkeypatch.setenv("MLOPS_BACKEND", "inline")
    for name in ("MLOPS_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return open_project("tests.projects.routes_declared", home=tmp_path)


def test_200_routes_are_planned_applied_and_some_trained(routes: OpenedProject) -> None:
    planned = routes.plan()
    assert len(planned.new) == 200 and not (planned.changed or planned.retired)
    assert routes.apply().new == planned.new
    assert routes.plan().nothing and len(routes.subprojects) == 200

    records = {record.subproject: record for record in routes.train(TRAINED)}
    assert sorted(records) == sorted(TRAINED)
    flights = pd.read_parquet(FLIGHTS, columns=["origin", "dest", "flight_id"])
    for key in TRAINED:
        origin, dest = key.split("-")
        of_route = flights[(flights["origin"] == origin) & (flights["dest"] == dest)]
        assert set(routes.dataset(key)["flight_id"]) == set(of_route["flight_id"])
        assert records[key].parameters["min_samples_leaf"] == 20
    assert len({record.data_version for record in records.values()}) == len(TRAINED)
    assert all(record.status == "succeeded" and record.metrics["mae"] < 30 for record in records.values())
    assert records["JFK-LAX"].metrics["r2"] > 0.4

    status = routes.status()
    assert len(status) == 200 and set(status["state"]) == {"registered"}
    trained = status[status["runs"] == 1]
    assert sorted(trained["subproject"]) == sorted(TRAINED)
    assert dict(zip(trained["subproject"], trained["rows"], strict=True))["JFK-LAX"] == 11159
    assert len(routes.status(tags={"origin": "EWR"})) == sum(key.startswith("EWR-") for key in routes.subprojects)


def test_an_airline_on_a_route_is_what_both_have(routes: OpenedProject) -> None:
    pipeline = FlightDelays()
    both = pipeline.ingest(CarrierConfig(carrier="DL", origin="JFK", dest="LAX"), None)
    route = pipeline.ingest(CarrierConfig(origin="JFK", dest="LAX"), None)
    airline = pipeline.ingest(CarrierConfig(carrier="DL"), None)
    assert set(both["flight_id"]) == set(route["flight_id"]) & set(airline["flight_id"]) != set()


@pytest.mark.parametrize(
    ("fields", "said"),
    [({}, "name a carrier, an origin or a dest"), ({"origin": "BOS"}, "origin"), ({"dest": "Boston"}, "dest")],
)
def test_a_configuration_of_no_flights_is_refused(fields: dict[str, str], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        CarrierConfig(**fields)
