"""The search: every sampler over every kind of dimension, conditions, what is known before, and going on again."""

import importlib.util
import math
from collections.abc import Mapping
from typing import Any

import pytest

from mlops_assets.learning.search.samplers import check_sampler
from mlops_assets.learning.search.search import Asked, Ended, Known, Question, Search, sampler_seed
from partitions.errors import DeclarationError
from partitions.hpo import HPO
from partitions.search_space import Categorical, Fixed, Float, Int, SearchSpace

SPACE = SearchSpace(
    rate=Float(0.01, 1.0, log=True),
    share=Float(0.0, 1.0, step=0.3),
    depth=Int(2, 9, step=2),
    leaf=Int(1, 100, log=True),
    booster=Categorical(["tree", "line", None, True, 0.5]),
    drop=Float(0.1, 0.9, when={"booster": "tree"}),
    shape=Fixed([1, 2]),
)
WITHOUT_CONDITIONS = SearchSpace(rate=Float(0.01, 1.0, log=True), depth=Int(2, 9), leaf=Int(1, 100, log=True))
BASE = {
    "rate": 0.1, "share": 0.0, "depth": 2, "leaf": 5, "booster": "line", "drop": 0.5, "shape": [], "other": "kept",
}  # fmt: skip
SAMPLERS = ["tpe", "random", "gp", "cmaes", "qmc"]


def needs(sampler: str) -> Any:
    package = {"gp": "torch", "cmaes": "cmaes"}.get(sampler)
    there = package is None or importlib.util.find_spec(package) is not None
    return pytest.param(sampler, marks=pytest.mark.skipif(not there, reason=f"{package} is not installed"))


def hpo(**fields: Any) -> HPO:
    return HPO(**{"metric": "rmse", "direction": "minimize", "trials": 30, **fields})


def loss(parameters: Mapping[str, Any]) -> float:
    far = abs(math.log(float(parameters["rate"]) / 0.2))
    return far + 0.1 * float(parameters["depth"]) + float(parameters["booster"] != "tree")


def optimised(search: Search, trials: int) -> list[tuple[Asked, float]]:
    done = []
    for _ in range(trials):
        asked = search.ask()
        if asked is None:
            break
        done.append((asked, loss(asked.parameters)))
        search.tell(asked.number, done[-1][1])
    return done


def is_inside(parameters: Mapping[str, Any]) -> bool:
    active = parameters["booster"] == "tree"
    return all(
        dimension.contains(parameters[name]) if name != "drop" or active else parameters[name] == 0.5
        for name, dimension in SPACE.dimensions.items()
    )


@pytest.mark.parametrize("sampler", [needs(name) for name in SAMPLERS])
def test_every_trial_lies_in_the_space_and_what_is_not_searched_stays(sampler: str) -> None:
    done = optimised(Search(Question(SPACE, hpo(sampler=sampler), BASE, seed=3)), 30)
    assert len(done) == 30
    assert all(is_inside(asked.parameters) and asked.parameters["other"] == "kept" for asked, _ in done)
    assert [asked.number for asked, _ in done] == list(range(30))
    kinds = {type(asked.parameters["booster"]) for asked, _ in done}
    assert {str, bool} <= kinds, "choices keep their types"


@pytest.mark.parametrize("sampler", [needs(name) for name in SAMPLERS] + ["grid"])
def test_the_same_seed_and_answers_give_the_same_trials(sampler: str) -> None:
    space = SearchSpace(depth=Int(2, 9), leaf=Int(1, 100))

    def trials(seed: int) -> list[dict[str, Any]]:
        search = Search(Question(space, hpo(sampler=sampler), {"depth": 2, "leaf": 1}, seed))
        asked = [one for one in (search.ask() for _ in range(4)) if one is not None]
        for one in asked:
            search.tell(one.number, float(one.parameters["depth"]))
        return [one.parameters for one in (*asked, *(search.ask() for _ in range(3))) if one is not None]

    assert trials(1) == trials(1)
    assert trials(1) != trials(2)


def test_subprojects_do_not_begin_with_the_same_configurations() -> None:
    seeds = {sampler_seed(seed, key) for seed in range(3) for key in ("AA", "B6", "UA")}
    assert len(seeds) == 9 and sampler_seed(1, "AA") == sampler_seed(1, "AA")
    searches = [Search(Question(WITHOUT_CONDITIONS, hpo(), BASE, sampler_seed(1, key))) for key in ("AA", "B6")]
    asked = [[repr(one.parameters) for one, _ in optimised(search, 10)] for search in searches]
    assert not set(asked[0]) & set(asked[1])


