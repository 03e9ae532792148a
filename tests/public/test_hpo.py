"""HPO in this process: what is tracked, chosen, reused, refused; the same from Dagster's own run."""

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.opened_project import HPOFailed, OpenedProject
from mlops_assets.tracking.hpo_run import HPORuns
from partitions.errors import MlopsError
from tests.public.conftest import opened
from tests.public.hpo_lines import HPO, declare_hpo

PLAIN = "alpha=Float(0.01, 1000.0, log=True)"


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    declare_hpo(folder, [("a", 1.0, ""), ("b", -2.0, "")], space=PLAIN)
    return opened(folder)


def test_every_run_is_tracked_and_the_best_is_chosen_with_the_reason(p: OpenedProject) -> None:
    (done,) = p.hpo("a", seed=3)
    runs = p.runs("a", kind="trial")
    assert len(runs) == 4 * 2 and set(runs["status"]) == {"succeeded"} and set(runs["seed"]) == {3}
    assert set(runs["parent"]) == {done.summary.hpo_run_id}
    record = p.record(runs["run_id"].iloc[0])
    assert record.settings["trial"] in range(4) and record.settings["folds"] == 2
    assert record.digests.hpo == p.configurations("a")["a"].hpo.digest  # type: ignore[union-attr]

    means = runs.groupby("params.alpha")["metrics.rmse"].mean()
    best = p.best("a")
    assert best is not None and best == done.best and best.source == "rule"
    assert best.parameters["alpha"] == means.idxmin() and best.metrics["rmse"] == pytest.approx(means.min())
    assert best.why.startswith("lowest mean rmse") and len(best.run_ids) == 2
    assert done.summary.best is not None and done.summary.best.mean == pytest.approx(means.min())
    assert p.train(["a"])[0].parameters["alpha"] == best.parameters["alpha"]


def test_its_start_and_its_end_are_events_and_the_configuration_is_tracked(p: OpenedProject) -> None:
    (done,) = p.hpo("a", trials=2)
    runs = HPORuns(p.event_log, "lines")
    (started,) = runs.started(["a"])
    assert started.hpo_run_id == done.summary.hpo_run_id and started.configuration.trials == 2
    assert started.base["mode"] == "plain", "parameters that are not sampled are there too"
    assert runs.open(["a", "b"]) == {} and runs.summary("a", started.hpo_run_id) == done.summary
    last = p.event_log.latest(("lines", "trials"), ["a"])["a"]
    assert last.metadata["hpo_run_id"] == started.hpo_run_id and last.metadata["complete"] == 2


def test_a_registered_field_can_be_left_out(p: OpenedProject) -> None:
    (done,) = p.hpo("a", folds=None, trials=2)
    assert set(p.runs("a", kind="trial")["fold"].isna()) == {True} and len(done.summary.trials) == 2


def test_many_subprojects_interleave_and_each_has_its_own_best(p: OpenedProject) -> None:
    order: list[str] = []
    done = p.hpo(["a", "b"], on_news=lambda news, _: order.append(news.subproject) if news.what == "run" else None)
    assert {one.subproject for one in done} == {"a", "b"} and len(order) == 2 * 4 * 2
    assert set(p.bests()) == {"a", "b"}


def test_what_means_the_same_is_told_and_no_run_is_done_twice(p: OpenedProject) -> None:
    p.hpo("a", seed=1)
    (again,) = p.hpo("a", seed=1, sampler="random", reuse="same")
    assert again.summary.told == 4
    assert [t.reused for t in again.summary.trials] == [2] * 4, "the same seed samples the same"
    assert len(p.runs("a", kind="trial")) == 8
    p.run("a", params={"alpha": 0.5}, seed=1, folds=2)
    (more,) = p.hpo("a", seed=1, trials=1)
    assert more.summary.told == 5, "a dev run over the same folds is told as well"
    (other,) = p.hpo("a", seed=2, trials=1)
    assert other.summary.told == 0, "another seed splits otherwise"
    (none,) = p.hpo("a", seed=1, trials=1, reuse="none")
    assert (none.summary.told, none.summary.trials[0].reused) == (0, 0)


def test_what_another_code_version_found_is_tried_but_never_believed(folder: Path, p: OpenedProject) -> None:
    (before,) = p.hpo("a", seed=1)
    declare_hpo(folder, [("a", 1.0, ""), ("b", -2.0, "")], space=PLAIN, code="changed")
    changed = opened(folder)
    (after,) = changed.hpo("a", seed=9, trials=4)
    origins = {trial.origin for trial in after.summary.trials}
    assert after.summary.told == 0 and "earlier" in origins
    assert before.best is not None and after.best is not None
    assert after.best.code_version != before.best.code_version and after.best.replaces == before.best.run_id
    assert {changed.record(run).code_version.digest for run in after.best.run_ids} == {after.best.code_version}


def test_siblings_configurations_are_tried_first(p: OpenedProject) -> None:
    (first,) = p.hpo("a")
    (second,) = p.hpo("b")
    tried = [trial for trial in second.summary.trials if trial.origin == "sibling:a"]
    assert tried and tried[0].number == 0 and first.best is not None
    assert tried[0].parameters["alpha"] == first.best.parameters["alpha"]
    (third,) = p.hpo("b", transfer="none", reuse="none", seed=77)
    assert {trial.origin for trial in third.summary.trials} == {"sampled"}


