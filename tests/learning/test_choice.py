"""The declared rules for what is best: never a single lucky run, and the simplest within the noise."""

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.learning.choice import choose, within_noise
from mlops_assets.learning.evaluation import Evaluation, comparable
from partitions.errors import MlopsError


def evaluation(name: str, values: list[float], **changes: Any) -> Evaluation:
    fields: dict[str, Any] = {
        "subproject": "AA",
        "code_version": "c",
        "data_version": "d",
        "parameters": {"name": name},
        "metric": "rmse",
        "values": tuple(values),
        "run_ids": tuple(f"{name}-{n}" for n in range(len(values))),
        "seeds": (0,) * len(values),
        "folds": tuple(range(len(values))),
        "fold_count": len(values),
        **changes,
    }
    return Evaluation(**fields)


def named(one: Evaluation) -> str:
    return str(one.parameters["name"])


def test_the_best_mean_wins_and_the_reason_has_figures() -> None:
    choice = choose([evaluation("a", [3.0, 5.0]), evaluation("b", [2.0, 3.0])], "minimize", "best-mean")
    assert named(choice.evaluation) == "b"
    assert choice.reason == "lowest mean rmse 2.5 ± 0.5 over 2 folds, of 2 configurations"
    choice = choose([evaluation("a", [3.0, 5.0]), evaluation("b", [2.0, 3.0])], "maximize", "best-mean")
    assert named(choice.evaluation) == "a" and choice.reason.startswith("highest mean rmse 4 ± 1 over 2 folds")


@pytest.mark.parametrize("rule", ["best-mean", "one-standard-error"])
def test_a_single_lucky_run_and_a_pruned_trial_are_never_chosen(rule: str) -> None:
    lucky = evaluation("lucky", [0.1])
    pruned = evaluation("pruned", [0.1, 0.2], fold_count=3)
    full = [evaluation("a", [3.0, 4.0, 5.0]), evaluation("b", [3.1, 4.1, 5.1])]
    assert named(choose([lucky, pruned, *full], "minimize", rule).evaluation) == "a"


def test_the_simplest_within_the_noise_is_the_smallest_then_the_fastest() -> None:
    best = evaluation("best", [10.0, 12.0, 14.0], model_bytes=900.0, fit_seconds=3.0)
    small = evaluation("small", [10.5, 12.5, 14.5], model_bytes=300.0, fit_seconds=5.0)
    quick = evaluation("quick", [10.6, 12.6, 14.6], model_bytes=300.0, fit_seconds=1.0)
    tiny = evaluation("tiny", [20.0, 22.0, 24.0], model_bytes=1.0, fit_seconds=0.1)
    unknown = evaluation("unknown", [10.0, 12.0, 14.1])
    choice = choose([tiny, quick, small, best, unknown], "minimize", "one-standard-error")
    assert named(choice.evaluation) == "quick"
    assert choice.reason == (
        "simplest of 4 configurations within one standard error (1.155) of the lowest mean rmse, 12: "
        "rmse 12.6 ± 1.2 over 3 folds, model 0.3 kB instead of 0.9 kB; 5 configurations judged"
    )


def test_one_run_each_has_no_noise_to_be_within() -> None:
    choice = choose(
        [evaluation("a", [2.0], model_bytes=9.0), evaluation("b", [2.1], model_bytes=1.0)],
        "minimize",
        "one-standard-error",
    )
    assert named(choice.evaluation) == "a" and "over 1 run" in choice.reason


def test_nothing_to_choose_from_and_an_unknown_rule_are_said() -> None:
    with pytest.raises(MlopsError, match="no configuration to choose from"):
        choose([], "minimize", "best-mean")
    with pytest.raises(MlopsError, match="rule 'median' is none; there are best-mean and one-standard-error"):
        choose([evaluation("a", [1.0])], "minimize", "median")


def test_only_what_was_judged_on_the_same_rows_is_compared() -> None:
    here = [evaluation(name, [5.0, 6.0], splits=("x", "y")) for name in "ab"]
    there = evaluation("c", [1.0, 2.0], splits=("x", "z"))
    assert {named(one) for one in comparable([there, *here])} == {"a", "b"}


