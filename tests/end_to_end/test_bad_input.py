"""What a person gets wrong: one line that says so, exit code 1, and nothing changed."""

import pytest

from tests.end_to_end.conftest import PIPELINE, ProjectFolder

TROUBLED_PIPELINE = """

# What rows a subproject's ingest returns, by its trouble.
ROWS = {
    "no rows": lambda rows: rows.iloc[:0],
    "no target column": lambda rows: rows.drop(columns="y"),
    "no target": lambda rows: rows.assign(y=rows["y"].where(rows["x"] > 0)),
    "repeated keys": lambda rows: rows.assign(row="r0"),
    "no frame": lambda rows: rows.to_dict(),
}
# What evaluate returns.
METRICS = {
    "nan": lambda good: {**good, "mae": float("nan")},
    "text": lambda good: {**good, "mae": "small"},
    "other names": lambda good: {"rmse": good["rmse"], "mape": 0.1},
    "too few names": lambda good: {"rmse": good["rmse"]},
    "no dict": lambda good: None,
}
# What predict returns.
PREDICTIONS = {
    "too few rows": lambda predictions: predictions.iloc[:-1],
    "no column": lambda predictions: predictions.rename(columns={"prediction": "y"}),
}
# A trouble's number travels with the rows.
NUMBERED = [*METRICS, *PREDICTIONS]


class TroubledLines(Lines):
    def ingest(self, config, window):
        rows = super().ingest(config, window)
        if config.trouble in NUMBERED:
            rows = rows.assign(trouble=100 + NUMBERED.index(config.trouble))
        return ROWS.get(config.trouble, lambda rows: rows)(rows)

    def evaluate(self, results):
        number = int(results["trouble"].iloc[0]) - 100
        change = METRICS.get(NUMBERED[number]) if number >= 0 else None
        good = super().evaluate(results)
        return change(good) if change else good

    def predict(self, model, rows):
        number = int(rows["trouble"].iloc[0]) - 100
        change = PREDICTIONS.get(NUMBERED[number]) if number >= 0 else None
        good = super().predict(model, rows)
        return change(good) if change else good
"""

# By trouble, what the failure has to say.
SAID = {
    "no rows": "lines/{key}: TroubledLines: ingest returned no rows; look at its filter",
    "no target column": "the schema's target is missing: unknown column 'y'",
    "no target": "the target 'y' is missing in ",
    "repeated keys": "the row key 'row' is repeated in 119 of 120 rows (for example r0); a key identifies one row",
    "no frame": "ingest must return a pandas DataFrame, not dict",
    "nan": "TroubledLines.evaluate on the train rows returned mae = nan; a metric is a finite number",
    "text": "TroubledLines.evaluate on the train rows returned mae = 'small' (str); a metric is a number",
    "other names": "TroubledLines.evaluate on the train rows returned no mae; it must return exactly rmse, mae",
    "too few names": "TroubledLines.evaluate on the train rows returned no mae; it must return exactly rmse, mae",
    "no dict": "TroubledLines.evaluate on the train rows returned None; it must return a dict of rmse, mae",
    "too few rows": "TroubledLines.predict on the train rows returned 89 predictions for 90 rows; one per row is right",
    "no column": "TroubledLines.predict on the train rows returned no column 'prediction' (columns: y)",
}


@pytest.fixture
def applied(folder: ProjectFolder) -> ProjectFolder:
    folder.mlops("apply", "--yes")
    return folder


def assert_unchanged(folder: ProjectFolder, keys: list[str]) -> None:
    """Of the registered subprojects and the runs; status lists both."""
    rows = [row for row in folder.json("status") if row["state"] != "not applied"]
    assert [(row["subproject"], row["runs"]) for row in rows] == [(key, 0) for key in keys]
    assert not list((folder.home / "artifacts").glob("runs/**/record.json"))


