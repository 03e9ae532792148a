"""Data frames as Parquet bytes and back, with every pandas type as it was."""

import base64
import json
from typing import TYPE_CHECKING, Any

from partitions.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

METADATA = b"mlops_assets"
# Arrow is kept to the thread that calls it: many workers convert at once, and handing small frames to a pool costs more
# than it saves.


def encode(frame: "pd.DataFrame") -> bytes:
    """``frame`` without its index as Parquet; the same frame gives the same bytes with the same pyarrow.

    Object columns come back as Arrow understands them (text as pandas' ``str``). Raises DataError for a column that
    Parquet cannot hold.
    """
    import pyarrow as pa

    try:
        table = to_table(frame)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise _unwritable(error) from error
    return encode_table(table)


def encode_table(table: "pa.Table") -> bytes:
    """What ``to_table`` made, as Parquet; DataError for a column that Parquet cannot hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        sink = pa.BufferOutputStream()
        # A dictionary of floating numbers, hardly two of which are equal, costs half the time and a sixth more bytes.
        repeated = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
        pq.write_table(table, sink, compression="zstd", use_dictionary=repeated or False)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise _unwritable(error) from error
    return bytes(sink.getvalue())


def _unwritable(error: Exception) -> DataError:
    return DataError(f"rows cannot be written as Parquet: {' '.join(str(error).split())}")


def decode_table(data: bytes) -> "pa.Table":
    """The table in Parquet bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # pq.read_table goes through the dataset reader, which takes milliseconds to set up.
    return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)


def decode(data: bytes) -> "pd.DataFrame":
    """The frame that ``encode`` was given, with a new index 0, 1, 2 ... Reads other Parquet files too."""
    return from_table(decode_table(data))


def decode_columns(data: bytes, names: list[str]) -> "pd.DataFrame":
    """Some columns of the frame that ``encode`` was given, each as ``decode`` returns it; the others are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return from_table(pq.ParquetFile(pa.BufferReader(data)).read(columns=names, use_threads=False))


def to_table(frame: "pd.DataFrame") -> "pa.Table":
    """``frame`` as an Arrow table without dictionaries: categories and types are described in its metadata.

    Parquet keeps neither the categories of numbers nor those no row uses.
    """
    import pandas as pd
    import pyarrow as pa

    plain = frame.reset_index(drop=True)
    plain.attrs = {}
    categorical = [str(c) for c, dtype in frame.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)]
    for name in categorical:
        plain[name] = frame[name].cat.codes.to_numpy()
    table = pa.Table.from_pandas(plain, preserve_index=False, nthreads=1)
    described: dict[str, dict[str, Any]] = {}
    for name in categorical:
        categories = frame[name].cat
        labels = pa.Table.from_pandas(pd.DataFrame({"category": categories.categories}), preserve_index=False)
        described[name] = {"ordered": bool(categories.ordered), "labels": _to_text(labels)}
        values = labels.column("category")
        if not isinstance(values.type, pa.BaseExtensionType):
            codes = pa.array(plain[name].to_numpy(), mask=plain[name].to_numpy() < 0)
            table = table.set_column(table.schema.get_field_index(name), name, values.take(codes))
    dtypes = {str(name): str(dtype) for name, dtype in plain.dtypes.items() if name not in categorical}
    about = json.dumps({"categories": described, "dtypes": dtypes}, sort_keys=True).encode()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), METADATA: about})


def from_table(table: "pa.Table") -> "pd.DataFrame":
    """The frame that ``to_table`` was given; of a table with some of its columns, these."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    about = json.loads((table.schema.metadata or {}).get(METADATA, b'{"categories": {}, "dtypes": {}}'))
    there = set(table.column_names)
    categories: dict[str, pd.CategoricalDtype] = {}
    for name, described in about["categories"].items():
        if name not in there:
            continue
        labels = _from_text(described["labels"])
        index = pd.Index(labels.to_pandas()["category"]).rename(None)
        categories[name] = pd.CategoricalDtype(index, described["ordered"])
        values = labels.column("category")
        if not isinstance(values.type, pa.BaseExtensionType):
            codes = pc.fill_null(pc.index_in(table.column(name), value_set=values.combine_chunks()), -1)
            table = table.set_column(table.schema.get_field_index(name), name, codes)
    frame: pd.DataFrame = table.to_pandas(use_threads=False)
    for name, dtype in categories.items():
        frame[name] = pd.Categorical.from_codes(frame[name].to_numpy(), dtype=dtype)
    # Parquet knows no time in seconds.
    now = dict(zip(table.column_names, frame.dtypes.tolist(), strict=True))
    changed = {name: dtype for name, dtype in about["dtypes"].items() if name in there and str(now[name]) != dtype}
    return frame.astype(changed) if changed else frame


def rows_of(table: "pa.Table", places: list[int]) -> "pd.DataFrame":
    """Some rows of ``from_table(table)``, with an index from 0, as if all had been made and these taken of them."""
    import pyarrow as pa

    if all(_is_same_alone(column) for column in table.columns):
        return from_table(table.take(pa.array(places, type=pa.int64())))
    return from_table(table).iloc[places].reset_index(drop=True)


def _is_same_alone(column: "pa.ChunkedArray") -> bool:
    """Whether pandas gives the values of a column the same type whether or not missing ones are among them."""
    import pyarrow as pa

    types = pa.types
    kept = (types.is_floating, types.is_string, types.is_large_string, types.is_timestamp)
    return column.null_count == 0 or any(is_one(column.type) for is_one in kept)


def is_as_stored(table: "pa.Table", name: str) -> bool:
    """Whether a column's values in the table are the frame's, and not numbers that stand for categories."""
    about = json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))
    return name not in about.get("categories", {})


def _to_text(table: "pa.Table") -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def _from_text(text: str) -> "pa.Table":
    import pyarrow as pa

    return pa.ipc.open_stream(base64.b64decode(text)).read_all()
