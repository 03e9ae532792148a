"""How much of a search space was sampled: counts that add up, whatever the dimension."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.tracking.space import Sampled, SampledSpace, Searched, said, sampled_space
from partitions.search_space import Categorical, Fixed, Float, Int, SearchSpace
from tests.learning.test_choice import evaluation

SPACE = SearchSpace(
    rate=Float(0.01, 1.0, log=True),
    share=Float(0.0, 0.9, step=0.3),
    depth=Int(1, 4),
    leaf=Int(1, 200),
    loss=Categorical(["squared", True, 2, None]),
    shape=Fixed([1, 2]),
    drop=Float(0.0, 1.0, when={"depth": [1, 2]}),
)
DEFAULTS = {"rate": 0.1, "share": 0.3, "depth": 2, "leaf": 5, "loss": "squared", "shape": [1, 2], "drop": 0.5}


def space_of(*judged: tuple[dict[str, Any], float, str]) -> SampledSpace:
    made = []
    for n, (params, value, code) in enumerate(judged):
        fields: dict[str, Any] = {"code_version": code, "run_ids": (f"{n:04}-0", f"{n:04}-1")}
        made.append(evaluation(str(n), [value, value + 1], parameters={**DEFAULTS, **params}, **fields))
    return sampled_space(Searched("p", "AA", SPACE, DEFAULTS, "rmse", "minimize"), made)


def line(found: SampledSpace, name: str) -> Sampled:
    return next(one for one in found.parameters if one.parameter == name)


def test_each_parameter_says_how_much_of_its_range_was_sampled() -> None:
    found = space_of(
        ({"rate": 0.01, "share": 0.9, "leaf": 1}, 5.0, "old"),
        ({"rate": 1.0, "share": 0.3 + 0.3 + 0.3, "leaf": 200, "loss": 2}, 1.0, "old"),
        ({"rate": 7.0, "depth": 4, "loss": True}, 3.0, "new"),
        ({"rate": 0.011, "depth": 1, "loss": None}, 4.0, "new"),
    )
    rate = line(found, "rate")
    assert (rate.parts, rate.covered, rate.outside, rate.code_versions) == ((2, 0, 0, 0, 0, 0, 0, 0, 0, 1), 0.2, 1, 2)
    assert (rate.configurations, rate.values, rate.best) == (3, 3, 7.0), "the best of the newest code version"
    assert line(found, "share").parts == (0, 2, 0, 2)
    assert line(found, "depth").parts == (1, 2, 0, 1)
    assert line(found, "loss").parts == (1, 1, 1, 1), "true is no number"
    assert line(found, "shape").covered == 1.0
    assert (found.configurations, found.runs, found.code_versions) == (4, 8, ("old", "new"))
    assert found.best is not None and found.best.mean == 3.5


def test_a_space_that_was_never_sampled_says_so() -> None:
    found = space_of()
    assert found.best is None and found.configurations == 0 and line(found, "rate").covered == 0.0
    assert found.row()["best"] is None and len(found.table) == len(SPACE.dimensions)


def test_dimensions_in_words() -> None:
    assert [said(dimension) for dimension in SPACE.dimensions.values()] == [
        "0.01 to 1, log",
        "0 to 0.9 by 0.3",
        "1 to 4",
        "1 to 200",
        "squared, true, 2, null",
        "[1,2]",
        "0 to 1, when depth is 1 or 2",
    ]


Values = st.fixed_dictionaries(
    {},
    optional={
        "rate": st.floats(0.001, 2.0),
        "leaf": st.integers(-5, 300),
        "loss": st.sampled_from(["squared", True, 1, None, "other", 0]),
    },
)


@given(st.lists(Values))
def test_every_configuration_is_in_one_part_or_outside(judged: list[dict[str, Any]]) -> None:
    found = space_of(*((params, 1.0, "c") for params in judged))
    for one in found.parameters:
        assert sum(one.parts) == one.configurations
        assert one.configurations + one.outside == found.configurations