def test_tpe_finds_what_random_search_does_not() -> None:
    found = {
        sampler: sum(min(value for _, value in optimised(Search(Question(SPACE, hpo(sampler=sampler), BASE, seed)), 40))
                     for seed in range(5))
        for sampler in ("tpe", "random")
    }  # fmt: skip
    assert found["tpe"] < found["random"]


def test_a_grid_has_every_configuration_once_and_then_ends() -> None:
    space = SearchSpace(
        kind=Categorical(["a", "b"]), depth=Int(1, 3), drop=Float(0.0, 1.0, step=0.5, when={"kind": "b"})
    )
    search = Search(Question(space, hpo(sampler="grid", trials=100), {"kind": "a", "depth": 1, "drop": 0.0}))
    seen = []
    while (asked := search.ask()) is not None:
        seen.append(asked.parameters)
        search.tell(asked.number, 1.0)
    assert len(seen) == len({str(one) for one in seen}) == 3 + 3 * 3
    assert search.exhausted and search.ask() is None


def test_a_grid_too_large_for_a_list_is_drawn_from() -> None:
    space = SearchSpace(**{name: Int(0, 999) for name in "abcd"})
    search = Search(Question(space, hpo(sampler="grid"), dict.fromkeys("abcd", 0)))
    assert len({str(asked.parameters) for asked in (search.ask() for _ in range(50)) if asked}) == 50


def test_configurations_to_try_come_first_once_each_and_only_where_they_lie_in_the_space() -> None:
    good = {**BASE, "rate": 0.2, "other": "of another run", "shape": [1, 2]}
    tried = [(good, "earlier"), (dict(good), "sibling:B6"), ({**good, "rate": 7.0}, "sibling:UA")]
    search = Search(Question(SPACE, hpo(), BASE), tried=tried)
    first, second = search.ask(), search.ask()
    assert first is not None and second is not None
    assert (first.origin, second.origin) == ("earlier", "sampled")
    assert first.parameters == {**BASE, "rate": 0.2, "shape": [1, 2]}


def test_values_known_before_guide_the_first_trials() -> None:
    space, base = SearchSpace(rate=Float(0.0, 1.0)), {"rate": 0.5}
    rates = [number / 100 for number in range(100)]
    known = [Known({"rate": rate}, (abs(rate - 0.3),)) for rate in rates]
    guided = Search(Question(space, hpo(), base, seed=1), told=known)
    assert guided.told == 100
    asked = [guided.ask() for _ in range(5)]
    assert all(one is not None and abs(one.parameters["rate"] - 0.3) < 0.2 for one in asked)
    assert guided.best is None, "what was known before is no trial of this search"


def test_a_parameter_added_later_counts_with_its_default() -> None:
    search = Search(Question(SPACE, hpo(), {**BASE, "shape": [1, 2]}), told=[Known({"rate": 0.3}, (1.0,))])
    assert search.told == 1


def test_values_that_mean_something_else_are_not_told() -> None:
    told = [Known({**BASE, "other": "changed"}, (1.0,)), Known({**BASE, "rate": 9.0}, (1.0,)), Known(BASE, (math.nan,))]
    assert Search(Question(SPACE, hpo(), BASE), told=told).told == 0


def test_of_other_code_versions_the_version_is_a_dimension_and_trials_are_of_the_one_asked_for() -> None:
    space, base = SearchSpace(rate=Float(0.0, 1.0)), {"rate": 0.5}
    told = [Known({"rate": n / 20}, (abs(n / 20 - 0.9),), "old") for n in range(20)]
    search = Search(Question(space, hpo(reuse="all"), base), told=told)
    assert search.told == 20
    for _ in range(15):
        asked = search.ask()
        assert asked is not None and set(asked.parameters) == {"rate"}
        search.tell(asked.number, abs(asked.parameters["rate"] - 0.9))


