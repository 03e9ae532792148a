"""``trials`` and ``best_config`` as assets that Dagster executes: alone, with everything else, for one and for many."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from mlops_assets.assets.lifecycle import ALL
from mlops_assets.definitions import build_definitions
from mlops_assets.opened_project import OpenedProject, RunsFailed
from mlops_assets.tracking.hpo_run import HPORuns
from partitions.errors import MlopsError
from tests.public.conftest import opened
from tests.public.hpo_lines import declare_hpo

PLAIN = "alpha=Float(0.01, 1000.0, log=True)"


@pytest.fixture(autouse=True)
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(folder / "home"))


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    declare_hpo(folder, [("a", 1.0, ""), ("b", -2.0, ""), ("bad", 1.0, "fit")], space=PLAIN)
    p = opened(folder)
    p.apply()
    return p


def materialize(p: OpenedProject, partition: str, *names: str, **config: Any) -> dg.ExecuteInProcessResult:
    """As the web UI does for one partition."""
    job = build_definitions(p.project).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        partition_key=partition,
        asset_selection=[dg.AssetKey(["lines", name]) for name in names],
        instance=p.event_log.instance,
        run_config={"ops": {"lifecycle": {"config": config}}} if config else None,
        raise_on_error=False,
    )


def latest(p: OpenedProject, key: str) -> dict[str, Any]:
    return {name: p.event_log.latest(("lines", name), [key]).get(key) for name in ALL}


def test_everything_is_data_trials_choice_model_and_metrics_in_that_order(p: OpenedProject) -> None:
    assert materialize(p, "a", *ALL).success
    made = latest(p, "a")
    ids = [made[name].event_id for name in ALL]
    assert ids == sorted(ids), "each comes after what it is made of"
    best = p.best("a")
    assert best is not None and len(p.runs("a", kind="trial")) == 8
    model = p.record(made["model"].metadata["run_id"])
    assert (model.kind, model.parameters, model.fold) == ("dev", best.parameters, None)


def test_of_many_each_goes_its_way_and_the_bad_one_fails_alone(p: OpenedProject) -> None:
    with pytest.raises(RunsFailed) as raised:
        p.train(["a", "b", "bad"], steps=ALL)
    assert "lines/bad: HPO" in str(raised.value.failed["bad"]) and set(raised.value.failed) == {"bad"}
    for key in ("a", "b"):
        assert all(latest(p, key).values()), key
    bad = latest(p, "bad")
    assert bad["dataset"] and not (bad["best_config"] or bad["model"] or bad["metrics"])


def test_trials_alone_take_a_snapshot_where_there_is_none_and_train_nothing(p: OpenedProject) -> None:
    assert materialize(p, "a", "trials", trials=2).success
    made = latest(p, "a")
    assert made["trials"] and made["dataset"] and not (made["best_config"] or made["model"])
    assert len(p.runs("a", kind="trial")) == 4


def test_best_config_alone_is_chosen_again_from_all_runs(p: OpenedProject) -> None:
    assert not materialize(p, "a", "best_config").success, "there is nothing to choose from"
    p.hpo("a", seed=1)
    by_rule = p.best("a")
    p.set_best("a", p.runs("a", sort="-metrics.rmse").run_id.iloc[0], why="I like it")
    assert materialize(p, "a", "best_config").success
    again = p.best("a")
    assert again is not None and by_rule is not None
    assert (again.source, again.parameters) == ("rule", by_rule.parameters)
    assert len(p.best_history("a")) == 3


def test_a_subproject_without_hpo_is_trained_without_trials(folder: Path) -> None:
    p = opened(folder)
    p.apply()
    assert materialize(p, "a", *ALL).success
    made = latest(p, "a")
    assert made["dataset"] and made["model"] and made["metrics"] and not (made["trials"] or made["best_config"])
    alone = materialize(p, "a", "trials")
    assert not alone.success
    with pytest.raises(MlopsError, match="there is nothing to optimise"):
        p.train(["a"], steps=["trials"])


def test_a_run_executed_again_does_not_repeat_hpo_that_has_ended(p: OpenedProject) -> None:
    with pytest.raises(RunsFailed):
        p.train(["a", "bad"], steps=ALL)
    (first,) = p.event_log.instance.get_runs()
    before = len(p.runs("a"))
    job = build_definitions(p.project).get_job_def("train")
    tags = {"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id}
    run = p.event_log.instance.create_run_for_job(
        job, run_config=first.run_config, tags=tags, parent_run_id=first.run_id, root_run_id=first.run_id
    )
    list(execute_run_iterator(InMemoryJob(job), run, p.event_log.instance))
    again = p.event_log.instance.get_run_by_id(run.run_id)
    assert again is not None and again.status == dg.DagsterRunStatus.FAILURE, "bad fails again"
    assert len(p.runs("a")) == before, "a was finished"
    assert len(HPORuns(p.event_log, "lines").started(["bad"])) == 2, "HPO that brought nothing is done again"
