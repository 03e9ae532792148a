"""The state of real runs of a small project, part by part."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.opened_project import OpenedProject, RunsFailed, open_project
from mlops_assets.tracking.record import RunRecord, new_run_id
from mlops_assets.tracking.state import RunState
from partitions.errors import ArtifactError, DataError, MlopsError, UnknownName
from tests.end_to_end.conftest import DEFINITIONS, PIPELINE, PROJECT

# The hashed owner is a feature: what predicts must be given the hash, and never twice.
HASHED = PIPELINE.replace('features=("x", "z", "trouble")', 'features=("x", "z", "trouble", "owner")').replace(
    "X.to_numpy(dtype=float)", 'X.assign(owner=X["owner"].map(lambda h: int(h[:4], 16) / 65536)).to_numpy(dtype=float)'
)


def forget() -> None:
    """The next open_project imports the project's files anew, as a new process would."""
    for name in [name for name in sys.modules if name == "lines" or name.startswith("lines.")]:
        del sys.modules[name]


def write(folder: Path, pipeline: str, troubles: dict[str, str] | None = None) -> OpenedProject:
    """The project with this pipeline, opened."""
    (folder / "lines").mkdir(exist_ok=True)
    project = PROJECT.format(slopes={"a": 1.0, "b": -2.0}, troubles=troubles or {})
    for file, text in {"__init__": '"""Lines."""\n', "pipeline": pipeline, "definitions": DEFINITIONS}.items():
        (folder / "lines" / f"{file}.py").write_text(text)
    (folder / "lines" / "project.py").write_text(project)
    forget()
    return open_project("lines.project", home=folder / "home")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("MLOPS_BACKEND", "inline")
        for name in ("MLOPS_HOME", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        yield folder
    forget()


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    return write(folder, PIPELINE)


@pytest.fixture(scope="module")
def record(folder: Path) -> RunRecord:
    return write(folder, PIPELINE).run("a", params={"alpha": 4.0}, seed=7)[0]


def test_every_part_of_a_run_is_at_hand(p: OpenedProject, record: RunRecord) -> None:
    state = p.state(record.run_id)
    assert state.record == record and state.config == {"slope": 1.0, "trouble": ""}
    assert "alpha: 4.0" in state.configuration_file and state.configuration.seed == 7
    assert state.configuration_file == p.configuration_file(record.run_id)
    assert state.metrics == record.metrics and state.missing == {}
    assert list(state.dataset.columns) == ["row", "x", "z", "y", "trouble"] and len(state.dataset) == 120
    assert state.results.equals(p.results(record.run_id))
    assert len(state.train) == record.settings["train_rows"] and len(state.test) == record.settings["test_rows"]
    assert set(state.train["row"]).isdisjoint(state.test["row"])
    assert (state.test["truth"] == state.test["y"]).all()
    assert state.pipeline.evaluate(state.test) == state.metrics
    assert state.pipeline.evaluate(state.train) == record.train_metrics
    assert state.model.alpha == 4.0
    assert list(state.profile.index) == list(state.dataset.columns)


def test_predict_gives_what_the_run_gave_whatever_else_the_rows_hold(p: OpenedProject, record: RunRecord) -> None:
    state = p.state(record.run_id)
    predicted = state.predict(state.test)
    assert predicted.index.equals(state.test.index)
    assert (predicted["prediction"] == state.test["prediction"]).all()
    bare = state.dataset[["row", "x", "z", "trouble"]].set_index(pd.Index(range(1000, 1120)))
    assert state.predict(bare).index[0] == 1000
    with pytest.raises(MlopsError, match=f"run {record.run_id}: Lines.predict raised KeyError"):
        state.predict(bare.drop(columns="x"))


def test_a_model_without_steps_has_one(p: OpenedProject, record: RunRecord) -> None:
    state = p.state(record.run_id)
    steps = state.steps(state.test)
    assert list(steps) == ["model"] and (steps["model"]["prediction"] == state.test["prediction"]).all()


def test_an_id_may_be_short_and_what_is_no_run_is_refused(p: OpenedProject, record: RunRecord) -> None:
    assert p.state(record.run_id[-12:]).record == record
    assert p.state(record).record is record
    with pytest.raises(UnknownName, match="no run 'nothing' is tracked"):
        p.state("nothing")
    unknown = p.state(new_run_id())
    with pytest.raises(UnknownName, match="is tracked"):
        assert unknown.metrics
    assert repr(unknown).startswith("<state of no run")


def test_it_shows_itself_short_and_safe(p: OpenedProject, record: RunRecord) -> None:
    state = p.state(record)
    assert "lines/a" in repr(state) and "rmse" in repr(state) and "\n" not in repr(state)
    marked = record.model_copy(update={"parameters": {"name": "<script>"}})
    html = RunState(marked, p.tracker, p.home)._repr_html_()
    assert "&lt;script&gt;" in html and "<script" not in html and "http" not in html


def test_a_fold_has_its_own_rows(p: OpenedProject) -> None:
    folds = [p.state(record) for record in p.run("a", folds=3, seed=1)]
    tested = [set(state.test["row"]) for state in folds]
    assert all(len(state.train) + len(state.test) == 90 for state in folds)
    assert not tested[0] & tested[1] and not tested[0] & tested[2]
    assert folds[1].configuration.fold == 1 and "fold: 1" in folds[1].configuration_file
    assert folds[1].pipeline.evaluate(folds[1].test) == folds[1].metrics


def test_nominal_is_the_last_dev_run_of_the_same_code_and_configuration(p: OpenedProject) -> None:
    first = p.run("b", params={"alpha": 2.0}, seed=1)[0]
    with pytest.raises(UnknownName, match=r"`mlops show .* --config > run.yaml; mlops run b -c run.yaml` makes one"):
        p.state(first).nominal()
    second = p.run("b", params={"alpha": 2.0}, seed=2)[0]
    p.run("b", params={"alpha": 3.0}, seed=3)
    assert p.state(first).nominal().record == second


def test_of_a_failed_run_what_is_there_is_there_and_the_rest_says_why(folder: Path) -> None:
    broken = PIPELINE.replace('if (X["trouble"] == 1).any():', "if self.alpha == 99.0:")
    p = write(folder, broken)
    with pytest.raises(RunsFailed):
        p.run("a", params={"alpha": 99.0}, seed=5)
    failed = p.tracker.records(["a"])[-1]
    state = p.state(failed.run_id)
    assert len(state.dataset) == 120 and "alpha: 99.0" in state.configuration_file
    assert set(state.missing) == {"results", "model", "metrics"}
    for part in ("results", "model", "metrics", "train", "test"):
        with pytest.raises(ArtifactError, match="has no .*: it failed: .*this subproject cannot be fitted"):
            getattr(state, part)
    assert "without results, model, metrics" in repr(state) and "cannot be fitted" in state._repr_html_()


def test_a_run_without_data_says_why(folder: Path) -> None:
    p = write(folder, PIPELINE.replace('if config.trouble == "ingest":', "if True:"))
    with pytest.raises(RunsFailed):
        p.train(["b"])
    state = p.state(p.tracker.records(["b"])[-1])
    with pytest.raises(ArtifactError, match="has no dataset: it failed: .*ingest raised"):
        assert state.dataset is None
    assert "dataset" in state.missing


def test_a_run_of_other_code_predicts_by_that_code(folder: Path, record: RunRecord) -> None:
    changed = PIPELINE.replace(
        "return X.to_numpy(dtype=float) @ self.weights", "return X.to_numpy(dtype=float) @ self.weights + 1000"
    )
    other = write(folder, changed)
    newer = other.run("a", params={"alpha": 4.0}, seed=7)[0]
    old, new = other.state(record.run_id), other.state(newer.run_id)
    assert (old.predict(old.test)["prediction"] == old.test["prediction"]).all()
    assert ((new.predict(old.test)["prediction"] - old.predict(old.test)["prediction"]) > 999).all()
    found = old.compare_steps(new)
    assert found is not None and found.step == "model" and found.rows == found.compared == len(old.test)
    assert old.compare_steps(new, step="rows given") is None
    only = other.compare(record.run_id, newer.run_id, step="model").steps
    assert only is not None and only["b"] is not None and only["b"].columns == found.columns
    with pytest.raises(UnknownName, match="'modle'.*model"):
        other.compare(record.run_id, newer.run_id, step="modle")
    assert set(found.examples.index) <= set(old.test["row"]) if found.examples is not None else False


def test_runs_part_where_a_feature_was_added_and_not_where_nothing_differs(folder: Path, record: RunRecord) -> None:
    more = PIPELINE.replace('features=("x", "z", "trouble")', 'features=("x", "z", "trouble", "w")').replace(
        "return rows.assign(", "return rows.assign(w=x * z, "
    )
    other = write(folder, more)
    newer = other.train(["a"])[0]
    old, new = other.state(record.run_id), other.state(newer.run_id)
    assert old.record.data_version != new.record.data_version
    found = old.compare_steps(new)
    assert found is not None and (found.step, found.only_b) == ("rows given", ("w",))
    assert old.compare_steps(old) is None
    with pytest.raises(MlopsError, match="KeyError"):
        old.compare_steps(new, rows=old.test)


def test_runs_without_a_row_in_common_want_rows(folder: Path, record: RunRecord) -> None:
    other = write(folder, PIPELINE.replace('f"r{i}"', 'f"s{i}"'))
    newer = other.train(["a"])[0]
    with pytest.raises(DataError, match="no row in common.*rows="):
        other.state(record).compare_steps(other.state(newer))
    assert other.state(record).compare_steps(other.state(newer), rows=other.state(record).test) is not None


def test_private_columns_are_treated_once_and_nothing_is_told_of_them(folder: Path) -> None:
    hashed = write(folder, HASHED)
    state = hashed.state(hashed.train(["a"])[0])
    expected = state.test["prediction"].tolist()
    assert state.dataset["owner"].str.fullmatch("[0-9a-f]{32}").all()
    assert state.predict(state.test)["prediction"].tolist() == expected
    clear = state.test.assign(owner=[f"secret-owner-{row.removeprefix('r')}" for row in state.test["row"]])
    assert state.predict(clear)["prediction"].tolist() == expected
    assert state.profile.loc["owner", "top"] == "" and state.profile.loc["owner", "unique"] == 120
    assert state.steps(clear)["model"]["prediction"].tolist() == expected


def test_damage_is_told_and_only_of_the_part_that_is_damaged(p: OpenedProject) -> None:
    record = p.run("a", params={"alpha": 17.0}, seed=9)[0]
    file = Path(p.home.artifacts_url) / record.artifacts["results"].uri
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    state = p.state(record.run_id)
    assert state.model.alpha == 17.0 and len(state.dataset) == 120
    with pytest.raises(ArtifactError, match="is damaged"):
        assert state.results is None
    file.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        assert state.test is None


def test_opening_a_state_loads_and_reads_nothing(p: OpenedProject, record: RunRecord, folder: Path) -> None:
    script = (
        "import sys; from mlops_assets import open_project; p = open_project('lines.project', home=sys.argv[1]);"
        "before = set(sys.modules); state = p.state(sys.argv[2]); print(sorted(set(sys.modules) - before));"
        "print('record' in vars(state), 'pandas' in sys.modules, 'pandas' in repr(type(state.dataset)))"
    )
    (folder / "lines" / "pipeline.py").write_text(PIPELINE.replace("import numpy as np\nimport pandas as pd", LATE))
    command = [sys.executable, "-c", script, str(folder / "home"), record.run_id]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
    (folder / "lines" / "pipeline.py").write_text(PIPELINE)
    assert said == ["[]", "False False True"]


LATE = "from typing import Any\n\n\nclass pd:\n    DataFrame = Any"
