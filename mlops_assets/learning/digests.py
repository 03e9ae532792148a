"""The identity of results: the same rows, parts and predictions give the same digest in every process."""

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class ResultsDigests(NamedTuple):
    """predictions: over key, split, prediction and probabilities, bit for bit. split: over key and split; two runs with
    this in common are judged on the same rows. Both sha256 in key order, whatever the order of rows."""

    predictions: str
    split: str


def results_digests(results: "pd.DataFrame") -> ResultsDigests:
    """Both digests of a run's results."""
    ordered = in_key_order(results, "key")
    digest = hashlib.sha256()
    _add(digest, ordered, ["key", "split"])
    split = digest.hexdigest()
    _add(digest, ordered, ["prediction", *(c for c in results.columns if c.startswith("probability_"))])
    return ResultsDigests(digest.hexdigest(), split)


def predictions_digest(results: "pd.DataFrame") -> str:
    """The digest that two runs have in common iff they predict the same."""
    return results_digests(results).predictions


def in_key_order(frame: "pd.DataFrame", key: str) -> "pd.DataFrame":
    """The rows sorted by ``key`` with an index from 0: what makes the order in which rows were read irrelevant."""
    if plain(frame[key]).is_monotonic_increasing:
        return frame if _is_counted(frame) else frame.reset_index(drop=True)
    return frame.iloc[key_order(frame[key])].reset_index(drop=True)


def key_order(keys: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """The places of the keys from the smallest to the largest; equal ones as they came."""
    return plain(keys).argsort(kind="stable").to_numpy()


def _is_counted(frame: "pd.DataFrame") -> bool:
    """Whether its index is 0, 1, 2 ... already; telling by its kind takes no time."""
    import pandas as pd

    index = frame.index
    return isinstance(index, pd.RangeIndex) and (index.start, index.step, index.name) == (0, 1, None)


def plain(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A categorical column as its values: the order of categories is not part of a value."""
    import pandas as pd

    return column.astype(column.cat.categories.dtype) if isinstance(column.dtype, pd.CategoricalDtype) else column


def _add(digest: Any, ordered: "pd.DataFrame", columns: list[str]) -> None:
    for column in columns:
        content = _content(plain(ordered[column]))
        digest.update(f"{column}:{len(content)}:".encode())
        digest.update(content)


def _content(column: "pd.Series[Any]") -> bytes:
    """The column's values as bytes that do not depend on the width or the storage of its type."""
    import pandas as pd

    kinds = pd.api.types
    if kinds.is_bool_dtype(column.dtype):
        return b"b" + column.to_numpy(dtype="u1").tobytes()
    if kinds.is_integer_dtype(column.dtype):
        return b"i" + column.to_numpy(dtype="<i8").tobytes()
    if kinds.is_float_dtype(column.dtype):
        # Adding zero makes -0.0 and 0.0, which are equal predictions, equal bytes.
        return b"f" + (column.to_numpy(dtype="<f8") + 0.0).tobytes()
    if kinds.is_datetime64_any_dtype(column.dtype):
        moments = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
        nanoseconds: bytes = moments.dt.as_unit("ns").to_numpy().astype("<i8").tobytes()
        return b"t" + nanoseconds
    # To Python's own strings at once: one by one, out of an Arrow column, takes ten times as long.
    texts = [str(value) for value in column.to_numpy(dtype=object).tolist()]
    return b"s" + json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")