def test_a_refused_command_says_why_in_one_line_and_makes_no_run(applied: ProjectFolder) -> None:
    refused = applied.refused
    assert refused("run", "aa") == "error: project 'lines': unknown subproject 'aa'; nearest: a"
    assert refused("run") == "error: name subprojects (keys or globs), or --tag name=value, or --all"
    assert refused("run", "a", "-P", "alpha=x") == "error: lines/a: alpha: expected a number, not 'x'"
    assert refused("run", "a", "-P", "alfa=1") == "error: lines/a: alfa: unknown parameter 'alfa'; nearest: alpha"
    assert "seed: expected greater than or equal to 0, not -1" in refused("run", "a", "--seed", "-1")
    assert "seed: expected less than or equal to 4294967295" in refused("run", "a", "--seed", str(2**32))
    assert_unchanged(applied, ["a", "b"])


def test_a_run_file_or_a_version_that_cannot_be_is_refused(applied: ProjectFolder) -> None:
    applied.write("run.yaml", "params: {alpha: 1.0}\nsede: 7\n")
    unknown_field = applied.refused("run", "a", "-c", "run.yaml")
    assert "run.yaml" in unknown_field and "sede" in unknown_field and "seed" in unknown_field
    assert "absent.yaml: No such file" in applied.refused("run", "a", "-c", "absent.yaml")
    no_data = applied.refused("run", "a", "--data-version", "abcdef012345")
    assert "abcdef012345" in no_data
    outside = applied.refused("run", "a", "--code-version", "v1")
    assert "is in no git repository, so there is no revision 'v1' of it; git init and commit it first" in outside
    applied.declare({"a": 1.0, "b": -2.0, "c": 3.0})
    for command in ("run", "train"):
        assert "a newly declared one is registered by `mlops apply`" in applied.refused(command, "c")
    assert_unchanged(applied, ["a", "b"])


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        (
            "key=key,",
            "key='A',",
            "'A' is already the key of [0]; keys must be unique",
        ),
        ("key=key,", "key=key + '/1',", "illegal subproject key 'a/1'"),
        ("alpha=Float", "alfa=Float", "alfa"),
        ("slope=slope,", "slope='steep',", "slope: "),
    ],
    ids=["duplicate key", "illegal key", "search space", "configuration"],
)
def test_a_wrong_project_py_is_refused_and_registers_nothing(
    folder: ProjectFolder, wrong: str, right: str, said: str
) -> None:
    good = (folder.path / "lines/project.py").read_text()
    folder.write("lines/project.py", good.replace(wrong, right))
    assert said in folder.refused("apply", "--yes")
    assert said in folder.refused("run", "--all")
    folder.write("lines/project.py", good)
    assert_unchanged(folder, [])


def test_what_a_pipeline_returns_wrongly_fails_its_own_runs_only(folder: ProjectFolder) -> None:
    keys = {f"s{number}": trouble for number, trouble in enumerate(SAID)}
    folder.write("lines/pipeline.py", PIPELINE + TROUBLED_PIPELINE)
    folder.declare({**dict.fromkeys(keys, 1.0), "good": 1.0}, keys)
    declared = (folder.path / "lines/project.py").read_text()
    folder.write("lines/project.py", declared.replace("Lines", "TroubledLines"))
    folder.mlops("apply", "--yes")

    ran = folder.mlops("run", "--all", check=False)
    assert ran.returncode == 1 and "Traceback" not in ran.stdout + ran.stderr
    failures = {
        line.split("/")[1].split(":")[0]: line for line in ran.stdout.splitlines() if line.startswith("failed ")
    }
    assert failures.keys() == keys.keys()
    for key, trouble in keys.items():
        assert SAID[trouble].format(key=key) in failures[key], failures[key]

    records = {record["subproject"]: record for record in folder.json("runs")}
    ended = {key: record["status"] for key, record in records.items()}
    assert ended == {**dict.fromkeys(keys, "failed"), "good": "succeeded"}
    shown = folder.json("show", records["s5"]["run_id"])
    assert SAID[keys["s5"]] in shown["error"]["message"] and "check_metrics" in shown["error"]["traceback"]
    assert shown["artifacts"] == {} and shown["metrics"] == {}