Values = st.lists(st.floats(0.0, 100.0).map(lambda value: round(value, 3)), min_size=3, max_size=3)


@given(
    st.lists(st.tuples(Values, st.integers(1, 5)), min_size=1, max_size=8), st.sampled_from(["minimize", "maximize"])
)
def test_the_choice_is_within_the_noise_of_the_best_and_no_simpler_one_is(
    judged: list[tuple[list[float], int]], direction: str
) -> None:
    all_of_them = [evaluation(str(n), values, model_bytes=float(size)) for n, (values, size) in enumerate(judged)]
    sign = 1 if direction == "minimize" else -1
    chosen = choose(all_of_them, direction, "one-standard-error").evaluation
    best = choose(all_of_them, direction, "best-mean").evaluation
    assert sign * best.mean == min(sign * statistics.fmean(values) for values, _ in judged)
    error = statistics.stdev(best.values) / 3**0.5
    near = [one for one in all_of_them if sign * one.mean <= sign * best.mean + error]
    assert chosen in near and chosen.model_bytes == min(one.model_bytes or 0.0 for one in near)
    assert {named(one) for one in within_noise(all_of_them, direction)} == {named(one) for one in near}
    assert choose(list(reversed(all_of_them)), direction, "best-mean").evaluation == best, "the order does not matter"


def on_seeds(name: str, seeds: list[int], value: float) -> Evaluation:
    """Two folds on each seed; a seed from 100 on lacks the second."""
    pairs = [(seed, fold) for seed in seeds for fold in range(2) if not (seed >= 100 and fold)]
    return evaluation(
        name,
        [value + seed + fold for seed, fold in pairs],
        seeds=tuple(seed for seed, _ in pairs),
        folds=tuple(fold for _, fold in pairs),
        fold_count=2,
    )


def test_of_runs_with_more_seeds_only_those_that_all_have_count() -> None:
    many = [on_seeds(str(n), [0], float(n)) for n in range(5)]
    also = [on_seeds("also", [0, 7], -1.0), on_seeds("begun", [0, 107], 9.0)]
    other = on_seeds("other", [7], 0.0)
    alike = comparable([*many, *also, other])
    assert {named(one) for one in alike} == {"0", "1", "2", "3", "4", "also", "begun"}
    assert {one.seeds for one in alike} == {(0, 0)} and {one.n for one in alike} == {2}
    assert choose([*many, *also, other], "minimize", "best-mean").evaluation.run_ids == ("also-0", "also-1")


def test_what_was_judged_on_one_run_is_compared_where_there_is_nothing_better() -> None:
    single = [evaluation(str(n), [float(n)], fold_count=None, folds=(None,)) for n in range(9)]
    assert len(comparable(single)) == 9
    assert {named(one) for one in comparable([*single, evaluation("f", [5.0, 6.0])])} == {"f"}
    halves = [evaluation(str(n), [float(n)], fold_count=2) for n in range(3)]
    assert len(comparable(halves)) == 3, "trials that are all under way still compare"


Judged = st.lists(
    st.sets(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1).map(sorted), min_size=1, max_size=8
)


@given(Judged)
def test_whatever_was_judged_on_what_those_compared_share_all_of_it(judged: list[list[tuple[int, int]]]) -> None:
    made = [
        evaluation(
            str(number),
            [100.0 * number + 10 * seed + fold for seed, fold in pairs],
            seeds=tuple(seed for seed, _ in pairs),
            folds=tuple(fold for _, fold in pairs),
            fold_count=3,
        )
        for number, pairs in enumerate(judged)
    ]
    alike = comparable(made)
    (shared,) = {one.pairs for one in alike}
    assert {named(one) for one in alike} == {named(one) for one in made if set(shared) <= set(one.pairs)}
    for one in alike:
        base = 100.0 * int(named(one))
        assert one.values == tuple(base + 10 * seed + (fold or 0) for seed, fold, _ in one.pairs)
        assert [one.run_ids[n] for n in range(one.n)] == [
            made[int(named(one))].run_ids[made[int(named(one))].pairs.index(pair)] for pair in one.pairs
        ]
    if any(made_one.whole for made_one in made):
        assert alike[0].whole == set(shared), "what lacks a fold is compared only where nothing is complete"
