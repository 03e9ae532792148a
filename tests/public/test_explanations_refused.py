"""What cannot be explained is refused before anything runs, with the reason and the way out."""

from pathlib import Path

import pytest

from mlops_assets.opened.launching import RunsFailed
from mlops_assets.opened_project import OpenedProject
from partitions.errors import MlopsError
from tests.public.conftest import declare, opened


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    return opened(folder)


def refused(p: OpenedProject, a: str, b: str, *, metric: str | None = None, seeds: int = 0) -> str:
    before = len(p.runs())
    with pytest.raises(MlopsError) as error:
        p.explain(a, b, metric=metric, seeds=seeds)
    assert len(p.runs()) == before
    return str(error.value)


def test_runs_that_say_nothing_about_each_other(p: OpenedProject) -> None:
    one, other = (p.run("a", seed=seed)[0].run_id for seed in (1, 2))
    elsewhere = p.run("b", seed=1)[0].run_id
    fold = p.run("a", folds=2, seed=1)[0].run_id
    assert "given twice" in refused(p, one, one)
    across = refused(p, one, elsewhere)
    assert "lines/a" in across and "lines/b" in across and "name two runs of one subproject" in across
    assert "is fold 0 of a cross-validation" in refused(p, one, fold)
    assert "'rmes'" in refused(p, one, other, metric="rmes") and "rmse" in refused(p, one, other, metric="rmes")
    assert "seeds is -1" in refused(p, one, other, seeds=-1)
    assert "no run 'nothing'" in refused(p, one, "nothing")


def test_a_run_that_failed_has_nothing_to_explain(p: OpenedProject, folder: Path) -> None:
    good = p.run("a", seed=1)[0].run_id
    declare(folder, {"a": 1.0, "b": -2.0}, {"a": "fit"})
    failing = opened(folder)
    failing.apply()
    with pytest.raises(RunsFailed):
        failing.train(["a"])
    bad = failing.runs("a", status="failed")["run_id"].iloc[0]
    assert f"run {bad} of lines/a failed: it has no metrics to explain" in refused(failing, good, bad)


def test_data_that_is_gone_is_said_before_anything_runs(p: OpenedProject) -> None:
    one, other = (p.run("a", seed=1, params={"alpha": alpha})[0] for alpha in (1.0, 9.0))
    assert one.data_version is not None
    snapshot = p.datasets.find("lines/a", one.data_version)
    (p.home.path / "artifacts" / snapshot.artifact.uri).unlink()
    said = refused(p, one.run_id, other.run_id, seeds=3)
    assert snapshot.artifact.uri in said or one.data_version[:12] in said