@pytest.mark.parametrize("pruner", ["median", "percentile", "wilcoxon", "successive_halving", "hyperband"])
def test_a_hopeless_trial_is_pruned_and_a_good_one_is_not(pruner: str) -> None:
    options = {"percentile": 50.0} if pruner == "percentile" else {}
    asked_for = hpo(pruner=pruner, pruner_options=options, folds=8, trials=40)
    search = Search(Question(SearchSpace(rate=Float(0.0, 1.0)), asked_for, {"rate": 0.5}))
    pruned = 0
    for number in range(24):
        asked = search.ask()
        assert asked is not None
        hopeless = number % 2 == 1
        stopped = False
        for fold in range(8):
            stopped = search.report(asked.number, 1.0 + 0.01 * fold + (50.0 + number if hopeless else -0.001 * number))
            if stopped:
                break
        search.tell(asked.number, None if stopped else 1.0 + 50.0 * hopeless, "pruned" if stopped else "complete")
        pruned += stopped and hopeless
    assert pruned >= 3
    assert search.best is not None and search.best[0] == 1.0


def test_a_failed_trial_is_told_and_the_search_goes_on() -> None:
    search = Search(Question(SPACE, hpo(), BASE))
    for number in range(6):
        asked = search.ask()
        assert asked is not None
        search.tell(asked.number, None if number % 2 else math.nan, "failed" if number % 2 else "complete")
    assert search.best is None and search.ask() is not None


@pytest.mark.parametrize("sampler", [needs(name) for name in SAMPLERS] + ["grid"])
def test_a_restored_search_goes_on_and_does_not_begin_again(sampler: str) -> None:
    space = SearchSpace(depth=Int(2, 400), leaf=Int(1, 100))
    question = Question(space, hpo(sampler=sampler), {"depth": 2, "leaf": 1}, seed=5)
    first = Search(question)
    asked = [one for one in (first.ask() for _ in range(8)) if one is not None]
    again = Search(question)
    for one in asked[:5]:
        again.restore(one.number, one.parameters, (float(one.parameters["depth"]),), "complete")
    again.restore(6, asked[6].parameters, (), None)
    assert again.best is not None and again.best[0] == min(one.parameters["depth"] for one in asked[:5])
    again.tell(6, 3.0)
    more = [one for one in (again.ask() for _ in range(6)) if one is not None]
    assert [one.number for one in more] == [5, 7, 8, 9, 10, 11]
    before = [one.parameters for one in (*asked[:5], asked[6])]
    assert all(one.parameters not in before for one in more)


@pytest.mark.parametrize("space", [SPACE, WITHOUT_CONDITIONS], ids=["conditional", "unconditional"])
def test_every_trial_is_the_one_that_a_search_restored_from_all_before_asks_for(space: SearchSpace) -> None:
    question = Question(space, hpo(), BASE, seed=3)
    goes_on = Search(question)
    done: list[tuple[Asked, float | None]] = []
    for number in range(40):
        restored = Search(question)
        for one, value in done:
            ended: Ended = "failed" if value is None else "complete"
            restored.restore(one.number, one.parameters, () if value is None else (value,), ended)
        asked, expected = goes_on.ask(), restored.ask()
        assert asked is not None and asked == expected
        # Some fail: what trials have in common is not asked of these.
        value = None if number % 7 == 3 else float(asked.parameters["rate"]) + float(asked.parameters["depth"])
        goes_on.tell(number, value, "failed" if value is None else "complete")
        done.append((asked, value))


def test_what_a_restored_trial_has_is_not_tried_again() -> None:
    tried = {**BASE, "rate": 0.2, "shape": [1, 2]}
    search = Search(Question(SPACE, hpo(), BASE), tried=[(tried, "sibling:B6")])
    search.restore(0, tried, (), None)
    asked = search.ask()
    assert asked is not None and (asked.number, asked.origin) == (1, "sampled")


def test_a_sampler_that_lacks_a_package_and_an_option_it_refuses_are_said_before_anything_starts() -> None:
    if importlib.util.find_spec("torch") is None:
        with pytest.raises(DeclarationError, match="pip install torch"):
            check_sampler(hpo(sampler="gp"))
    with pytest.raises(DeclarationError, match="pruner_options: .*percentile"):
        check_sampler(hpo(pruner="percentile", pruner_options={"percentile": 400.0}, folds=2))
    for sampler in ("tpe", "random", "grid", "qmc"):
        check_sampler(hpo(sampler=sampler))
