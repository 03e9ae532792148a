"""Rows and what is stored of a run, put together again as ``evaluate`` was given them."""

import pandas as pd
import pytest

from mlops_assets.learning.results import rows_with_results

DATA = pd.DataFrame({"id": [3, 1, 2], "kind": pd.Categorical(["a", None, "b"]), "y": [0.3, 0.1, 0.2]}, index=[7, 7, 9])
RESULTS = pd.DataFrame(
    {
        "key": [1, 2, 3],
        "split": ["test", "train", "test"],
        "fold": pd.Series([None] * 3, dtype="Int64"),
        "truth": [0.1, 0.2, 0.3],
        "prediction": [1.0, 2.0, 3.0],
    }
)


def test_the_rows_of_a_split_come_in_the_order_of_the_results_with_all_their_columns() -> None:
    found = rows_with_results(DATA, "id", RESULTS, "test")
    expected = DATA.iloc[[1, 0]].reset_index(drop=True).assign(truth=[0.1, 0.3], prediction=[1.0, 3.0])
    pd.testing.assert_frame_equal(found, expected)
    assert rows_with_results(DATA, "id", RESULTS, "other").empty


def test_a_column_of_the_data_with_the_name_of_a_result_is_the_result() -> None:
    found = rows_with_results(DATA.assign(prediction=-1.0), "id", RESULTS, "test")
    assert list(found.columns) == ["id", "kind", "y", "prediction", "truth"]
    assert found["prediction"].tolist() == [1.0, 3.0]


def test_results_of_a_row_that_is_not_there_are_refused() -> None:
    with pytest.raises(KeyError, match="3"):
        rows_with_results(DATA.iloc[1:], "id", RESULTS, "test")
