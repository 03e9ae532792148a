from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partitions.errors import DeclarationError
from partitions.search_space import Categorical, Dimension, Fixed, Float, Int, SearchSpace


def refused(make: Any) -> str:
    with pytest.raises(DeclarationError) as error:
        make()
    return str(error.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Float(0.3, 0.1), "bounds reversed: low 0.3 is above high 0.1"),
        (lambda: Int(3, 3), "use Fixed(3)"),
        (lambda: Float(0, 1, log=True), "must begin above 0"),
        (lambda: Int(-1, 5, log=True), "must begin above 0"),
        (lambda: Int(1, 5, log=True, step=2), "log and step do not go together"),
        (lambda: Int(1, 5, step=5), "step 5 is larger than the range"),
        (lambda: Int(1, 5, step=0), "step: expected greater than 0"),
        (lambda: Float(0, float("inf")), "high: expected a finite number"),
        (lambda: Int(1.5, 2), "low: expected a whole number, not 1.5"),  # type: ignore[arg-type]
        (lambda: Float(1), "high: is required"),  # type: ignore[call-arg]
        (lambda: Categorical([]), "there are no choices"),
        (lambda: Categorical(["a", "b", "a"]), "'a' is there twice"),
        (lambda: Categorical([[1], [2]]), "choices[0]: expected null, true or false, a number or text"),  # type: ignore[list-item]
        (lambda: Categorical([1, float("nan")]), "choices[1]: expected a finite number"),
        (lambda: Fixed(object()), "expected null, true or false"),
        (lambda: Int(1, 5, when={}), "when: names no other parameter"),
        (lambda: Int(1, 5, when={"a": []}), "when: lists no value of a"),
    ],
)
def test_a_dimension_that_makes_no_sense_is_refused(make: Any, says: str) -> None:
    assert says in refused(make)


def test_a_condition_must_name_a_dimension_and_a_value_it_can_take() -> None:
    says = refused(lambda: SearchSpace(a=Int(1, 3, when={"bb": 1}), b=Int(1, 2), c=Int(1, 3, when={"b": [2, 7]})))
    assert says.splitlines() == [
        "SearchSpace: dimensions.a.when: unknown parameter of the space 'bb'; nearest: b",
        "SearchSpace: dimensions.c.when: 7 is not a value that 'b' can take",
    ]


def test_conditions_may_not_form_a_cycle() -> None:
    both = {"a": Int(1, 3, when={"b": 1}), "b": Int(1, 3, when={"a": 1})}
    assert "the conditions of a, b form a cycle" in refused(lambda: SearchSpace(**both))
    assert "form a cycle" in refused(lambda: SearchSpace(a=Int(1, 3, when={"a": 1})))


def test_a_parameter_comes_after_those_its_condition_names() -> None:
    space = SearchSpace(
        rate=Float(0, 1, when={"drop": True}), drop=Categorical([True, False], when={"kind": "dart"}),
        kind=Categorical(["tree", "dart"]), depth=Int(1, 3),
    )  # fmt: skip
    assert space.in_order() == ("kind", "depth", "drop", "rate")
    assert space.names == ("rate", "drop", "kind", "depth")


def test_one_value_in_a_condition_is_a_list_of_one() -> None:
    assert Int(1, 2, when={"a": "x"}) == Int(1, 2, when={"a": ["x"]})


def test_a_dimension_knows_its_values() -> None:
    assert Int(1, 7, step=3).values() == (1, 4, 7)
    assert Float(0, 1, step=0.25).values() == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert Float(0, 1).values() is None
    assert Float(0, 1, step=0.1).contains(0.3)
    assert not Float(0, 1, step=0.25).contains(0.3)
    assert not Int(0, 1).contains(True)
    assert not Categorical([True, "x"]).contains(1)
    assert Fixed(3).contains(3)


def test_a_part_of_the_space_keeps_only_the_named_parameters() -> None:
    space = SearchSpace(a=Int(1, 3), b=Int(1, 3, when={"a": 1}), c=Float(0, 1))
    assert space.part(["c", "a"]).names == ("c", "a")
    assert "unknown parameter of the space 'd'" in refused(lambda: space.part(["d"]))
    assert "b.when: unknown parameter of the space 'a'" in refused(lambda: space.part(["b"]))


def test_changing_a_space_replaces_adds_and_takes_out() -> None:
    space = SearchSpace(a=Int(1, 3), b=Int(1, 3))
    changed = space.changed({"a": Int(1, 9), "b": None, "c": Float(0, 1)})
    assert changed == SearchSpace(a=Int(1, 9), c=Float(0, 1))
    assert space.names == ("a", "b")
    assert "unknown parameter of the space 'x'" in refused(lambda: space.changed({"x": None}))


def test_a_parameter_may_be_called_dimensions() -> None:
    for space in (SearchSpace(dimensions=Int(1, 3)), SearchSpace(dimensions=Int(1, 3), type=Int(1, 2))):
        assert SearchSpace.model_validate_json(space.model_dump_json()) == space
        assert "dimensions" in space.names


# A busy machine is no failure.
UNHURRIED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.floats(-1e12, 1e12)


@st.composite
def dimensions(draw: st.DrawFn) -> Dimension:
    kind = draw(st.sampled_from(["float", "int", "categorical", "fixed"]))
    if kind == "fixed":
        return Fixed(
            draw(st.recursive(SCALARS | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
        )
    if kind == "categorical":
        return Categorical(draw(st.lists(SCALARS | st.text(), min_size=1, max_size=5, unique=True)))
    log = draw(st.booleans())
    if kind == "int":
        low, high = sorted(draw(st.lists(st.integers(1 if log else -1000, 1000), min_size=2, max_size=2, unique=True)))
        return Int(low, high, log=log, step=None if log else draw(st.none() | st.integers(1, high - low)))
    low_, high_ = sorted(draw(st.lists(st.floats(1e-9, 1e9) if log else NUMBERS, min_size=2, max_size=2, unique=True)))
    return Float(low_, high_, log=log)


NAMES = st.text(min_size=1, max_size=12)


@UNHURRIED
@given(st.dictionaries(NAMES, dimensions(), max_size=5))
def test_a_search_space_comes_back_from_json_unchanged(declared: dict[str, Dimension]) -> None:
    space = SearchSpace(**declared)
    back = SearchSpace.model_validate_json(space.model_dump_json())
    assert back == space
    assert back.model_dump_json() == space.model_dump_json()
    assert back.names == tuple(declared)
    assert {name: type(dimension) for name, dimension in back.dimensions.items()} == {
        name: type(dimension) for name, dimension in declared.items()
    }
    assert SearchSpace.model_validate(space.model_dump()) == space


@UNHURRIED
@given(dimensions())
def test_every_value_of_a_dimension_is_contained_in_it(dimension: Dimension) -> None:
    if isinstance(dimension, Int) and dimension.high - dimension.low > 2000:
        return
    assert all(dimension.contains(value) for value in dimension.values() or ())
