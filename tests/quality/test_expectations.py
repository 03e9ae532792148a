"""Verdicts on data: each expectation passes, fails with what was found, or says why it could not look."""

import gc
import json
import logging
import pickle
import subprocess
import sys
import warnings
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import Any

import great_expectations.expectations as gxe
import pandas as pd
import pytest
from great_expectations.expectations.metadata_types import FailureSeverity

from mlops_assets.quality.expectations import DataVerdict, ExpectationResult, validate

REPOSITORY = Path(__file__).resolve().parents[2]
BETWEEN = "expect_column_values_to_be_between"


def flights() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "flight_id": [f"F{number}" for number in range(6)],
            "distance": [100.0, 200.0, 300.0, None, 9000.0, 9500.0],
            "origin": ["JFK", "EWR", "JFK", "LGA", "XXX", "YYY"],
            "tailnum": ["a1" * 16, "b2" * 16, "a1" * 16, "c3" * 16, "d4" * 16, "e5" * 16],
            "time_hour": pd.date_range("2013-01-01", periods=6, freq="h", tz="UTC"),
        }
    )


def only(expectation: Any, private: tuple[str, ...] = ()) -> ExpectationResult:
    (result,) = validate(flights(), [expectation], "flights/AA", private).results
    return result


def in_words(verdict: DataVerdict) -> str:
    return verdict.table() + json.dumps(asdict(verdict))


def test_an_expectation_that_holds_passes() -> None:
    result = only({"type": BETWEEN, "kwargs": {"column": "distance", "min_value": 0, "max_value": 10_000}})
    assert result.passed and result.looked and result.outcome == "passed"
    assert result.name == f"{BETWEEN}(distance)"
    assert result.column == "distance"
    assert result.severity == "error"
    assert (result.unexpected_count, result.unexpected_percent) == (0, 0.0)
    assert result.detail == "0 of 6 unexpected"


def test_one_that_does_not_hold_says_how_many_and_shows_examples() -> None:
    result = only({"type": BETWEEN, "kwargs": {"column": "distance", "max_value": 5000}})
    assert not result.passed and result.looked and result.outcome == "failed"
    assert result.unexpected_count == 2
    assert result.unexpected_percent == 40.0  # of the five that are not missing
    assert result.unexpected_examples == (9000.0, 9500.0)
    assert result.detail == "2 of 6 unexpected (40 %); such as 9000, 9500; wanted max_value=5000"


def test_an_expectation_of_a_whole_column_or_table_reports_what_it_observed() -> None:
    mean = only({"type": "expect_column_mean_to_be_between", "kwargs": {"column": "distance", "max_value": 10}})
    assert mean.observed == pytest.approx(3820.0)
    assert mean.unexpected_count is None
    rows = only({"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 100}})
    assert (rows.column, rows.observed) == (None, 6)
    assert rows.detail == "observed 6; wanted min_value=100"


def test_examples_are_at_most_five() -> None:
    result = only({"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "flight_id", "value_set": ["Z"]}})
    assert result.unexpected_count == 6
    assert result.unexpected_examples == ("F0", "F1", "F2", "F3", "F4")


def test_results_keep_the_declared_order_whatever_the_engine_does() -> None:
    declared = [
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "origin", "min_value": 0}},
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 6}},
        {"type": BETWEEN, "kwargs": {"column": "absent", "max_value": 1}},
        {"type": BETWEEN, "kwargs": {"column": "distance", "max_value": 1}},
        {"type": BETWEEN, "kwargs": {"column": "distance", "min_value": 1}},
        gxe.ExpectColumnValuesToBeUnique(column="flight_id"),
    ]
    verdict = validate(flights(), declared, "flights/AA")
    assert [result.name for result in verdict.results] == [
        "expect_column_mean_to_be_between(origin)",
        "expect_table_row_count_to_equal",
        f"{BETWEEN}(absent)",
        f"{BETWEEN}(distance)",
        f"{BETWEEN}(distance) #2",
        "expect_column_values_to_be_unique(flight_id)",
    ]
    outcomes = [result.outcome for result in verdict.results]
    assert outcomes == ["could not look", "passed", "could not look", "failed", "passed", "passed"]


