"""Some rows or columns of stored frames are what they are in the whole frame, types and missing values included."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from resources.parquet import decode, decode_columns, decode_table, encode, from_table, is_as_stored, rows_of

FRAME = pd.DataFrame(
    {
        "key": [5, 4, 3, 2, 1],
        "number": [0.5, None, -0.0, 1e300, float("inf")],
        "whole": pd.array([1, None, 3, 4, 5], dtype="Int64"),
        "small": pd.Series([1, 2, 3, 4, 5], dtype="int8"),
        "yes": pd.Series([True, None, False, True, True], dtype=object),
        "counts": pd.Series([1, None, 3, 4, 5], dtype=object),
        "text": ["a", None, "c", "d", "e"],
        "kind": pd.Categorical(["x", None, "y", "x", "y"], categories=["z", "y", "x"], ordered=True),
        "level": pd.Categorical([3, None, 1, 3, 1]),
        "span": pd.Categorical(pd.PeriodIndex(["2013-01", "2013-02", "2013-01", "2013-03", "2013-02"], freq="M")),
        "at": pd.to_datetime(["2013-01-01", "NaT", "2013-01-03", "2013-01-04", "2013-01-05"]),
        "zoned": pd.to_datetime(["2013-01-01", "NaT", "2013-01-03", "2013-01-04", "2013-01-05"], utc=True),
        "day": [date(2013, 1, 1), None, date(2013, 1, 3), date(2013, 1, 4), date(2013, 1, 5)],
        "price": [Decimal("1.5"), None, Decimal("2.5"), Decimal("3.5"), Decimal("4.5")],
        "list": [[1], None, [2, 3], [], [4]],
    }
)


@pytest.mark.parametrize("name", [None, *FRAME.columns])
@pytest.mark.parametrize("places", [[4, 0], [2, 3, 2], [1], [0, 1, 2, 3, 4], []])
def test_some_rows_are_as_in_the_whole_frame(name: str | None, places: list[int]) -> None:
    data = encode(FRAME if name is None else FRAME[["key", name] if name != "key" else ["key"]])
    expected = decode(data).iloc[places].reset_index(drop=True)
    found = rows_of(decode_table(data), places)
    pd.testing.assert_frame_equal(found, expected)
    for column in expected.columns:
        assert list(map(repr, found[column].tolist())) == list(map(repr, expected[column].tolist()))


@pytest.mark.parametrize("name", list(FRAME.columns))
def test_a_column_read_alone_is_as_in_the_whole_frame(name: str) -> None:
    data = encode(FRAME)
    pd.testing.assert_frame_equal(decode_columns(data, [name]), decode(data)[[name]])
    table = decode_table(data)
    pd.testing.assert_frame_equal(from_table(table.select([name])), decode(data)[[name]])
    assert is_as_stored(table, name) == (name not in ("kind", "level", "span"))
