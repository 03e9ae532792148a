"""Sets of evaluations as numbers and pictures: right where it can be known, and a picture for whatever comes."""

import itertools
import math
import random
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.learning.evaluation import Evaluation
from mlops_assets.learning.exploring import figures
from mlops_assets.learning.exploring.importance import importances
from mlops_assets.learning.exploring.points import Points, best_so_far, points
from partitions.errors import MlopsError
from partitions.search_space import Float, SearchSpace
from tests.learning.test_choice import evaluation
from tests.learning.test_plots import pixels


def evaluations(count: int, runs: int = 3, seed: int = 0) -> list[Evaluation]:
    """Configurations of which the rate decides most, the depth some, and the colour nothing."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        params: dict[str, Any] = {
            "rate": 10 ** chance.uniform(-3, 0),
            "depth": chance.randrange(1, 9),
            "colour": chance.choice(["red", "blue", None, True]),
            "split": {"size": 0.2},
        }
        value = 5 * abs(math.log10(params["rate"]) + 1) + 0.3 * params["depth"]
        made.append(evaluation(f"{number:03}", [value + 0.1 * n for n in range(runs)], parameters=params))
    return made


def some(count: int = 30, direction: Any = "minimize", **fields: Any) -> Points:
    return points(evaluations(count, **fields), "rmse", direction)


def test_a_parameter_that_decides_is_important_and_one_that_is_the_same_everywhere_is_none() -> None:
    for found in (importances(some(80)), importances(some(80), "fanova"), importances(some(20))):
        assert set(found) == {"rate", "depth", "colour"} and sum(found.values()) == pytest.approx(1.0)
        assert next(iter(found)) == "rate" and found["colour"] < 0.15
    assert importances(some(3)) == {} and importances(points([], "rmse", "minimize")) == {}
    with pytest.raises(MlopsError, match="unknown importance method 'anova'"):
        importances(some(), "anova")  # type: ignore[arg-type]


def test_the_best_so_far_follows_the_direction() -> None:
    assert best_so_far([3.0, 1.0, 2.0], "minimize") == [3.0, 1.0, 1.0]
    assert best_so_far([3.0, 1.0, 4.0], "maximize") == [3.0, 3.0, 4.0]


def test_only_what_was_judged_alike_stands_in_one_picture() -> None:
    pruned = evaluation("900", [0.0], parameters={"rate": 1.0})
    found = points([*evaluations(5), pruned], "rmse", "minimize")
    assert len(found.evaluations) == 5
    assert found.notes == (
        "1 of 6 configurations are left out: they were judged on fewer or other folds, seeds or rows",
    )


def test_results_of_several_subprojects_are_shown_as_distances_from_their_own_mean() -> None:
    here, there = evaluations(6), evaluations(6, seed=1)
    there = [
        evaluation(f"{n:03}", [1000 * v for v in one.values], parameters=one.parameters, subproject="B6")
        for n, one in enumerate(there)
    ]
    found = points([*here, *there], "rmse", "minimize")
    assert "do not compare" in found.notes[0] and found.metric == "rmse (standard deviations from own mean)"
    for key in ("AA", "B6"):
        own = [one.mean for one in found.evaluations if one.subproject == key]
        assert statistics.fmean(own) == pytest.approx(0.0, abs=1e-9) and statistics.stdev(own) == pytest.approx(1.0)


def test_a_scale_is_logarithmic_where_the_space_or_the_values_say_so() -> None:
    assert some().is_log("rate") and not some().is_log("depth")
    declared = points(evaluations(9), "rmse", "minimize", SearchSpace(rate=Float(0.001, 1.0)))
    assert not declared.is_log("rate")
    assert some().places("colour")[1] == ["blue", "null", "red", "true"]


@pytest.mark.parametrize(
    ("case", "direction"),
    [
        ("many", "maximize"),
        ("two", "minimize"),
        ("an outlier", "minimize"),
        ("equal values", "maximize"),
        ("one line", "minimize"),
    ],
)
def test_every_picture_is_drawn_for_every_set(case: str, direction: Any) -> None:
    made = evaluations({"many": 60, "two": 2}.get(case, 20))
    if case == "an outlier":
        made[3] = evaluation("003", [1e6, 1e6, 1e6], parameters=made[3].parameters)
    if case == "equal values":
        made = [evaluation(f"{n:03}", [1.0, 1.0, 1.0], parameters=one.parameters) for n, one in enumerate(made)]
    if case == "one line":
        made = [
            evaluation(f"{n:03}", [float(n)] * 3, parameters={"rate": n, "depth": n, "$x$": "\x00<"}) for n in range(20)
        ]
    held = points(made, "rmse $\\frac$", direction)
    names = list(held.parameters)
    pictures = [
        figures.history(held),
        figures.slices(held, names),
        figures.contour(held, names[0], names[1]),
        figures.contour(held, names[-1], names[0]),
        figures.parallel(held, names),
        figures.distribution(held),
        figures.pareto((held.values, [float(n % 7) for n in range(len(made))]), ("rmse", "s"), (direction, "minimize")),
        figures.importance({"rate": 0.7, "$\\frac$": 0.3}),
    ]
    for png in pictures:
        assert pixels(png).std() > 1.0, "something is drawn"
    assert pictures[0] == figures.history(held), "the same set is the same picture"


def test_a_single_configuration_has_a_history_and_a_distribution() -> None:
    for png in (figures.history(some(1)), figures.distribution(some(1)), figures.history(some(1, runs=1))):
        assert pixels(png).std() > 1.0


Figures = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


@settings(max_examples=200)
@given(Figures, st.sampled_from(list(itertools.product(["minimize", "maximize"], repeat=2))))
def test_the_front_is_what_none_beats_in_both(judged: list[tuple[int, int]], directions: tuple[str, str]) -> None:
    signs = [-1 if direction == "maximize" else 1 for direction in directions]

    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        a, b = ([sign * value for sign, value in zip(signs, point, strict=True)] for point in (one, other))
        return a != b and a[0] <= b[0] and a[1] <= b[1]

    expected = [n for n, point in enumerate(judged) if not any(beats(other, point) for other in judged)]
    x, y = zip(*judged, strict=True)
    assert figures.pareto_front([float(v) for v in x], [float(v) for v in y], directions) == expected
