"""Parts of a difference: they add up, nothing has no part, and what does the same has the same part."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.tracking.shapley import Combination, combinations, merged, of_groups, shapley

CAUSES = ("code", "data", "configuration", "seed")
Values = dict[Combination, float]
numbers = st.floats(-1e6, 1e6)


@st.composite
def games(draw: st.DrawFn) -> tuple[tuple[str, ...], Values]:
    causes = CAUSES[: draw(st.integers(1, 4))]
    return causes, {some: draw(numbers) for some in combinations(causes)}


def alone(causes: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(cause,) for cause in causes]


@given(games())
def test_parts_add_up_to_the_whole_difference(game: tuple[tuple[str, ...], Values]) -> None:
    causes, values = game
    whole = values[frozenset(causes)] - values[frozenset()]
    assert math.isclose(math.fsum(shapley(alone(causes), values).values()), whole, rel_tol=1e-9, abs_tol=1e-6)


@given(games())
def test_a_cause_that_changes_nothing_has_no_part(game: tuple[tuple[str, ...], Values]) -> None:
    causes, values = game
    null = causes[0]
    same = {some: values[some - {null}] for some in values}
    assert shapley(alone(causes), same)[(null,)] == pytest.approx(0.0, abs=1e-6)


@given(games())
def test_causes_that_do_the_same_have_equal_parts(game: tuple[tuple[str, ...], Values]) -> None:
    causes, values = game
    one, other = causes[0], causes[-1]
    swap: Callable[[str], str] = lambda cause: {one: other, other: one}.get(cause, cause)  # noqa: E731
    even = {some: values[some] + values[frozenset(map(swap, some))] for some in values}
    found = shapley(alone(causes), even)
    assert found[(one,)] == pytest.approx(found[(other,)], rel=1e-9, abs=1e-6)


@given(st.integers(2, 4), st.data())
def test_no_impossible_combination_is_left_and_no_cause_is_lost(count: int, data: st.DataObject) -> None:
    causes = CAUSES[:count]
    inner = [some for some in combinations(causes) if 0 < len(some) < count]
    impossible = set(data.draw(st.lists(st.sampled_from(inner), max_size=len(inner))))
    groups = merged(causes, impossible)
    assert sorted(cause for group in groups for cause in group) == sorted(causes)
    assert not impossible & set(of_groups(groups))
    assert impossible or groups == alone(causes)


def test_the_pair_that_does_not_go_together_is_merged_and_no_other() -> None:
    # The second code cannot read the first data, whatever the others are.
    impossible = {some for some in combinations(CAUSES) if "code" in some and "data" not in some}
    assert merged(CAUSES, impossible) == [("code", "data"), ("configuration",), ("seed",)]
