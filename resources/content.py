"""What rows contain, apart from how they are stored: one canonical form, and a digest over it."""

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from partitions.errors import DataError
from partitions.values import canonical_json
from resources.parquet import from_table, to_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

FORMAT = "rows/1"


class Canonical(NamedTuple):
    """Rows in their canonical form, and the Arrow table that they are stored as."""

    rows: "pd.DataFrame"
    table: "pa.Table"


def canonical(frame: "pd.DataFrame", key: str, where: str) -> Canonical:
    """The rows in the order of their keys, with an index 0, 1, 2 ..., as they will be read from storage.

    A column of objects takes the type of its values (text, numbers, times ...). Raises DataError, opening with
    ``where``, for no rows, a missing or repeated key, and columns that cannot be stored.
    """
    import pandas as pd
    import pyarrow as pa

    _check(frame, key, where)
    typed = {name: _typed(frame[name], where) for name in frame.columns}
    plain = pd.DataFrame(typed, index=frame.index, columns=frame.columns)
    try:
        ordered = plain.sort_values(key, kind="stable", ignore_index=True)
        table = to_table(ordered)
        return Canonical(from_table(table), table)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: the rows cannot be stored: {' '.join(str(error).split())}") from error


def content_digest(rows: "pd.DataFrame") -> str:
    """sha256, as 64 hexadecimal characters, over names, types, missing values and values of canonical rows.

    Independent of how the rows are encoded; the order of columns counts, because features may follow it.
    """
    digest = hashlib.sha256()
    _add(digest, canonical_json([FORMAT, len(rows), [str(name) for name in rows.columns]]).encode())
    for name in rows.columns:
        _add_column(digest, rows[name])
    return digest.hexdigest()


def _check(frame: "pd.DataFrame", key: str, where: str) -> None:
    names = list(frame.columns)
    not_text = [name for name in names if not isinstance(name, str)]
    if not_text:
        raise DataError(f"{where}: column names must be text, not {not_text[0]!r}")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: column {twice!r} is there twice; name each column once")
    if key not in names:
        raise DataError(f"{where}: the row key {key!r} is no column; columns are {', '.join(names[:8])}")
    if frame.empty:
        raise DataError(f"{where}: there are no rows to store")
    missing, repeated = int(frame[key].isna().sum()), int(frame[key].duplicated().sum())
    if missing or repeated:
        raise DataError(f"{where}: the row key {key!r} is missing in {missing} rows and repeated in {repeated}")


def _typed(values: "pd.Series[Any]", where: str) -> "pd.Series[Any]":
    """Objects as the narrowest type that holds them all; other columns unchanged."""
    import pandas as pd
    import pyarrow as pa

    if values.dtype != object:
        return values
    kind = pd.api.types.infer_dtype(values, skipna=True)
    gaps = bool(values.isna().any())
    narrow: dict[str, Any] = {
        "string": "str",
        "boolean": "boolean" if gaps else "bool",
        "integer": "Int64" if gaps else "int64",
        "floating": "float64",
    }
    try:
        if kind in narrow:
            narrowed: pd.Series[Any] = values.astype(narrow[kind])
            return narrowed
        typed = pa.array(values, from_pandas=True).to_pandas()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: column {values.name!r} cannot be stored: it holds {kind} objects; give it one type in ingest"
        ) from error
    return pd.Series(typed.to_numpy() if typed.dtype == object else typed.array, index=values.index, name=values.name)


def _add(digest: Any, part: bytes) -> None:
    """Each part is led by its length, so that no two lists of parts run together to the same bytes."""
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def _add_column(digest: Any, values: "pd.Series[Any]") -> None:
    import numpy as np
    import pandas as pd

    _add(digest, canonical_json(str(values.dtype)).encode())
    missing = values.isna().to_numpy(dtype=bool)
    _add(digest, np.packbits(missing).tobytes())
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        _add(digest, canonical_json([bool(dtype.ordered), len(dtype.categories)]).encode())
        _add_column(digest, pd.Series(dtype.categories))
        _add(digest, values.cat.codes.to_numpy(dtype="<i8").tobytes())
    elif isinstance(dtype, pd.StringDtype):
        _add_text(digest, values)
    elif (numbers := _numbers(values, missing)) is not None:
        _add(digest, numbers.tobytes())
    else:
        _add_others(digest, values)


def _numbers(values: "pd.Series[Any]", missing: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any] | None":
    """The column as little-endian numbers with 0 where missing; None if it does not consist of numbers or times."""
    import numpy as np
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    elif isinstance(dtype, pd.api.extensions.ExtensionDtype):
        width = getattr(dtype, "numpy_dtype", None)
        if isinstance(dtype, pd.ArrowDtype) or not isinstance(width, np.dtype):
            return None
        numbers = values.to_numpy(dtype=width, na_value=width.type(0))
        return numbers.astype(width.newbyteorder("<"))
    numbers = values.to_numpy()
    if numbers.dtype.kind in "mM":
        numbers = numbers.view("i8")
    if numbers.dtype.kind not in "biuf":
        return None
    little: np.ndarray[Any, Any] = numbers.astype(numbers.dtype.newbyteorder("<"), copy=True)
    little[missing] = 0
    return little


def _add_text(digest: Any, values: "pd.Series[Any]") -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts: pa.Array = pa.array(values.astype("string").fillna(""), type=pa.large_string())
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype="<i8")[texts.offset : texts.offset + len(texts) + 1]
    _add(digest, pc.binary_length(texts).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
    _add(digest, bytes(data[bounds[0] : bounds[-1]]) if data is not None and bounds[-1] > bounds[0] else b"")


def _add_others(digest: Any, values: "pd.Series[Any]") -> None:
    """Dates, decimals, bytes, lists, periods ...: by the representation of each value as Arrow gives it."""
    import pyarrow as pa

    array = pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _add(digest, str(array.type).encode())
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    for value in storage.to_pylist():
        _add(digest, repr(value).encode("utf-8", "surrogatepass"))