def test_a_trial_that_raises_is_a_failed_run_with_its_traceback_and_the_study_goes_on(folder: Path) -> None:
    declare_hpo(folder, [("a", 1.0, "")])
    p = opened(folder)
    (done,) = p.hpo("a", trials=8, seed=1)
    states = [trial.state for trial in done.summary.trials]
    assert {"complete", "failed"} == set(states)
    failed = p.runs("a", status="failed")
    assert len(failed) == states.count("failed")
    record = p.record(failed["run_id"].iloc[0])
    assert record.kind == "trial" and record.error is not None
    assert "this mode cannot be built" in record.error.message and "Traceback" in record.error.traceback


def test_failures_in_a_row_stop_it_loudly(folder: Path) -> None:
    declare_hpo(folder, [("a", 1.0, "fit"), ("b", 1.0, "")], space=PLAIN)
    p = opened(folder)
    with pytest.raises(HPOFailed, match="lines/a: HPO stopped: 3 trials in a row failed") as raised:
        p.hpo(["a", "b"], trials=40, max_failures=3)
    assert list(raised.value.failed) == ["a"]
    by_key = {one.subproject: one for one in raised.value.done}
    assert by_key["a"].summary.stopped_by == "failures" and by_key["a"].best is None
    assert len(by_key["b"].summary.trials) == 40 and p.best("a") is None
    assert HPORuns(p.event_log, "lines").open(["a"]) == {}, "it has ended: there is nothing to resume"


def test_a_subproject_without_data_fails_alone(folder: Path) -> None:
    declare_hpo(folder, [("a", 1.0, "ingest"), ("b", 1.0, "")], space=PLAIN)
    p = opened(folder)
    with pytest.raises(HPOFailed, match="lines/a: .*ingest raised") as raised:
        p.hpo(["a", "b"])
    assert [one.subproject for one in raised.value.done] == ["b"]


def test_pruned_runs_are_tracked_with_their_metrics(p: OpenedProject) -> None:
    (done,) = p.hpo("a", trials=12, folds=4, pruner="median", pruner_options={"n_startup_trials": 1}, seed=0)
    pruned = [trial for trial in done.summary.trials if trial.state == "pruned"]
    runs = p.runs("a", status="pruned")
    assert len(pruned) == len(runs) > 0 and runs["metrics.rmse"].notna().all()
    assert len(p.runs("a", kind="trial")) < 12 * 4


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"trials": 0}, "trials"),
    ({"metric": "mape"}, "unknown metric 'mape'"),
    ({"direction": "maximize"}, "expected 'minimize'"),
    ({"parameters": ["alfa"]}, "nearest: alpha"),
    ({"sampler": "grid"}, "a grid needs a step for the range of 'alpha'"),
    ({"sampler": "tpes"}, "sampler"),
    ({"sampler_options": {"sigma0": 1}}, "sigma0"),
    ({"cpus": 4096}, "one run needs 4096 CPUs"),
    ({"gpus": 3}, "3 GPUs"),
    ({"memory": "900TB"}, "GiB of memory"),
    ({"trails": 3}, "trails"),
]


@pytest.mark.parametrize(("fields", "said"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_met_is_refused_before_anything_starts(
    p: OpenedProject, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(MlopsError, match=said) as raised:
        p.hpo("a", **fields)
    assert "lines/a" in str(raised.value) or "machine" in str(raised.value)
    assert p.tracker.run_ids() == [] and HPORuns(p.event_log, "lines").started(["a", "b"]) == []


def test_a_space_of_parameters_that_the_code_does_not_have_is_refused(folder: Path, p: OpenedProject) -> None:
    p.apply()
    text = (folder / "lines/pipeline.py").read_text().replace("alpha: float = 1.0", "strength: float = 1.0")
    (folder / "lines/pipeline.py").write_text(text.replace("params.alpha", "params.strength"))
    (folder / "lines/project.py").write_text((folder / "lines/project.py").read_text().replace("alpha=", "strength="))
    with pytest.raises(MlopsError, match="lines/a: search_space.alpha: unknown parameter 'alpha'"):
        opened(folder).hpo("a")


def test_folds_depend_on_data_settings_and_seed_and_not_on_the_configuration(p: OpenedProject) -> None:
    def splits(**asked: Any) -> list[Any]:
        records = p.run("a", folds=3, **asked)
        return [record.settings["split"] for record in sorted(records, key=lambda record: record.fold or 0)]

    first = splits(seed=1, params={"alpha": 0.1})
    assert len(set(first)) == 3
    assert splits(seed=1, params={"alpha": 90.0}) == first
    assert splits(seed=2, params={"alpha": 0.2}) != first
    assert splits(seed=1, params={"alpha": 0.1, "split": {"test_size": 0.4}}) != first
    (done,) = p.hpo("a", folds=3, seed=1, trials=2)
    trials = p.runs("a", kind="trial", sort="fold")
    assert done.summary.told == 2, "runs of the same folds mean the same"
    assert sorted(set(trials["split"])) == sorted(first)


def test_without_hpo_declared_it_says_what_to_declare(folder: Path) -> None:
    p = opened(folder)
    with pytest.raises(MlopsError, match="lines/a: declares no hpo"):
        p.hpo("a")
    assert HPO and p.hpo("a", metric="rmse", direction="minimize", trials=1)[0].best is not None


def test_the_last_run_of_a_subproject_is_not_a_fold_of_a_trial(p: OpenedProject) -> None:
    (record,) = p.run("a", seed=1)
    p.hpo(["a", "b"], trials=1)
    latest = p.tracker.latest()
    assert latest["a"].last.run_id == record.run_id and latest["a"].runs == 3
    assert latest["b"].last.kind == "trial"
