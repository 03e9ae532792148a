"""Real runs beside each other: what differs in what defines them and in their metrics is found, and nothing else."""

import pandas as pd
import pytest

from mlops_assets.opened_project import RunsFailed
from mlops_assets.tracking.compare.compared_runs import NotComparable
from mlops_assets.tracking.record import RunRecord
from partitions.errors import UnknownName
from tests.tracking.comparable_runs import Rivers, again, changed, lines, rows
from tests.tracking.comparable_runs import first as first
from tests.tracking.comparable_runs import once as once
from tests.tracking.comparable_runs import rivers as rivers


def test_runs_that_differ_in_nothing_are_said_to_be_the_same(rivers: Rivers, first: RunRecord) -> None:
    second = rivers.run()
    found = rivers.open().compare(first.run_id, second.run_id[-12:])
    assert changed(found.configuration) == {} == changed(found.environment)
    assert found.code.same and found.data.same and found.code.patch() == "" and found.notes == ()
    assert set(found.metrics["best"]) == {"equal"} and (found.metrics["b - a"] == 0.0).all()
    assert found.verdict(rows=True) == "a and b predict the same for every row"
    assert list(found.row_summary["verdict"]) == ["equal"] and set(found.slices["verdict"]) <= {"equal", "few rows"}
    assert len(found.disagreements()) == 0


def test_another_parameter_and_seed_are_the_only_fields_that_differ(rivers: Rivers, first: RunRecord) -> None:
    found = rivers.compared(first, rivers.run(params={"alpha": 1000.0}, seed=2))
    assert changed(found.configuration) == {"params.alpha": "differs", "seed": "differs"}
    (rmse,) = [line for line in lines(found.metrics) if line["metric"] == "rmse" and line["on"] == "test"]
    before, after = (record.metrics["rmse"] for record in found.records)
    assert (rmse["a"], rmse["b"], rmse["best"], rmse["better_is"]) == (before, after, "a", "lower")
    assert rmse["b - a"] == after - before > 0
    assert {"test", "train", "baseline"} == set(found.metrics["on"])
    assert found.verdict(rows=False).startswith("b is worse by rmse")
    # Nothing of the rows was read for that.
    assert "row_level" not in vars(found) and "results" not in vars(found.compared)


def test_another_data_version_is_compared_by_row_key_and_column(rivers: Rivers, first: RunRecord) -> None:
    frame = rows()
    changed_rows = frame.drop(index=[3, 399]).assign(humidity=0.5, rain=lambda f: f["rain"].astype("float32"))
    changed_rows.loc[10, "level"] = 5.5
    changed_rows.loc[20, "region"] = None
    new = frame.iloc[[0]].assign(row="r99999", humidity=0.1)
    rivers.data(pd.concat([changed_rows, new.astype({"rain": "float32"})]))
    second = rivers.run(fresh=True, seed=1)
    found = rivers.compared(first, second)
    assert first.data_version != second.data_version and not found.data.same
    (counts,) = lines(found.data.rows)
    assert (counts["added"], counts["removed"]) == (1, 2)
    by_column = {str(line["column"]): line for line in lines(found.data.columns)}
    assert {name: line["change"] for name, line in by_column.items()} == {
        "humidity": "added",
        "rain": "retyped",
        "level": "changed",
        "region": "changed",
    }
    assert (by_column["rain"]["before"], by_column["rain"]["after"]) == ("float64", "float32")
    assert by_column["level"]["rows_changed"] == by_column["region"]["rows_changed"] == 1
    changes = {(line["key"], line["column"]): line for line in lines(found.data.changes(limit=10_000))}
    assert changes["r00010", "level"]["after"] == 5.5 and changes["r00020", "region"]["before"] in (
        "delta",
        "hills",
        "plain",
    )

    # A removed row is in one of the runs only, and is judged in none.
    table = found.rows.set_index("key")
    assert table.loc["r00399", "split_a"] == "test" and table["split_b"].isna()["r00399"]
    assert not table.loc["r00399", "judged"]
    (summary,) = lines(found.row_summary)
    assert (summary["only_in_base"], summary["only_in_run"]) == (2, 1)
    assert summary["judged"] == int(table["judged"].sum()) > 50
    assert any("not tested on the same rows" in note for note in found.notes)
    common = found.common_metrics
    assert set(common["on"]) == {"tested in all"} and common["a"].notna().all() and common["b"].notna().all()
    assert "humidity" in found.disagreements()


def test_a_row_that_one_run_trained_on_is_marked_and_not_judged(rivers: Rivers) -> None:
    random = {"split": {"method": "random"}}
    found = rivers.compared(rivers.run(params=random, seed=1), rivers.run(params=random, seed=2))
    (summary,) = lines(found.row_summary)
    table = found.rows
    one = (table["split_a"] == "test") != (table["split_b"] == "test")
    both = (table["split_a"] == "test") & (table["split_b"] == "test")
    assert summary["trained_in_one"] == one.sum() > 0 and summary["judged"] == both.sum() > 0
    assert (table["judged"] == both).all()
    assert set(found.disagreements(limit=400)["key"]) <= set(table.loc[both, "key"])


def test_a_changed_truth_is_not_judged(rivers: Rivers, first: RunRecord) -> None:
    frame = rows()
    frame.loc[390:, "flow"] += 100.0
    rivers.data(frame)
    found = rivers.compared(first, rivers.run(fresh=True, seed=1))
    (summary,) = lines(found.row_summary)
    assert summary["truth_differs"] == 10 and summary["judged"] == 90