def test_only_an_error_stops_training_a_warning_does_not() -> None:
    wrong = {"type": BETWEEN, "kwargs": {"column": "distance", "max_value": 1}}
    warned = validate(flights(), [{**wrong, "severity": "warning"}], "flights/AA")
    assert warned.passed
    assert [result.severity for result in warned.warned] == ["warning"]
    assert warned.failed == ()
    stopped = validate(flights(), [{**wrong, "severity": "error"}], "flights/AA")
    assert not stopped.passed
    assert [result.severity for result in stopped.failed] == ["error"]
    assert stopped.warned == ()


@pytest.mark.parametrize(("theirs", "ours"), [("critical", "error"), ("warning", "warning"), ("info", "warning")])
def test_severities_of_great_expectations_are_understood_in_both_forms(theirs: str, ours: str) -> None:
    as_object = gxe.ExpectColumnToExist(column="distance", severity=FailureSeverity(theirs))
    as_mapping = {"type": "expect_column_to_exist", "kwargs": {"column": "distance"}, "severity": theirs}
    assert only(as_object).severity == only(as_mapping).severity == ours


class ExpectKnownOrigin(gxe.ExpectColumnValuesToBeInSet):
    """A pipeline's own expectation, as Great Expectations lets people write them."""

    column: str = "origin"
    value_set: list[str] = ["JFK", "EWR", "LGA"]


def test_an_expectation_class_of_a_project_works_like_any_other() -> None:
    result = only(ExpectKnownOrigin())
    assert result.name == "expect_known_origin(origin)"
    assert result.unexpected_examples == ("XXX", "YYY")
    assert only(ExpectKnownOrigin(), private=("origin",)).unexpected_examples == ()


def test_a_missing_column_could_not_be_looked_at_and_offers_the_nearest() -> None:
    result = only({"type": BETWEEN, "kwargs": {"column": "distanse", "max_value": 1}})
    assert not result.passed and not result.looked
    assert result.detail == "could not look: unknown column 'distanse'; nearest: distance"


def test_a_missing_column_is_a_plain_failure_where_its_existence_is_what_is_expected() -> None:
    result = only({"type": "expect_column_to_exist", "kwargs": {"column": "absent"}})
    assert result.outcome == "failed"


def test_values_that_cannot_be_judged_say_why_on_one_line() -> None:
    result = only({"type": "expect_column_mean_to_be_between", "kwargs": {"column": "origin", "min_value": 0}})
    assert result.outcome == "could not look"
    assert result.detail.startswith("could not look: ") and "\n" not in result.detail
    assert len(result.detail) > len("could not look: ")


def test_private_values_are_never_shown_only_counted() -> None:
    declared = [
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "tailnum", "value_set": ["planted"]}},
        {"type": "expect_column_distinct_values_to_be_in_set", "kwargs": {"column": "tailnum", "value_set": ["q"]}},
        {"type": "expect_column_distinct_values_to_equal_set", "kwargs": {"column": "tailnum", "value_set": ["q"]}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "tailnum", "min_value": 0}},
        {"type": "expect_column_most_common_value_to_be_in_set", "kwargs": {"column": "tailnum", "value_set": ["q"]}},
        {"type": "expect_column_pair_values_to_be_equal", "kwargs": {"column_A": "origin", "column_B": "tailnum"}},
        {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["tailnum", "tailnum"]}},
    ]
    verdict = validate(flights(), declared, "flights/AA", private=["tailnum"])
    words = in_words(verdict)
    assert not [value for value in flights()["tailnum"] if value in words]
    assert "planted" not in words
    assert verdict.results[0].unexpected_count == 6
    assert verdict.results[0].detail == "6 of 6 unexpected (100 %); values are private"
    assert all(result.unexpected_examples == () and result.observed is None for result in verdict.results)
    shown = in_words(validate(flights(), declared, "flights/AA"))
    assert flights()["tailnum"][0] in shown  # so the test above looks for the right thing


