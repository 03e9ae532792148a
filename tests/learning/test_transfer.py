"""What travels between searches: points of a space, and which sibling is most alike."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.learning.transfer import agreement, fitted, in_turn, similarity, to_try, within
from partitions.search_space import Categorical, Fixed, Float, Int, SearchSpace
from tests.learning.test_choice import evaluation

SPACE = SearchSpace(
    rate=Float(0.1, 0.9),
    steps=Float(0.0, 1.0, step=0.25),
    depth=Int(2, 10, step=2),
    booster=Categorical(["tree", "line", None, True]),
    drop=Float(0.1, 0.5, when={"booster": "tree"}),
    shape=Fixed([1, 2]),
)
BASE: dict[str, Any] = {
    "rate": 0.5, "steps": 0.5, "depth": 4, "booster": "line", "drop": 0.3, "shape": [1, 2], "other": 7,
}  # fmt: skip


def test_a_point_is_told_only_where_the_search_could_ask_for_it() -> None:
    assert within(SPACE, BASE, BASE) == BASE
    assert within(SPACE, BASE, {"rate": 0.2}) == BASE | {"rate": 0.2}, "what was added later has its default"
    assert within(SPACE, BASE, {"booster": "tree", "drop": 0.1}) == BASE | {"booster": "tree", "drop": 0.1}
    for outside in (
        {"rate": 0.95},
        {"depth": 3},
        {"depth": 4.0},
        {"booster": 1},
        {"drop": 0.4},
        {"other": 8},
        {"shape": [2, 1]},
        {"gone": 1},
    ):
        assert within(SPACE, BASE, {**BASE, **outside}) is None, outside


def test_a_foreign_configuration_becomes_the_nearest_point() -> None:
    foreign = {"rate": 2.0, "steps": 0.7, "depth": 9, "booster": "forest", "drop": 0.2, "other": 8, "gone": 1}
    assert fitted(SPACE, BASE, foreign) == BASE | {"rate": 0.9, "steps": 0.5, "depth": 8}
    assert fitted(SPACE, BASE, {"booster": "tree", "drop": 7}) == BASE | {"booster": "tree", "drop": 0.5}
    assert fitted(SPACE, BASE, {"rate": "fast", "depth": True}) == BASE


Anything = st.one_of(
    st.none(), st.booleans(), st.integers(-20, 20), st.floats(-2, 2), st.sampled_from(["tree", "line"])
)


@given(st.dictionaries(st.sampled_from([*SPACE.names, "other", "gone"]), Anything))
def test_whatever_comes_becomes_a_point_of_the_space_and_a_point_stays_as_it_is(
    given_parameters: dict[str, Any],
) -> None:
    point = fitted(SPACE, BASE, given_parameters)
    assert within(SPACE, BASE, point) == point
    assert fitted(SPACE, BASE, point) == point


def test_similar_are_those_with_the_same_tags_and_those_that_rank_alike() -> None:
    def ranked(values: list[float]) -> list[Any]:
        return [evaluation(f"c{n}", [value, value]) for n, value in enumerate(values)]

    own = ranked([1.0, 2.0, 3.0, 4.0, 5.0])
    alike, unlike = ranked([100.0, 200.0, 300.0, 400.0, 500.0]), ranked([5.0, 4.0, 3.0, 2.0, 1.0])
    assert agreement(own, alike) == pytest.approx((5, 1.0)) and agreement(own, unlike) == pytest.approx((5, -1.0))
    assert agreement(own, ranked([1.0, 2.0])) == (0, 0.0), "two in common say nothing"
    assert agreement(own, ranked([1.0] * 5)) == (0, 0.0)
    tags, same, other = (
        {"hub": "JFK", "size": "large"},
        {"hub": "JFK", "size": "large"},
        {"hub": "LGA", "size": "large"},
    )
    assert similarity((tags, same), (), ()) == 1.0
    assert similarity((tags, other), (), ()) == pytest.approx(1 / 3)
    assert similarity(({}, {}), (), ()) == 0.0
    assert similarity((tags, same), own, unlike) < similarity((tags, other), own, alike), "what was measured tells more"


def test_the_first_of_each_comes_before_the_second_of_any_and_none_twice() -> None:
    offers = [("a", [{"x": 1}, {"x": 2}]), ("b", [{"x": 1}, {"x": 3}, {"x": 4}]), ("c", [])]
    assert in_turn(offers) == [({"x": 1}, "a"), ({"x": 2}, "a"), ({"x": 3}, "b"), ({"x": 4}, "b")]
    assert to_try(offers, [{"x": 1}], 4) == [({"x": 2}, "a"), ({"x": 3}, "b")], "half of the budget, nothing known"
    assert to_try(offers, [], 1) == [({"x": 1}, "a")]
    assert in_turn([]) == []
