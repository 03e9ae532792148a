import pickle
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from partitions.errors import DeclarationError, MlopsError, Problem
from partitions.plain import plain
from partitions.values import Value, canonical_json, digest_of


class Leaf(Value):
    type: Literal["leaf"] = "leaf"
    size: int = 1


class Branch(Value):
    type: Literal["branch"] = "branch"
    leaves: tuple[Leaf, ...] = ()


class Tree(Value):
    positional = ("name",)

    name: str
    parts: dict[str, Annotated[Leaf | Branch, Field(discriminator="type")]] = Field(default_factory=dict)
    height: int | float | None = None


def refused(**fields: object) -> list[str]:
    with pytest.raises(DeclarationError) as error:
        Tree(**fields)
    return str(error.value).splitlines()


def test_a_wrong_field_is_named_with_what_was_given_and_what_is_right() -> None:
    assert refused(name=3) == ["Tree: name: expected text, not 3"]
    assert refused() == ["Tree: name: is required"]


def test_every_problem_has_its_own_line_with_the_path_of_the_field() -> None:
    parts = {"a": {"type": "branch", "leaves": [{}, {"size": "big", "sice": 2}]}, "b": {"type": "root"}, "c": {}}
    assert refused(name="oak", parts=parts) == [
        "Tree 'oak': parts.a.leaves[1].size: expected a whole number, not 'big'",
        "Tree 'oak': parts.a.leaves[1].sice: unknown field 'sice'; nearest: size",
        "Tree 'oak': parts.b: unknown type 'root'; known: 'leaf', 'branch'",
        "Tree 'oak': parts.c: a mapping needs its 'type', given {}",
    ]


def test_a_value_that_several_types_refuse_is_one_problem() -> None:
    assert refused(name="oak", height="tall") == ["Tree 'oak': height: expected a whole number or a number, not 'tall'"]


def test_an_unknown_field_gets_the_nearest_offered() -> None:
    assert refused(name="oak", hight=1) == ["Tree 'oak': hight: unknown field 'hight'; nearest: height"]


def test_a_long_value_is_shown_in_one_short_line() -> None:
    (line,) = refused(name=["x\n" * 500])
    assert len(line) < 150


def test_fields_by_position_are_those_the_class_names() -> None:
    assert Tree("oak") == Tree(name="oak")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Tree takes name by position; name the others"):
        Tree("oak", {})  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="was given name twice"):
        Tree("oak", name="elm")  # type: ignore[misc]


def test_a_value_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Tree("oak").name = "elm"  # type: ignore[misc]


def test_only_the_first_problems_are_written_out() -> None:
    error = DeclarationError("project 'x'", [Problem(f"[{n}]", "is wrong") for n in range(10_000)])
    lines = str(error).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "project 'x': and 9980 more problems"
    assert len(error.problems) == 10_000


def test_a_declaration_error_survives_the_way_back_from_a_worker() -> None:
    error = DeclarationError("project 'x'", [Problem("name", "is wrong")])
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.problems) == (str(error), error.problems)
    assert isinstance(back, MlopsError)


def test_plain_data_is_copied_with_tuples_as_lists() -> None:
    assert plain({"a": (1, 2.5, None, True, "x")}) == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: 2}, b"x", "\ud800", {"a": [{1, 2}]}])
def test_what_json_cannot_hold_is_refused_with_its_path(value: object) -> None:
    with pytest.raises(DeclarationError, match="expected") as error:
        plain({"deep": [value]})
    assert error.value.problems[0].path.startswith("deep[0]")


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2.0]}) == digest_of({"b": [2.0], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 1.0})
    assert canonical_json({"ä": None}) == '{"ä":null}'
