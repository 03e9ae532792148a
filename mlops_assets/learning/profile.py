"""A small description of rows, column by column: what a person wants to know of data before blaming the model."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TOP = 5
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}


def profile(rows: "pd.DataFrame", unlisted: Collection[str] = ()) -> "pd.DataFrame":
    """A row per column of ``rows``, by its name.

    dtype; rows; missing (count) and missing_share; unique; of numbers mean, std and quantiles (true and false count as
    1 and 0); of times first and last; top: the most frequent values of what is no number, as ``value (count)``.
    Nothing is told of the values of columns in ``unlisted`` (private ones, say).
    """
    import pandas as pd

    described = {str(name): _column(rows[name], str(name) not in unlisted) for name in rows.columns}
    columns = [
        "dtype",
        "rows",
        "missing",
        "missing_share",
        "unique",
        "mean",
        "std",
        "min",
        *QUANTILES,
        "max",
        "first",
        "last",
        "top",
    ]
    return pd.DataFrame.from_dict(described, orient="index", columns=columns).rename_axis("column")


def _column(values: "pd.Series[Any]", listed: bool) -> list[Any]:
    import pandas as pd

    missing = int(values.isna().sum())
    there = values.dropna()
    top = ""
    if pd.api.types.is_numeric_dtype(values.dtype):
        unique = int(there.nunique())
    else:
        # Also what cannot be hashed (lists, arrays) has a text.
        counts = (there if _hashable(there) else there.map(repr)).value_counts()
        unique = int((counts > 0).sum())
        top = _top(counts) if listed else ""
    share = round(missing / len(values), 6) if len(values) else 0.0
    return [str(values.dtype), len(values), missing, share, unique, *_spread(there, listed), top]


def _top(counts: "pd.Series[int]") -> str:
    """The most frequent values; none where no value repeats, unless they are few anyway."""
    if len(counts) > TOP and int(counts.iloc[0]) == 1:
        return ""
    return ", ".join(f"{value} ({count})" for value, count in counts.head(TOP).items() if count)


def _spread(there: "pd.Series[Any]", listed: bool) -> list[Any]:
    """Mean, standard deviation, quantiles, first and last; None where the column has none, or they may not be shown."""
    import numpy as np
    import pandas as pd

    nothing: list[Any] = [None] * (4 + len(QUANTILES))
    if there.empty or not listed:
        return [*nothing, None, None]
    if pd.api.types.is_datetime64_any_dtype(there.dtype):
        return [*nothing, there.min(), there.max()]
    if not pd.api.types.is_numeric_dtype(there.dtype) or pd.api.types.is_complex_dtype(there.dtype):
        return [*nothing, None, None]
    numbers = there.astype("float64")
    # With infinities among them there is no standard deviation.
    with np.errstate(invalid="ignore"):
        between = numbers.quantile(list(QUANTILES.values())).tolist()
        return [numbers.mean(), numbers.std(), numbers.min(), *between, numbers.max(), None, None]


def _hashable(values: "pd.Series[Any]") -> bool:
    import pandas as pd

    return not pd.api.types.is_object_dtype(values.dtype) or all(
        isinstance(v, str | int | float | bool) for v in values
    )
