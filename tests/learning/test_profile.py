"""Rows described column by column."""

from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.learning.profile import profile


def test_numbers_have_counts_and_quantiles_and_texts_their_most_frequent_values() -> None:
    numbers = [*range(1, 100), None]
    rows = pd.DataFrame(
        {
            "key": [f"r{i}" for i in range(100)],
            "number": pd.array(numbers, dtype="Int64"),
            "place": pd.Categorical(["LGA"] * 60 + ["JFK"] * 30 + [None] * 10, categories=["EWR", "JFK", "LGA"]),
            "flag": [True, False] * 50,
            "time": pd.date_range("2026-01-01", periods=100, freq="h", tz="UTC"),
        }
    )
    described: Any = profile(rows)
    assert list(described.index) == list(rows.columns)
    number = described.loc["number"]
    assert (number["rows"], number["missing"], number["missing_share"], number["unique"]) == (100, 1, 0.01, 99)
    assert (number["mean"], number["min"], number["median"], number["max"]) == (50.0, 1.0, 50.0, 99.0)
    assert number["q25"] == 25.5 and number["top"] == ""
    assert described.loc["place", "top"] == "LGA (60), JFK (30)" and described.loc["place", "unique"] == 2
    assert described.loc["flag", "mean"] == 0.5
    assert described.loc["key", "top"] == "", "a hundred values that occur once each tell nothing"
    assert described.loc["time", "last"] - described.loc["time", "first"] == pd.Timedelta(hours=99)


def test_nothing_is_told_of_the_values_of_private_columns() -> None:
    rows = pd.DataFrame({"income": [1.0, 2.0, 3.0], "name": ["Ada", "Ada", "Bob"], "x": [1.0, 2.0, 3.0]})
    described: Any = profile(rows, unlisted={"income", "name"})
    assert described.loc["income", "missing"] == 0 and described.loc["name", "unique"] == 2
    hidden = described.loc[["income", "name"]].drop(columns=["dtype", "rows", "missing", "missing_share", "unique"])
    assert hidden.replace("", None).isna().to_numpy().all()
    assert described.loc["x", "max"] == 3.0


def test_columns_of_nothing_of_infinities_and_of_lists_are_described() -> None:
    rows = pd.DataFrame({"none": [None, None], "big": [np.inf, 1.0], "list": [[1], [1]], "whole": [1, 1]})
    described: Any = profile(rows)
    assert described.loc["none", "missing"] == 2 and described.loc["none", "unique"] == 0
    assert described.loc["big", "max"] == np.inf
    assert described.loc["list", "top"] == "[1] (2)"
    assert profile(rows.head(0)).loc["whole", "missing_share"] == 0.0
