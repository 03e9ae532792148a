"""A project in use, in one process: apply, run, train, and what is known afterwards."""

from pathlib import Path

import pytest

from mlops_assets.opened_project import RunsFailed
from partitions.errors import DeclarationError, MlopsError, UnknownName
from tests.public.conftest import declare, opened


def test_apply_registers_changes_and_retires_only_when_allowed(folder: Path) -> None:
    p = opened(folder)
    assert p.subprojects == []
    assert p.apply().new == ("a", "b")
    assert p.plan().nothing

    declare(folder, {"a": 3.0, "c": 1.0})
    p = opened(folder)
    plan = p.plan()
    assert plan.new == ("c",) and plan.retired == ("b",)
    assert [(change.path, change.before, change.after) for change in plan.changed["a"]] == [("config.slope", 1.0, 3.0)]
    with pytest.raises(MlopsError, match="--allow-retire"):
        p.apply()
    assert p.subprojects == ["a", "b"]
    p.apply(allow_retire=True)
    assert p.subprojects == ["a", "c"]
    history = list(p.event_log.events(("lines", "configuration"), ["a"]))
    assert len(history) == 2


def test_a_run_is_tracked_complete_and_can_be_run_again(folder: Path) -> None:
    p = opened(folder)
    first = p.run("a", params={"alpha": 4.0}, seed=7)[0]
    assert first.kind == "dev" and first.status == "succeeded" and first.seed == 7
    assert first.parameters == {"alpha": 4.0, "split": {"method": "auto", "test_size": 0.25}}
    assert set(first.artifacts) == {"configuration", "results", "model"}
    assert p.record(first.run_id) == first == p.record(first.run_id[-12:])

    again = p.run("a", params={"alpha": 4.0}, seed=7)[0]
    assert (again.fingerprint, again.predictions) == (first.fingerprint, first.predictions)
    other = p.run("a", params={"alpha": 40.0}, seed=7)[0]
    assert other.fingerprint != first.fingerprint and other.predictions != first.predictions

    results = p.results(first.run_id)
    assert list(results.columns) == ["key", "split", "fold", "truth", "prediction"] and len(results) == 120
    assert results["key"].is_unique
    rows = p.runs("a")
    assert len(rows) == 3 and {"run_id", "params.alpha", "metrics.rmse", "tags.kind"} <= set(rows.columns)


def test_the_model_of_a_run_predicts_what_the_run_predicted(folder: Path) -> None:
    p = opened(folder)
    record = p.run("a", seed=1)[0]
    results = p.results(record.run_id).set_index("key")["prediction"]
    from resources.datasets import DatasetStore

    data = DatasetStore(p.artifacts, p.home.secret()).read("lines/a", record.data_version or "")
    predicted = p.model(record.run_id).predict(data.drop(columns=["y"]))
    assert dict(zip(data["row"], predicted["prediction"], strict=True)) == results.to_dict()


def test_folds_are_runs_of_their_own_on_the_same_data(folder: Path) -> None:
    p = opened(folder)
    records = p.run("a", folds=3, seed=1)
    assert [record.fold for record in records] == [0, 1, 2]
    assert len({record.settings["split"] for record in records}) == 3
    assert len({record.seed for record in records}) == len({record.data_version for record in records}) == 1


def test_training_tracks_the_lifecycle_and_unchanged_data_keeps_its_version(folder: Path) -> None:
    p = opened(folder)
    first = {record.subproject: record for record in p.train()}
    second = {record.subproject: record for record in p.train()}
    assert set(first) == {"a", "b"}
    assert all(first[key].data_version == second[key].data_version for key in first)
    snapshots = list(p.event_log.events(("lines", "dataset"), ["a"]))
    assert [event.metadata["changed"] for event in snapshots] == [True, False]
    assert set(p.event_log.latest(("lines", "metrics"))) == {"a", "b"}


def test_a_failed_subproject_is_recorded_and_the_others_are_done(folder: Path) -> None:
    declare(folder, {"a": 1.0, "b": 2.0}, {"b": "fit"})
    p = opened(folder)
    with pytest.raises(RunsFailed, match="this subproject cannot be fitted") as caught:
        p.run(["a", "b"], seed=1)
    assert set(caught.value.failed) == {"b"}
    by_key = {record.subproject: record for record in p.tracker.records()}
    assert by_key["a"].status == "succeeded"
    assert by_key["b"].status == "failed" and by_key["b"].error is not None
    assert "in fit" in by_key["b"].error.traceback
    assert p.unfinished(caught.value.dagster_run_id).keys == ["b"]
    assert set(p.event_log.latest(("lines", "experiments"))) == {"a"}


def test_code_edited_while_the_project_is_open_runs_as_edited(folder: Path) -> None:
    p = opened(folder)
    before = p.run("a", seed=1)[0]
    pipeline = folder / "lines" / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("Ridge(alpha=params.alpha)", "Ridge(alpha=100.0 + params.beta)"))
    pipeline.write_text(
        pipeline.read_text().replace("    alpha: float = 1.0", "    alpha: float = 1.0\n    beta: float = 2.0")
    )
    after = p.run("a", seed=1, params={"beta": 3.0})[0]
    assert after.code_version.digest != before.code_version.digest
    assert after.parameters["beta"] == 3.0 and after.predictions != before.predictions
    assert after.data_version == before.data_version


def test_what_cannot_be_run_is_refused_before_anything_starts(folder: Path) -> None:
    p = opened(folder)
    with pytest.raises(DeclarationError, match="alhpa"):
        p.run("a", params={"alhpa": 1.0})
    with pytest.raises(UnknownName):
        p.train(["zz"])
    assert p.subprojects == []
    p.apply()
    with pytest.raises(UnknownName, match="nearest: a"):
        p.run("A")
    with pytest.raises(DeclarationError, match="alhpa.*alpha"):
        p.run("a", params={"alhpa": 1.0})
    with pytest.raises(DeclarationError, match="alpha"):
        p.run("a", params={"alpha": "much"})
    with pytest.raises(UnknownName):
        p.run("a", data_version="0123456789")
    assert p.tracker.records() == [] and p.event_log.instance.get_runs() == []
