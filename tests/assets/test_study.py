"""A study, told by hand what its runs bring: what is next, reused and pruned, what stops it, and how it is resumed."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mlops_assets.assets.optimising.study import Study
from mlops_assets.assets.optimising.trial import Result, Ticket
from mlops_assets.learning.search.search import Question, Search
from mlops_assets.tracking.hpo_run import HPORun
from mlops_assets.tracking.record import (
    ArtifactEntry,
    CodeIdentity,
    Digests,
    Environment,
    RunError,
    RunRecord,
    now,
)
from partitions.hpo import HPO
from partitions.search_space import Categorical, Int, SearchSpace

SPACE = SearchSpace(depth=Int(1, 50), kind=Categorical(["a", "b"]))
BASE = {"depth": 1, "kind": "a", "other": 7}
CODE = CodeIdentity(digest="c" * 64)
Answer = Callable[[Ticket], float | None]


def study(known: Mapping[str, Result] | None = None, space: SearchSpace = SPACE, **fields: Any) -> Study:
    hpo = HPO(**{"metric": "rmse", "direction": "minimize", "trials": 6, "folds": 3, **fields})
    run = HPORun(
        hpo_run_id="h1", project="p", subproject="a", configuration=hpo, space=space, base=BASE, code_version=CODE,
        data_version="d" * 64, seed=5, sampler_seed=1, created_at=now(), created_by="me",
    )  # fmt: skip
    return Study(run, Search(Question(space, hpo, BASE, 1)), known or {}, dict, "s" * 64)


def record(ticket: Ticket, value: float | None) -> RunRecord:
    """What a worker brings: None is a run that failed."""
    configuration = ticket.plan.configuration
    return RunRecord(
        run_id=ticket.plan.run_id, project="p", subproject="a", kind="trial", parent="h1", code_version=CODE,
        data_version="d" * 64, digests=Digests(subproject="s" * 64, run=configuration.digest),
        parameters=configuration.params, settings={"trial": ticket.asked.number, "folds": 3},
        seed=ticket.plan.seed, fold=configuration.fold, fingerprint=ticket.fingerprint,
        metrics={} if value is None else {"rmse": value}, environment=Environment(python="3", lock=""),
        artifacts={"model": ArtifactEntry(uri="u", digest="d", bytes=10)}, timings={"fit": 0.5},
        status="failed" if value is None else "succeeded", error=RunError(message="no") if value is None else None,
        created_at=now(), created_by="me",
    )  # fmt: skip


def depth(ticket: Ticket) -> float:
    configuration = ticket.plan.configuration
    return float(configuration.params["depth"]) + 0.1 * (configuration.fold or 0)


def go(one: Study, answer: Answer = depth, at_once: int = 4, most: int = 10_000) -> list[RunRecord]:
    """Runs the study as a cluster of ``at_once`` workers would, the first run in coming back first."""
    flying: list[Ticket] = []
    records: list[RunRecord] = []
    while not one.over and len(records) < most:
        while len(flying) < at_once and (ticket := one.next()) is not None:
            flying.append(ticket)
        if not flying:
            break
        ticket = flying.pop(0)
        records.append(one.returned(ticket, record(ticket, answer(ticket))))
    return records


def test_every_trial_is_judged_over_its_folds_and_seeds() -> None:
    one = study(seeds=2, sampler="random")
    records = go(one)
    assert one.over and one.stopped_by == "trials" and one.left == 0
    assert len(records) == 6 * 3 * 2 and len({r.run_id for r in records}) == len(records)
    assert {(r.seed, r.fold) for r in records} == {(seed, fold) for seed in (5, 6) for fold in (0, 1, 2)}
    for trial in one.done:
        assert trial.mean == pytest.approx(trial.parameters["depth"] + 0.1) and len(trial.run_ids) == 6
        assert trial.standard_error == pytest.approx(0.0894427 / 6**0.5) and trial.parameters["other"] == 7


def test_the_same_answers_give_the_same_trials_whatever_order_they_come_in_within_a_trial() -> None:
    first, second = study(), study()
    go(first, at_once=3)
    go(second, at_once=1)
    assert [t.parameters for t in first.done] == [t.parameters for t in second.done]


def test_a_run_of_before_is_reused_and_marked_so_and_not_done_again() -> None:
    records = go(study(sampler="random"))
    known = {r.fingerprint: Result.of(r.model_copy(update={"parent": "h0"})) for r in records}
    again = study(known, sampler="random")
    assert go(again) == [] and again.over
    assert [t.reused for t in again.done] == [3] * 6
    assert {run for t in again.done for run in t.run_ids} == {r.run_id for r in records}


def test_trials_of_one_configuration_share_their_runs_also_while_these_are_under_way() -> None:
    space = SearchSpace(kind=Categorical(["a", "b"]))
    one = study(space=space, sampler="random", trials=8)
    records = go(one, at_once=24)
    assert len(records) == 2 * 3 and len(one.done) == 8
    assert sum(t.reused for t in one.done) == 6 * 3


def test_where_a_shared_run_fails_the_other_trial_does_it_itself() -> None:
    one = study(space=SearchSpace(kind=Categorical(["a", "b"])), sampler="random", trials=8, max_failures=100)
    tries: dict[str, int] = {}

    def fails_at_first(ticket: Ticket) -> float | None:
        tries[ticket.fingerprint] = tries.get(ticket.fingerprint, 0) + 1
        return None if tries[ticket.fingerprint] == 1 else 1.0

    go(one, fails_at_first, at_once=24)
    assert one.over and {t.state for t in one.done} == {"failed", "complete"} and len(one.done) == 8


def test_a_trial_that_fails_starts_no_more_folds_and_the_study_goes_on() -> None:
    one = study(trials=10, max_failures=10)
    records = go(one, lambda t: None if t.asked.number % 2 else depth(t), at_once=1)
    assert one.over and one.stopped_by == "trials"
    failed = [t for t in one.done if t.state == "failed"]
    assert [t.number for t in failed] == [1, 3, 5, 7, 9] and failed[0].error == "no"
    assert len([r for r in records if r.settings["trial"] % 2]) == 5, "one run each, and no more"


def test_so_many_failures_in_a_row_stop_it_with_the_reason() -> None:
    one = study(trials=50, max_failures=4)
    go(one, lambda t: None if t.asked.number > 2 else depth(t), at_once=1)
    assert one.over and one.stopped_by == "failures" and len(one.done) == 7
    assert one.reason == "4 trials in a row failed, the last one with: no"


def test_a_value_that_is_no_number_fails_its_trial() -> None:
    one = study(trials=3)
    go(one, lambda t: float("nan") if t.asked.number == 1 else depth(t))
    assert [t.state for t in sorted(one.done, key=lambda t: t.number)] == ["complete", "failed", "complete"]


def test_pruners_look_after_every_fold_and_the_run_that_ended_its_trial_is_pruned() -> None:
    one = study(trials=20, pruner="median", pruner_options={"n_startup_trials": 2}, sampler="random")
    records = go(one)
    pruned = [t for t in one.done if t.state == "pruned"]
    assert pruned and one.over
    for trial in pruned:
        of_trial = [r for r in records if r.settings["trial"] == trial.number]
        assert [r.status for r in of_trial] == ["succeeded"] * (len(of_trial) - 1) + ["pruned"]
        assert len(of_trial) < 3 and all(r.metrics for r in of_trial)


def test_concurrency_bounds_the_trials_that_are_open() -> None:
    one = study(trials=6, concurrency=2)
    most = 0

    def look(ticket: Ticket) -> float:
        nonlocal most
        most = max(most, one.running)
        return depth(ticket)

    go(one, look, at_once=100)
    assert most == 2 and len(one.done) == 6


def test_time_that_is_up_lets_open_trials_finish() -> None:
    one = study(trials=1000, timeout=1e-9)
    assert one.next() is None and one.over and one.stopped_by == "timeout" and one.done == []


def test_a_space_without_another_configuration_ends_it() -> None:
    one = study(space=SearchSpace(kind=Categorical(["a", "b"])), sampler="grid")
    go(one)
    assert one.stopped_by == "space exhausted" and len(one.done) == 2


@pytest.mark.parametrize("pruner", ["none", "median"])
@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "qmc"])
def test_resumed_at_any_moment_it_does_what_is_missing_and_nothing_twice(sampler: str, pruner: str) -> None:
    fields: dict[str, Any] = {"sampler": sampler, "pruner": pruner, "trials": 8}

    def answer(ticket: Ticket) -> float | None:
        return None if ticket.plan.configuration.params["depth"] % 7 == 0 else depth(ticket)

    whole = len(go(study(**fields), answer))
    for moment in range(0, whole, 3):
        first = go(study(**fields), answer, most=moment)
        again = study(**fields)
        again.resume(first)
        second = go(again, answer)
        assert again.over and len(again.done) == 8
        marks = [r.fingerprint for r in (*first, *second) if r.status != "failed"]
        assert len(set(marks)) == len(marks), f"a run was done twice after {moment} runs"
        assert sorted(t.number for t in again.done) == list(range(8))
        assert {t.state for t in again.done} <= {"complete", "failed", "pruned"}
        assert all(t.reused == 0 for t in again.done)
        for trial in again.done:
            if trial.state == "complete":
                assert trial.mean == pytest.approx(trial.parameters["depth"] + 0.1)
