"""Row keys as one kind of value, so that rows of different runs and data versions find each other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.digests import plain

if TYPE_CHECKING:
    import pandas as pd


def row_keys(columns: "Mapping[str, pd.Series[Any]]") -> "dict[str, pd.Index[Any]]":
    """The key column of several frames as indexes that can be joined; numbers beside texts are joined as text."""
    import pandas as pd

    kinds = pd.api.types
    values = {label: plain(column) for label, column in columns.items()}
    numeric = [kinds.is_numeric_dtype(one.dtype) and not kinds.is_bool_dtype(one.dtype) for one in values.values()]
    timed = [kinds.is_datetime64_any_dtype(one.dtype) for one in values.values()]
    if all(numeric):
        return {label: pd.Index(one.to_numpy()) for label, one in values.items()}
    if all(timed):
        return {label: pd.Index(pd.to_datetime(one, utc=True)) for label, one in values.items()}
    # Python's own texts: a join over Arrow strings takes seconds where these take milliseconds.
    mixed = any(numeric) or any(timed)
    objects = {label: one.to_numpy(dtype=object) for label, one in values.items()}
    if mixed:
        objects = {label: [str(value) for value in one] for label, one in objects.items()}  # type: ignore[misc]
    return {label: pd.Index(one, dtype=object) for label, one in objects.items()}


def union_of(keys: "Mapping[str, pd.Index[Any]]") -> "pd.Index[Any]":
    """Every key that is in one of them, sorted where they can be."""
    first, *others = keys.values()
    union = first
    for other in others:
        if not union.equals(other):
            union = union.union(other)
    return union