def test_a_dropped_private_column_is_named_as_such() -> None:
    frame = flights().drop(columns="tailnum")
    expectation = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "tailnum"}}
    (result,) = validate(frame, [expectation], "flights/AA", private=["tailnum"]).results
    assert result.detail == "could not look: the private column 'tailnum' is dropped before the dataset is written"


def test_no_expectations_pass() -> None:
    verdict = validate(flights(), [], "flights/AA")
    assert verdict.passed and verdict.results == ()


def test_the_verdict_travels_between_processes_as_plain_values() -> None:
    declared = [
        {"type": BETWEEN, "kwargs": {"column": "distance", "max_value": 1}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "distance", "max_value": 1}},
        {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": ["distance"]}},
        {"type": "expect_column_values_to_be_null", "kwargs": {"column": "time_hour"}},
    ]
    verdict = validate(flights(), declared, "flights/AA")
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    assert "great_expectations" not in pickle.dumps(verdict).decode("latin-1")
    json.dumps(asdict(verdict), allow_nan=False)


def test_the_table_has_a_row_per_expectation_and_survives_awkward_values() -> None:
    frame = pd.DataFrame({"text": ["a|b", "line\nbreak"]})
    expectation = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "text", "value_set": ["x"]}}
    lines = validate(frame, [expectation], "p/s").table().splitlines()
    assert len(lines) == 3
    assert "a\\|b" in lines[2] and "line break" in lines[2]


def test_the_frame_is_neither_changed_nor_kept() -> None:
    frame = flights()
    declared = [
        {"type": BETWEEN, "kwargs": {"column": "distance", "max_value": 1}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "time_hour"}},
    ]
    validate(frame, declared, "flights/AA")
    pd.testing.assert_frame_equal(frame, flights())
    gone = weakref.ref(frame)
    del frame
    gc.collect()
    assert gone() is None


def test_awkward_data_is_judged_too() -> None:
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(["a", "b", None]),
            "count": pd.array([1, None, 3], dtype="Int64"),
            "infinite": [float("inf"), 1.0, float("nan")],
            "constant": [True, True, True],
        },
        index=[7, 7, 9],
    )
    declared = [
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "kind", "value_set": ["a"]}},
        {"type": BETWEEN, "kwargs": {"column": "count", "max_value": 2}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "infinite", "max_value": 2}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "constant", "value_set": [True]}},
    ]
    verdict = validate(frame, declared, "p/s")
    assert [result.outcome for result in verdict.results] == ["failed", "failed", "failed", "passed"]
    assert [result.unexpected_count for result in verdict.results[:2]] == [1, 1]
    assert verdict.results[2].observed == "inf"


SILENT = """
import logging, sys, warnings
import pandas as pd
from mlops_assets.quality.expectations import validate

shown = warnings.showwarning
failing = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "a", "min_value": 5}}
for column in ([1, 2], ["x", "y"]):
    validate(pd.DataFrame({"a": column}), [failing], "p/s")
assert warnings.showwarning is shown, "warnings are not shown as before"
print("judged")
"""


def test_judging_writes_no_files_draws_no_bars_and_leaves_warnings_alone(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    environment = {"HOME": str(home), "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""}
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", SILENT], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "judged\n", "")
    assert list(home.rglob("*")) + list(folder.rglob("*")) == []


def test_judging_works_where_warnings_are_errors_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        only({"type": "expect_column_mean_to_be_between", "kwargs": {"column": "origin", "min_value": 0}})
    assert caplog.messages == []
