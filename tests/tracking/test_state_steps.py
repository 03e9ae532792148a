"""The first step at which two runs part."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.tracking.state_steps import column_differs, first_difference


def categories(*values: str | None) -> "pd.Series[Any]":
    return pd.Series(values, index=list("abc"), dtype="str").astype("category")


def frames() -> dict[str, pd.DataFrame]:
    rows = pd.DataFrame({"x": [1.0, np.nan, 3.0], "c": categories("u", None, "v")}, index=list("abc"))
    return {"features": rows, "scaled": rows[["x"]] * 2, "model": pd.DataFrame({"prediction": [1.0, 2.0, 3.0]})}


def test_equal_frames_do_not_part_whatever_type_holds_the_values() -> None:
    other = frames()
    other["features"] = other["features"].assign(
        c=categories("u", None, "v").astype(object), x=other["features"]["x"].astype("float32")
    )
    other["scaled"] = other["scaled"].astype(pd.SparseDtype("float64", np.nan))
    assert first_difference(frames(), other) is None


def test_the_first_step_that_differs_is_told_with_rows_columns_and_by_how_much() -> None:
    other = frames()
    other["features"] = other["features"].assign(c=categories("u", "v", "u"))
    other["model"] = other["model"] + 100.0
    found = first_difference(frames(), other)
    assert found is not None and (found.step, found.position, found.other_step) == ("features", 1, "features")
    assert list(found.columns) == ["c"] and found.columns["c"].largest is None and found.columns["c"].rows == 2
    assert (found.rows, found.compared) == (2, 3)
    assert found.examples is not None and sorted(found.examples.index) == ["b", "c"]
    assert list(found.examples.columns) == ["c (a)", "c (b)"]
    assert "2 of 3 rows differ, in c" in repr(found) and "features" in found._repr_html_()


def test_numbers_may_differ_by_a_tolerance_and_a_missing_one_always_differs() -> None:
    other = frames()
    other["scaled"] = other["scaled"] + 0.25
    within = first_difference(frames(), other, tolerance=0.3)
    assert within is None
    found = first_difference(frames(), other)
    assert found is not None and found.columns["x"].largest == 0.25 and found.rows == 2
    other["scaled"] = pd.DataFrame({"x": [2.0, 7.0, 6.0]}, index=list("abc"))
    found = first_difference(frames(), other, tolerance=1e9)
    assert found is not None and found.rows == 1 and found.examples is not None
    assert found.examples.index.tolist() == ["b"]


def test_columns_that_only_one_has_are_a_difference() -> None:
    other = frames()
    other["scaled"] = other["scaled"].assign(z=1.0, w=2.0)
    found = first_difference(frames(), other)
    assert found is not None and found.step == "scaled" and found.only_b == ("z", "w") and found.only_a == ()
    assert "only the second has columns z, w" in found.reason and found.rows == 0


def test_rows_are_matched_by_index_and_those_of_one_side_are_counted() -> None:
    one = {"model": pd.DataFrame({"prediction": [1.0, 2.0, 3.0]}, index=list("abc"))}
    other = {"model": pd.DataFrame({"prediction": [3.0, 2.5, 9.0]}, index=list("cbd"))}
    found = first_difference(one, other)
    assert found is not None and (found.rows, found.compared) == (1, 2)
    assert (found.rows_only_a, found.rows_only_b) == (1, 1)
    assert found.examples is not None and found.examples.index.tolist() == ["b"]


@pytest.mark.parametrize(
    ("names", "step", "other"), [(["features", "extra"], "scaled", "extra"), (["features"], "scaled", None)]
)
def test_another_step_or_none_is_where_they_part(names: list[str], step: str, other: str | None) -> None:
    mine = frames()
    theirs = {name: mine.get(name, mine["scaled"]) for name in names}
    found = first_difference(mine, theirs)
    assert found is not None and (found.step, found.position, found.other_step) == (step, 2, other)
    assert ("extra" in found.reason) if other else ("only one" in found.reason)


def test_infinities_times_and_arrays_are_compared_as_values() -> None:
    infinite = pd.Series([np.inf, -np.inf, np.inf])
    differs, distance = column_differs(infinite, pd.Series([np.inf, np.inf, 1.0]))
    assert differs.tolist() == [False, True, True] and distance is not None and distance[0] == 0.0
    times = pd.Series(pd.date_range("2026-01-01", periods=2))
    assert column_differs(times, times + pd.Timedelta(days=1))[0].all()
    arrays = pd.Series([np.array([1, 2]), np.array([1, 2])])
    assert column_differs(arrays, pd.Series([np.array([1, 2]), np.array([1, 3])]))[0].tolist() == [False, True]
    assert column_differs(pd.Series(["a", None]), pd.Series(["a", "b"]))[0].tolist() == [False, True]


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=8),
    st.integers(min_value=0),
)
def test_a_column_equals_itself_and_no_column_with_one_value_changed(values: list[float], place: int) -> None:
    column = pd.Series(values, dtype="float64")
    assert not column_differs(column, column.copy())[0].any()
    changed = column.copy()
    changed.iloc[place % len(values)] = 12345.5 if changed.iloc[place % len(values)] != 12345.5 else None
    assert column_differs(column, changed)[0].sum() == 1
