"""Rows of a dataset: a few, and some of every column type that can be stored."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd

from partitions.schema import DataSchema

SCHEMA = DataSchema(key="id", target="y", time="at")
OWNER = "flight_delays/AA"
MOMENTS = pd.to_datetime(["2013-01-03", "", "2013-01-01", "2013-01-02"])


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["c", "a", "d", "b"],
            "y": [1.5, np.nan, -0.25, 3.0],
            "at": pd.date_range("2013-01-01", periods=4, freq="h", tz="UTC"),
            "carrier": pd.Categorical(["AA", None, "B6", "AA"]),
        }
    )


def every_type() -> pd.DataFrame:
    """Four rows of every column type that can be stored, with gaps wherever a type has them."""
    return pd.DataFrame(
        {
            "id": [3, 1, 4, 2],
            "text": ["ß", None, "", "a\x00b"],
            "string": pd.array(["x", None, "", "y"], dtype="string"),
            "objects": pd.Series(["x", None, np.nan, "y"], dtype=object),
            "float": [1.5, np.nan, np.inf, -0.0],
            "float32": np.array([1.5, np.nan, 0.1, 2], dtype="float32"),
            "uint8": np.array([0, 255, 1, 2], dtype="uint8"),
            "Int64": pd.array([2**62 + 1, None, 0, -1], dtype="Int64"),
            "Float64": pd.array([0.1, None, 0, -1], dtype="Float64"),
            "whole": pd.Series([2**62 + 1, None, 0, -1], dtype=object),
            "bool": [True, False, True, False],
            "boolean": pd.array([True, None, False, True], dtype="boolean"),
            "maybe": pd.Series([True, None, False, True], dtype=object),
            "seconds": MOMENTS.as_unit("s"),
            "nanoseconds": MOMENTS.as_unit("ns"),
            "zone": MOMENTS.tz_localize("Europe/Berlin"),
            "offset": pd.to_datetime(["2013-01-01T00:00+02:00"] * 4),
            "duration": pd.to_timedelta([1, None, 3, 4], unit="s").as_unit("s"),
            "category": pd.Categorical(["b", None, "a", "b"], categories=["z", "b", "a"], ordered=True),
            "numbers": pd.Categorical([30, None, 10, 30], categories=[30, 20, 10]),
            "days": pd.Categorical(MOMENTS),
            "intervals": pd.cut(pd.Series([1.0, np.nan, 2.0, 9.0]), [0, 1, 5, 10]),
            "period": pd.period_range("2013-01", periods=4, freq="M"),
            "date": [dt.date(2013, 1, 1), None, dt.date(1, 1, 1), dt.date(9999, 1, 1)],
            "decimal": [Decimal("1.10"), None, Decimal("2"), Decimal("3")],
            "bytes": [b"\x00", None, b"", b"a"],
            "list": [[1, 2], None, [], [3]],
            "nothing": pd.Series([None] * 4, dtype=object),
        }
    )
