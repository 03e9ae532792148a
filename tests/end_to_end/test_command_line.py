"""The command line from a new project to a run that is made again exactly, also by Dagster."""

import json
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import ProjectFolder


def test_a_new_project_runs_at_once(tmp_path: Path) -> None:
    new = ProjectFolder(tmp_path)
    new.mlops("init", "heights")
    assert "already" in new.refused("init", "heights")
    new.mlops("apply", "--yes")
    records = new.json("run", "--all")
    assert {record["subproject"]: record["status"] for record in records} == dict.fromkeys(
        ("younger", "older"), "succeeded"
    )
    assert all(record["metrics.mae"] > 0 for record in records)


def test_a_run_is_made_again_from_its_file_and_by_dagster(folder: ProjectFolder) -> None:
    folder.mlops("apply", "--yes")
    (run,) = folder.json("run", "a", "-P", "alpha=4", "--seed", "7")
    assert (run["params.alpha"], run["seed"]) == (4.0, 7)
    first = folder.json("show", run["run_id"])

    written = folder.mlops("show", run["run_id"], "--config").stdout
    folder.write("run.yaml", written)
    kept = first["artifacts"]["configuration"]
    assert (folder.home / "artifacts" / kept["uri"]).read_text() == written
    assert kept["digest"] in kept["uri"].replace("/", "")

    (again,) = folder.json("run", "a", "-c", "run.yaml")
    assert again["run_id"] != run["run_id"] and again["fingerprint"] == run["fingerprint"]
    second = folder.json("show", again["run_id"])
    assert_same_run(first, second)
    assert second["artifacts"]["configuration"]["digest"] == kept["digest"]

    asked = {"ops": {"lifecycle": {"config": {"params": {"alpha": 4.0}, "seed": 7}}}}
    folder.materialize('key:"lines/model"', "--partition", "a", "--config-json", json.dumps(asked))
    third = folder.json("show", folder.json("runs", "a")[0]["run_id"])
    assert third["run_id"] not in (first["run_id"], second["run_id"])
    assert_same_run(first, third)


def assert_same_run(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = ("fingerprint", "predictions", "data_version", "code_version", "parameters", "seed", "metrics", "digests")
    assert {name: one[name] for name in same} == {name: other[name] for name in same}
    assert one["predictions"] is not None


def test_a_seed_that_was_not_given_is_stored_and_folds_are_a_run_each(folder: ProjectFolder) -> None:
    folder.mlops("apply", "--yes")
    (drawn,) = folder.json("run", "a")
    assert isinstance(drawn["seed"], int)
    assert f"seed: {drawn['seed']}\n" in folder.mlops("show", drawn["run_id"], "--config").stdout

    folds = folder.json("run", "a", "--folds", "5")
    assert [record["fold"] for record in folds] == [0, 1, 2, 3, 4]
    assert len({record["run_id"] for record in folds}) == len({record["fingerprint"] for record in folds}) == 5
    assert len({record["seed"] for record in folds}) == 1 and folds[0]["data_version"] == drawn["data_version"]


def test_what_dagster_may_select_and_what_to_do_where_it_may_not(folder: ProjectFolder) -> None:
    folder.mlops("apply", "--yes")
    alone = folder.materialize('key:"lines/metrics"', "--partition", "a", check=False)
    assert alone.returncode != 0 and "select model with them, or try a configuration with `mlops run`" in alone.stderr

    early = folder.materialize('key:"lines/model"', "--partition", "a", check=False)
    assert early.returncode != 0
    assert "lines/a has no dataset yet: materialise lines/dataset with it, or `mlops run a` takes one" in early.stderr
    assert folder.json("runs") == []

    folder.materialize("*", "--partition", "a")
    (run,) = folder.json("runs")
    assert (run["subproject"], run["status"]) == ("a", "succeeded")
