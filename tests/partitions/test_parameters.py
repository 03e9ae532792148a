from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel

from partitions.errors import DeclarationError
from partitions.parameters import (
    bind_config,
    bind_params,
    config_type,
    merge,
    params_type,
    parse_assignments,
    plain_params,
)
from partitions.pipeline import Config, Parameters, Pipeline
from tests.partitions.delays_declared import Carrier, Delays, Params

T = TypeVar("T")


class Unfitted:
    def ingest(self, config: Any, window: Any) -> Any:
        raise NotImplementedError

    def build(self, params: Any, seed: int) -> Any:
        raise NotImplementedError


class Heir(Delays):
    pass


class Half(Unfitted, Pipeline[T, Params], Generic[T]):
    pass


class Whole(Half[Carrier]):
    pass


class Untyped(Unfitted, Pipeline):  # type: ignore[type-arg]
    pass


class Wrong(Unfitted, Pipeline[dict[str, Any], Params]):
    pass


class Loose(BaseModel):
    """A model that is not ours: it would ignore unknown names."""

    depth: int = 3
    rates: tuple[float, ...] = ()
    inner: "Inner | None" = None


class Inner(BaseModel):
    on: bool = False


@pytest.mark.parametrize("pipeline", [Delays(), Heir(), Whole()])
def test_the_types_are_found_through_subclasses(pipeline: Any) -> None:
    assert (config_type(pipeline), params_type(pipeline)) == (Carrier, Params)


def test_types_that_are_not_given_are_the_base_classes() -> None:
    assert (config_type(Untyped()), params_type(Untyped())) == (Config, Parameters)
    assert config_type(Half()) is Config


def test_a_type_that_is_no_model_is_refused() -> None:
    with pytest.raises(DeclarationError, match="Wrong: the type of configuration is dict"):
        config_type(Wrong())


def refused(model: type[BaseModel], values: dict[str, Any]) -> list[str]:
    with pytest.raises(DeclarationError) as error:
        bind_params(model, values, "delays/AA: parameters")
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"max_dept": 3}, "max_dept: unknown parameter 'max_dept'; nearest: max_depth"),
        ({"split": {"tst_size": 0.3}}, "split.tst_size: unknown parameter 'tst_size'; nearest: test_size"),
        ({"max_depth": "4"}, "max_depth: expected a whole number, not '4'"),
        ({"max_depth": 2.5}, "max_depth: expected a whole number, not 2.5"),
        ({"max_depth": True}, "max_depth: expected a whole number, not True"),
        ({"learning_rate": "0.1"}, "learning_rate: expected a number, not '0.1'"),
        ({"scaled": 1}, "scaled: expected true or false, not 1"),
        ({"loss": 3}, "loss: expected text, not 3"),
        ({"split": {"test_size": 1.5}}, "split.test_size: expected less than 1, not 1.5"),
        ({"split": 3}, "split: expected a mapping, not 3"),
    ],
)
def test_a_value_outside_its_type_is_one_line_with_the_path(values: dict[str, Any], says: str) -> None:
    (line,) = refused(Params, values)
    assert line.startswith("delays/AA: parameters: ")
    assert says in line


def test_several_wrong_values_are_several_lines() -> None:
    assert len(refused(Params, {"max_depth": "x", "loss": 1})) == 2


def test_a_model_of_pydantic_is_bound_as_strictly() -> None:
    assert "unknown parameter 'dpth'; nearest: depth" in refused(Loose, {"dpth": 1})[0]
    assert "inner.onn: unknown parameter" in refused(Loose, {"inner": {"onn": True}})[0]
    assert "rates[1]: expected a number, not '2'" in refused(Loose, {"rates": [1, "2"]})[0]
    assert bind_params(Loose, {"rates": [1, 2.5], "inner": {"on": True}}, "") == Loose(
        rates=(1, 2.5), inner=Inner(on=True)
    )


def test_what_is_not_given_keeps_its_default() -> None:
    bound = bind_params(Params, {"max_depth": 7, "split": {"test_size": 0.5}}, "")
    assert bound == Params(max_depth=7, split={"test_size": 0.5})


def test_a_default_is_read_like_a_given_value_so_that_both_have_one_digest() -> None:
    class Whole(Parameters):
        rate: float = 2

    assert plain_params(Whole(), "") == plain_params(bind_params(Whole, {"rate": 2.0}, ""), "")
    assert type(plain_params(Whole(), "")["rate"]) is float


def test_a_parameter_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(DeclarationError, match="AA: learning_rate: expected a finite number, not inf"):
        plain_params(bind_params(Params, {"learning_rate": float("inf")}, ""), "AA")


def test_a_required_configuration_field_is_asked_for() -> None:
    with pytest.raises(DeclarationError, match=r"AA: config: carrier: is required"):
        bind_config(Carrier, {}, "AA: config")
    with pytest.raises(DeclarationError, match="unknown configuration field 'carier'; nearest: carrier"):
        bind_config(Carrier, {"carier": "AA"}, "AA: config")


def test_assignments_are_read_as_yaml_with_dots_for_what_is_nested() -> None:
    given = [
        "max_depth=4",
        "split.test_size=0.3",
        "split.method=time",
        "rate=1e-3",
        "name=a=b",
        "q='4'",
        "l=[1, 2]",
        "n=",
    ]
    assert parse_assignments(given) == {
        "max_depth": 4,
        "split": {"test_size": 0.3, "method": "time"},
        "rate": 0.001,
        "name": "a=b",
        "q": "4",
        "l": [1, 2],
        "n": None,
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["max_depth"], "expected name=value, not 'max_depth'"),
        (["=4"], "expected name=value"),
        (["a..b=4"], "expected name=value"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a=1", "a.b=2"], "'a.b' is given below a value"),
        (["a.b=2", "a=1"], "'a' is given twice"),
        (["a=[1"], "not valid YAML"),
        (["a=.inf"], "expected a finite number"),
    ],
)
def test_an_assignment_that_cannot_be_read_is_refused(given: list[str], says: str) -> None:
    with pytest.raises(DeclarationError) as error:
        parse_assignments(given)
    assert says in str(error.value)


def test_merging_goes_into_mappings_and_changes_neither_side() -> None:
    base, over = {"a": 1, "s": {"x": 1, "y": 2}}, {"s": {"y": 3}, "b": [1]}
    assert merge(base, over) == {"a": 1, "s": {"x": 1, "y": 3}, "b": [1]}
    assert base == {"a": 1, "s": {"x": 1, "y": 2}}
