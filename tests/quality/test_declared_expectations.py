"""A wrong declaration is an error of the pipeline: one line that names its place and what would be right."""

from typing import Any

import pandas as pd
import pytest

from mlops_assets.quality.expectations import validate
from partitions.errors import PipelineError

BETWEEN = "expect_column_values_to_be_between"
GOOD = {"type": "expect_column_to_exist", "kwargs": {"column": "a"}}


def refused(expectations: Any) -> str:
    with pytest.raises(PipelineError) as caught:
        validate(pd.DataFrame({"a": [1]}), expectations, "flights/AA")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_expectation_offers_the_nearest() -> None:
    text = refused([GOOD, {"type": "expect_column_values_to_be_betwen", "kwargs": {"column": "a"}}])
    assert text.startswith("flights/AA: expectations[1]: unknown expectation 'expect_column_values_to_be_betwen'")
    assert f"nearest: {BETWEEN}" in text


def test_a_class_name_given_as_type_leads_to_the_right_word() -> None:
    assert f"nearest: {BETWEEN}" in refused([{"type": "ExpectColumnValuesToBeBetween", "kwargs": {"column": "a"}}])


def test_wrong_arguments_are_named_once_each() -> None:
    missing = refused([{"type": BETWEEN, "kwargs": {"colum": "a", "min_value": 1}}])
    expected = f"flights/AA: expectations[0] ({BETWEEN}): column: field required; colum: extra fields not permitted"
    assert missing == expected
    wrong = refused([{"type": BETWEEN, "kwargs": {"column": "a", "min_value": "x"}}])
    assert "min_value: value is not a valid float" in wrong
    assert wrong.count("min_value") == 1
    assert "cannot both be None" in refused([{"type": BETWEEN, "kwargs": {"column": "a"}}])


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({**GOOD, "severity": "fatal"}, "severity 'fatal'; known: error, warning"),
        ({**GOOD, "level": "error"}, "unknown entry 'level'; known: type, kwargs, severity"),
        ({"type": "expect_column_to_exist", "kwargs": ["a"]}, "kwargs must be a mapping, not list"),
        ({"kwargs": {"column": "a"}}, "unknown expectation 'None'"),
        ({"type": ["x"], "kwargs": {}}, "unknown expectation"),
        ({**GOOD, "severity": ["error"]}, "severity ['error']; known: error, warning"),
        ("expect_column_to_exist", "a str, where a Great Expectations object or"),
        (None, "a NoneType, where"),
    ],
)
def test_a_declaration_of_another_form_is_refused(declared: Any, reason: str) -> None:
    text = refused([declared])
    assert text.startswith("flights/AA: expectations[0]")
    assert reason in text


@pytest.mark.parametrize("expectations", [None, GOOD, "expect_column_to_exist"])
def test_anything_but_a_list_is_refused(expectations: Any) -> None:
    assert "expectations must return a list, not" in refused(expectations)
