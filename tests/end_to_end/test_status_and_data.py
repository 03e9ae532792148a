"""``mlops status`` and ``mlops data`` as a person and a program read them."""

from tests.end_to_end.conftest import ProjectFolder

KEYS = [f"s{number:02d}" for number in range(60)]
COLUMNS = {
    *("subproject", "state", "configuration", "tags", "data_version", "data_at", "rows", "runs", "failed"),
    *("last_run", "last_run_kind", "last_run_status", "last_run_at", "metrics", "best", "stages", "schedules"),
}


def test_a_grid_is_counts_first_then_some_rows_and_how_many_more(folder: ProjectFolder) -> None:
    folder.declare(dict.fromkeys(KEYS, 1.0), {"s07": "fit"})
    folder.mlops("apply", "--yes")
    folder.mlops("train", "s0*", check=False)
    folder.declare({**dict.fromkeys(KEYS, 1.0), "s11": 2.0}, {"s07": "fit"})

    said = folder.mlops("status").stdout
    assert "lines: 60 subprojects" in said
    assert "state     59 registered, 1 changed" in said
    assert "last run  50 never run, 9 succeeded, 1 failed" in said
    assert "data      10 under a day old, 50 without any" in said
    assert "s39" in said and "s40" not in said and "and 20 more" in said
    assert "rmse" in said and "best" not in said and "schedules" not in said
    assert "`mlops plan` shows what differs" in said

    rows = folder.json("status")
    assert [row["subproject"] for row in rows] == KEYS
    assert all(set(row) == COLUMNS for row in rows)
    assert [row["subproject"] for row in folder.json("status", "--failed")] == ["s07"]
    assert [row["subproject"] for row in folder.json("status", "--state", "changed")] == ["s11"]
    worst = folder.json("status", "s0*", "--sort=-metrics.rmse", "--limit", "2")
    assert len(worst) == 2 and worst[0]["metrics"]["rmse"] >= worst[1]["metrics"]["rmse"]

    (group,) = folder.json("status", "--group-by", "kind")
    assert (group["value"], group["subprojects"], group["runs"]) == ("s", 60, 10)
    assert "mean rmse" in folder.mlops("status", "--group-by", "kind").stdout
    assert "nearest: s10" in folder.refused("status", "s100")


def test_one_subproject_in_detail(folder: ProjectFolder) -> None:
    folder.mlops("apply", "--yes")
    folder.mlops("run", "a", "-P", "alpha=3")
    folder.declare({"a": 1.5, "b": -2.0})
    said = folder.mlops("status", "a").stdout
    for line in (
        "config.slope",
        "subproject",
        "search_space.alpha",
        "Declared otherwise",
        "1 run",
        "Data versions",
    ):
        assert line in said, line
    (detail,) = folder.json("status", "a")
    assert set(detail) == COLUMNS | {"values", "differs", "data_versions", "last_runs"}
    values = {value["path"]: (value["value"], value["origin"]) for value in detail["values"]}
    assert values["config.slope"] == (1.0, "subproject") and values["params.alpha"] == (1.0, "default")
    assert values["tags.kind"] == ("a", "subproject")
    (differs,) = detail["differs"]
    assert (differs["path"], differs["before"], differs["after"]) == ("config.slope", 1.0, 1.5)
    assert [run["params.alpha"] for run in detail["last_runs"]] == [3.0]
    assert [version["data_version"] for version in detail["data_versions"]] == [detail["data_version"]]


def test_data_versions_with_the_verdict_of_a_run_of_one_partition(folder: ProjectFolder) -> None:
    assert "lines/a has no dataset yet" in folder.refused("data", "a")
    folder.declare({"a": 1.0, "b": -2.0}, {"a": "expectation"})
    folder.mlops("apply", "--yes")
    folder.materialize('key:"lines/dataset"', "--partition", "a", check=False)
    (failed,) = folder.json("data", "a")
    assert (failed["rows"], failed["taken"], failed["expectations"]) == (120, 1, "failed")
    folder.declare({"a": 3.0, "b": -2.0})
    folder.mlops("apply", "--yes")
    folder.mlops("train", "a", "b")
    newest, oldest = folder.json("data", "a")
    assert oldest["data_version"] == failed["data_version"]
    assert (newest["columns_added"], len(newest["runs"])) == ([], 1)
    said = folder.mlops("data", "a", "--limit", "1").stdout
    assert "lines/a: 2 data versions" in said and "and 1 more" in said
    assert newest["data_version"][:12] in said and oldest["data_version"][:12] not in said