def test_a_library_upgraded_between_the_runs_shows_in_the_environment(rivers: Rivers, first: RunRecord) -> None:
    packages = {**first.environment.packages, "numpy": "9.9.9", "newcomer": "1.0"}
    environment = first.environment.model_copy(update={"packages": packages, "lock": "f" * 64})
    found = rivers.compared(first, again(first, environment=environment))
    assert "numpy" in first.environment.packages
    assert changed(found.environment) == {
        "lock": "differs",
        "packages.numpy": "differs",
        "packages.newcomer": "only in b",
    }


@pytest.mark.parametrize("kind", ["trial", "retrain", "replay"])
def test_every_kind_of_run_is_compared_with_every_other(rivers: Rivers, first: RunRecord, kind: str) -> None:
    found = rivers.compared(first, again(first, kind=kind, stage="production"))
    assert list(found.runs["kind"]) == ["dev", kind]
    assert changed(found.configuration) == {}


def test_a_failed_run_is_compared_as_far_as_it_came(rivers: Rivers, first: RunRecord) -> None:
    frame = rows()
    frame.loc[0, "level"] = 1e9
    rivers.data(frame)
    with pytest.raises(RunsFailed) as caught:
        rivers.run(fresh=True, seed=1)
    (failed,) = caught.value.records
    found = rivers.open().compare(first.run_id, failed.run_id)
    assert lines(found.data.rows)[0]["changed"] == 1
    assert found.row_level is None and len(found.rows) == 0 and len(found.slices) == 0
    assert found.verdict(rows=True) == "rmse is not known of both a and b"
    text = str(found)
    assert "b failed: " in text and "the level cannot be that high" in text and "b (failed) has no results" in text
    assert found.to_dict()["rows"]["disagreements"] == {"b": []}
    assert "<table>" in found._repr_html_()


def test_a_run_that_never_had_data_is_compared_all_the_same(rivers: Rivers, first: RunRecord) -> None:
    none = again(first, data_version=None, status="failed", metrics={}, artifacts={}, predictions=None)
    found = rivers.compared(none, first)
    assert "a (failed) has no data version" in str(found)
    assert not found.data.same and len(found.data.rows) == 0 and len(found.code.versions) == 2


def test_an_artifact_that_is_gone_is_named_and_the_rest_is_compared(rivers: Rivers, first: RunRecord) -> None:
    second = rivers.run(params={"alpha": 3.0})
    (rivers.path / "home/artifacts" / second.artifacts["results"].uri).unlink()
    found = rivers.compared(first, second)
    assert len(found.rows) == 0
    assert any("the results of b" in note and "is missing" in note for note in found.notes)
    assert changed(found.configuration) == {"params.alpha": "differs"} and found.metrics["b"].notna().all()


def test_runs_of_two_subprojects_are_refused_unless_asked_for(rivers: Rivers, first: RunRecord) -> None:
    second = rivers.run("b")
    p = rivers.open()
    with pytest.raises(NotComparable, match="rivers/a.*rivers/b.*rows of its own.*--across-subprojects"):
        p.compare(first.run_id, second.run_id)
    found = p.compare(first.run_id, second.run_id, across_subprojects=True)
    assert changed(found.configuration)["config.source"] == "differs"
    assert set(found.metrics["best"]) == {""} and "no metric says" in found.verdict(rows=False)
    assert lines(found.data.rows)[0]["changed"] == 400


def test_what_cannot_be_compared_is_refused(rivers: Rivers, first: RunRecord) -> None:
    p = rivers.open()
    with pytest.raises(NotComparable, match="named twice"):
        p.compare(first.run_id, first.run_id[-12:])
    with pytest.raises(NotComparable, match="at least 2"):
        p.compare(first.run_id)
    with pytest.raises(UnknownName):
        p.compare(first.run_id, "nosuchrun")


def test_three_runs_are_each_compared_with_the_first(rivers: Rivers, first: RunRecord) -> None:
    runs = [first, *(rivers.run(params={"alpha": alpha}) for alpha in (100.0, 10_000.0))]
    found = rivers.compared(*runs)
    assert list(found.runs["run"]) == ["a", "b", "c"]
    assert {"a", "b", "c", "b - a", "c - a", "best"} <= set(found.metrics.columns)
    rmse = found.metrics[(found.metrics["metric"] == "rmse") & (found.metrics["on"] == "test")]
    assert list(rmse["best"]) == ["a"]
    assert list(found.row_summary["run"]) == ["b", "c"] and set(found.slices["run"]) == {"b", "c"}
    assert {"loss_a", "loss_b", "loss_c", "difference_b", "difference_c"} <= set(found.rows.columns)
    assert len(found.disagreements("c", 3)) == 3
    with pytest.raises(UnknownName, match="b, c"):
        found.disagreements("d")
    with pytest.raises(UnknownName):
        found.code.patch("d")
    assert set(found.to_dict(2)["verdict"]) == {"b", "c"}


def test_the_rows_of_most_disagreement_come_with_features_and_errors(rivers: Rivers, first: RunRecord) -> None:
    found = rivers.compared(first, rivers.run(params={"alpha": 500.0}))
    table = found.disagreements(limit=7)
    assert len(table) == 7 and table["disagreement_b"].is_monotonic_decreasing
    judged = found.rows[found.rows["judged"]]
    assert table["disagreement_b"].iloc[0] == judged["disagreement_b"].max()
    source = rows().set_index("row")
    for line in lines(table):
        assert line["level"] == source.loc[str(line["key"]), "level"]
        assert line["truth"] == source.loc[str(line["key"]), "flow"]
        assert line["error_a"] == line["prediction_a"] - line["truth"]  # type: ignore[operator]
    assert not table["data_changed"].any() and "flow" not in table
