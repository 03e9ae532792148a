"""The graph of a project, whole, as Dagster loads it: a change of it shows up here."""

from pathlib import Path

import dagster as dg
import yaml

from projects.flight_delays.definitions import defs

GRAPH = """
best_config <- trials
configuration <-
dataset <- configuration
deployment/archive <- deployment/production
deployment/production <- deployment/testing
deployment/testing <- metrics
experiments <- dataset
metrics <- model
model <- best_config, dataset
trials <- dataset
"""


def test_the_asset_graph_is_this() -> None:
    graph = defs.get_repository_def().asset_graph
    lines = [
        f"{_name(key)} <- {', '.join(sorted(_name(parent) for parent in graph.get(key).parent_keys))}".rstrip()
        for key in sorted(graph.get_all_asset_keys())
    ]
    assert lines == GRAPH.strip().splitlines()
    assert {key.path[0] for key in graph.get_all_asset_keys()} == {"flight_delays"}


def _name(key: dg.AssetKey) -> str:
    return "/".join(key.path[1:])


def test_everything_loads_as_the_web_server_loads_it() -> None:
    repository = defs.get_repository_def()
    repository.load_all_definitions()
    jobs = {job.name for job in repository.get_all_jobs()}
    assert jobs >= {"experiment", "train", "optimise", "retrain", "promote"}
    assert {sensor.name for sensor in repository.sensor_defs} >= {"register_declared"}
    check = dg.AssetCheckKey(dg.AssetKey(["flight_delays", "dataset"]), "expectations")
    gate = dg.AssetCheckKey(dg.AssetKey(["flight_delays", "metrics"]), "not_worse_than_champion_rmse")
    assert {check, gate} <= repository.asset_graph.asset_check_keys


def test_the_lifecycle_is_one_skippable_step_over_many_partitions() -> None:
    graph = defs.get_repository_def().asset_graph
    steps = {key.path[-1]: graph.get(key) for key in graph.get_all_asset_keys()}
    lifecycle = [steps[name] for name in ("dataset", "trials", "best_config", "model", "metrics")]
    assert all(node.backfill_policy == dg.BackfillPolicy.single_run() for node in lifecycle)
    assert all(node.is_executable for node in lifecycle)
    assert not steps["configuration"].is_executable and not steps["experiments"].is_executable
    names = {
        node.partitions_def.name
        for node in steps.values()
        if isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
    }
    assert names == {"flight_delays_subprojects"}


def test_the_workspace_names_a_module_that_has_definitions() -> None:
    workspace = yaml.safe_load((Path(__file__).parents[2] / "workspace.yaml").read_text())
    assert workspace["load_from"][0]["python_module"]["module_name"] == "projects.flight_delays.definitions"
