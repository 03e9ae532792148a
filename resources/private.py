"""Private columns: dropped, or replaced by a keyed hash, before rows are written or predicted."""

import hmac
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any
from uuid import UUID

from partitions.errors import DataError
from partitions.schema import DataSchema, Treatment

if TYPE_CHECKING:
    import pandas as pd

HASH_CHARACTERS = 32
HASH = f"[0-9a-f]{{{HASH_CHARACTERS}}}"


def treat(frame: "pd.DataFrame", schema: DataSchema, secret: bytes) -> "pd.DataFrame":
    """A copy of ``frame`` with the private columns dropped or hashed, as ``schema.treatments`` says.

    A hash is the first 32 hexadecimal characters of HMAC-SHA256: equal values have equal hashes whatever type holds
    them (1, 1.0 and numpy's 1), missing values stay missing, and a categorical column stays one. Private columns that
    are not there (rows to predict may leave some out) are no error. The index is kept, unless it carries the name of
    a private column; ``attrs`` are not.
    """
    return treated_as(frame, schema.treatments, secret)


def treated_as(frame: "pd.DataFrame", treatments: Mapping[str, Treatment], secret: bytes) -> "pd.DataFrame":
    """``treat``, by column: for rows that were stored before a column of theirs became private."""
    treated = frame.drop(columns=[column for column, how in treatments.items() if how == "drop"], errors="ignore")
    treated.attrs = {}
    if any(name in treatments for name in treated.index.names):
        treated = treated.reset_index(drop=True)
    for column, how in treatments.items():
        if how == "hash" and column in treated.columns:
            treated[column] = _hashed(treated[column], secret)
    return treated


def treat_once(frame: "pd.DataFrame", schema: DataSchema, secret: bytes) -> "pd.DataFrame":
    """As ``treat``, for rows that may come from a dataset: a column that holds nothing but hashes stays as it is."""
    hashed = {column: frame[column] for column, how in schema.treatments.items() if how == "hash" and column in frame}
    kept = {column: values for column, values in hashed.items() if _is_hashed(values)}
    treated = treat(frame.drop(columns=list(kept)), schema, secret)
    if not kept:
        return treated
    # By position: the index may be another one now. The columns stay where they were.
    restored = treated.assign(**{column: values.array for column, values in kept.items()})
    return restored[[column for column in frame.columns if column in restored.columns]]


def _is_hashed(values: "pd.Series[Any]") -> bool:
    there = values.dropna()
    return len(there) > 0 and bool(there.astype(str).str.fullmatch(HASH).all())


def _hashed(values: "pd.Series[Any]", secret: bytes) -> "pd.Series[Any]":
    import pandas as pd

    known: dict[str, str] = {}

    def keyed(value: Any) -> str:
        text = _canonical(value, str(values.name))
        if text not in known:
            known[text] = hmac.digest(secret, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:HASH_CHARACTERS]
        return known[text]

    if isinstance(values.dtype, pd.CategoricalDtype):
        return _hashed_categories(values, keyed)
    hashes = [None if missing else keyed(value) for value, missing in zip(values, values.isna(), strict=True)]
    return pd.Series(hashes, index=values.index, name=values.name, dtype="str")


def _hashed_categories(values: "pd.Series[Any]", keyed: Callable[[Any], str]) -> "pd.Series[Any]":
    import pandas as pd

    hashes = [keyed(category) for category in values.cat.categories]
    codes = values.cat.codes
    texts = [None if code < 0 else hashes[code] for code in codes]
    # Sorted by hash: the order of the clear values would tell something about them.
    categories = pd.Index(sorted(set(hashes)), dtype="str")
    return pd.Series(pd.Categorical(texts, categories=categories), index=values.index, name=values.name)


def _canonical(value: Any, column: str) -> str:
    """One text per value, led by its kind, so that the number 1 and the text "1" stay apart."""
    if isinstance(value, str):
        return f"text:{value}"
    import numpy as np
    import pandas as pd

    if isinstance(value, bool | np.bool_):
        return f"bool:{bool(value)}"
    if isinstance(value, date | np.datetime64):
        moment = pd.Timestamp(value)
        # A time without a zone is UTC, here as everywhere.
        utc = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
        return f"time:{utc.isoformat(timespec='nanoseconds')}"
    if isinstance(value, timedelta | np.timedelta64):
        return f"duration:{tuple(pd.Timedelta(value).components)}"
    # After durations: numpy counts its own among the integers.
    if isinstance(value, Integral | Real | Decimal):
        return f"number:{_number(value)}"
    if isinstance(value, bytes):
        return f"bytes:{value.hex()}"
    if isinstance(value, UUID):
        return f"text:{value}"
    # The value itself is private: only its type is named.
    raise DataError(
        f"private column {column!r} holds a {type(value).__name__}, which cannot be hashed: make it text in ingest, "
        "or drop the column"
    )


def _number(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(int(value)) if value == value.to_integral_value() else str(value.normalize())
    if isinstance(value, Integral) or float(value).is_integer():
        return str(int(value))
    return repr(float(value))
