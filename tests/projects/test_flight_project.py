"""The example as declared: its airlines, and that every declaration is accepted by the pipeline."""

import subprocess
import sys

import pandas as pd
import pytest

from partitions.catalogue import catalogue
from partitions.errors import UnknownName
from partitions.gates import Check
from projects.flight_delays.pipeline import FLIGHTS, Params
from projects.flight_delays.project import CARRIERS, FEW_FLIGHTS, project


def test_every_airline_with_500_flights_is_a_subproject_and_no_other() -> None:
    counts = pd.read_parquet(FLIGHTS, columns=["carrier"])["carrier"].value_counts()
    assert set(project.keys) == set(counts[counts >= 500].index)
    assert len(project.keys) == 14


def test_the_table_of_airlines_is_in_order_of_size_and_names_their_hubs() -> None:
    flights = pd.read_parquet(FLIGHTS, columns=["carrier", "origin"])
    for carrier, _, hub in CARRIERS:
        assert flights.loc[flights["carrier"] == carrier, "origin"].mode()[0] == hub
    sizes = flights["carrier"].value_counts()
    assert [sizes[carrier] for carrier, _, _ in CARRIERS] == sorted(
        (sizes[carrier] for carrier, _, _ in CARRIERS), reverse=True
    )
    assert {carrier for carrier, _, _ in CARRIERS if sizes[carrier] < 1000} == FEW_FLIGHTS


def test_small_airlines_search_a_smaller_space_with_fewer_folds() -> None:
    declared = catalogue(project)
    small, large = declared["YV"], declared["UA"]
    assert small.hpo is not None
    assert large.hpo is not None
    assert (small.hpo.folds, large.hpo.folds) == (3, 5)
    assert small.hpo.metric == large.hpo.metric == "rmse"
    assert small.search_space.dimensions["max_depth"] != large.search_space.dimensions["max_depth"]
    assert small.search_space.dimensions["loss"] == large.search_space.dimensions["loss"]


def test_defaults_lie_within_the_search_space() -> None:
    for key, declared in catalogue(project).items():
        for name, dimension in declared.search_space.dimensions.items():
            assert dimension.contains(getattr(Params(), name)), f"{key}: {name}"


def test_a_stage_is_reached_in_order_and_production_takes_over_step_by_step() -> None:
    assert [stage.name for stage in project.stages] == ["testing", "production"]
    assert project.stages[0].retraining is None
    assert project.stages[1].strategy.type == "canary"


def test_our_own_gate_is_found_again_by_its_name() -> None:
    named = [gate.function for gate in project.gates if isinstance(gate, Check)]
    assert named == ["projects.flight_delays.checks:residual_bias"]


def test_airlines_are_selected_by_tag_and_pattern() -> None:
    assert project.select(tags={"hub": "JFK"}) == ["B6", "9E", "VX"]
    assert project.select(["A*"]) == ["AA", "AS"]
    with pytest.raises(UnknownName, match="AA"):
        project.subproject("AAA")


def test_loading_the_project_loads_no_heavy_library() -> None:
    heavy = "{'pandas', 'sklearn', 'pyarrow', 'optuna', 'great_expectations', 'dagster', 'ray'}"
    code = f"import sys, projects.flight_delays.project; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
