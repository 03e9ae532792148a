"""Twenty subprojects in one Dagster run, four of them troubled: each on its own fate."""

import re

import pytest

from tests.end_to_end.conftest import ProjectFolder

TROUBLES = {"s03": "ingest", "s07": "fit", "s11": "exit", "s15": "expectation"}
STEPS = 'key:"lines/dataset" or key:"lines/model" or key:"lines/metrics"'


@pytest.fixture
def fleet(folder: ProjectFolder) -> ProjectFolder:
    folder.declare({f"s{number:02d}": float(number) for number in range(20)}, TROUBLES)
    folder.settings["MLOPS_BACKEND"] = "ray"
    folder.mlops("apply", "--yes")
    return folder


def test_a_partition_range_completes_all_but_the_troubled_and_names_them(fleet: ProjectFolder) -> None:
    ran = fleet.materialize(STEPS, "--partition-range", "s00...s19", check=False)
    assert ran.returncode != 0
    assert "4 of 20 subprojects failed" in ran.stderr
    assert "lines/s03: Lines.ingest raised RuntimeError" in ran.stderr
    assert "this subproject cannot be fitted" in ran.stderr
    assert re.search(r"lines/s11: .*worker process died", ran.stderr)
    assert re.search(r"lines/s15: dataset \w+ failed .*expect_column_values_to_be_between", ran.stderr)

    records = fleet.json("runs")
    assert {record["subproject"] for record in records if record["status"] == "succeeded"} == {
        f"s{number:02d}" for number in range(20)
    } - set(TROUBLES)
    assert {record["subproject"] for record in records if record["status"] == "failed"} == set(TROUBLES)

    fleet.settings["MLOPS_BACKEND"] = "processes"
    dagster_run = fleet.json("show", records[0]["run_id"])["dagster_run_id"]
    again = fleet.json("run", "--failed-of", dagster_run, check=False)
    assert {record["subproject"] for record in again} == set(TROUBLES)

    fleet.declare({f"s{number:02d}": float(number) for number in range(20)})
    fleet.mlops("apply", "--yes")
    mended = fleet.json("run", "--failed-of", dagster_run)
    assert {record["subproject"]: record["status"] for record in mended} == dict.fromkeys(TROUBLES, "succeeded")


def test_re_execution_runs_only_what_is_missing(fleet: ProjectFolder) -> None:
    fleet.settings["MLOPS_BACKEND"] = "processes"
    fleet.write("again.py", RE_EXECUTE)
    fleet.materialize(STEPS, "--partition-range", "s00...s19", check=False)
    fleet.declare({f"s{number:02d}": float(number) for number in range(20)})
    fleet.mlops("apply", "--yes")
    said = fleet.python("again.py").stdout
    assert said.splitlines()[-1] == "s03 s07 s11 s15"


RE_EXECUTE = """
import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from lines.definitions import defs

# What the web server does for "re-execute from failure": the same selection and partitions, under the same root.
instance = dg.DagsterInstance.get()
first = instance.get_runs()[0]
tags = {**first.tags, "dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id}
job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=first.asset_selection)
run = instance.create_run_for_job(
    job, tags=tags, parent_run_id=first.run_id, root_run_id=first.run_id, asset_selection=first.asset_selection
)
list(execute_run_iterator(InMemoryJob(job), run, instance))
made = [
    entry.get_dagster_event().partition
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    if entry.get_dagster_event().asset_key.path[-1] == "metrics"
]
print(" ".join(sorted(made)))
"""
