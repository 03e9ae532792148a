"""What rows must be before anything is trained on them."""

from typing import TYPE_CHECKING, Any

from partitions.errors import DataError, nearest
from partitions.schema import DataSchema

if TYPE_CHECKING:
    import pandas as pd


def check_rows(frame: "pd.DataFrame", schema: DataSchema, where: str) -> "pd.DataFrame":
    """``frame`` itself, if a pipeline with ``schema`` can be trained on it; else DataError, one line.

    ``where`` opens the message ("flight_delays/AA"). Checked: there are rows; the schema's columns are there and no
    name is taken by the results; every row has a target, a time (a real date and time) and a row key of its own.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{where}: ingest must return a pandas DataFrame, not {type(frame).__name__}")
    _check_columns(frame, schema, where)
    if frame.empty:
        raise DataError(f"{where}: ingest returned no rows; look at its filter and at the window it was given")
    _check_target(frame[schema.target], schema, where)
    if schema.time is not None:
        _check_time(frame[schema.time], where)
    _check_keys(frame[schema.key], schema, where)
    return frame


def _check_columns(frame: "pd.DataFrame", schema: DataSchema, where: str) -> None:
    columns = list(frame.columns)
    not_text = [column for column in columns if not isinstance(column, str)]
    if not_text:
        raise DataError(f"{where}: column names must be text, not {not_text[0]!r}")
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{where}: column {twice[0]!r} is there twice; name each column once")
    roles = {"key": schema.key, "target": schema.target, "time": schema.time}
    for role, column in [*roles.items(), *(("feature", feature) for feature in schema.features)]:
        if column is not None and column not in columns:
            # An empty frame without columns is an ingest that found nothing, not a misspelt schema.
            if not columns:
                raise DataError(f"{where}: ingest returned no rows and no columns")
            raise DataError(f"{where}: the schema's {role} is missing: {nearest(column, columns, noun='column')}")
    if not schema.feature_columns(columns):
        raise DataError(f"{where}: no feature columns: every column is key, target, time or private")
    for column in columns:
        if _taken(column, schema):
            raise DataError(f"{where}: column {column!r} is a name that results use; rename it in ingest")


def _taken(column: str, schema: DataSchema) -> bool:
    if column == "truth":
        return schema.target != "truth"
    return column == "prediction" or (schema.task == "classification" and column.startswith("probability_"))


def _check_target(target: "pd.Series[Any]", schema: DataSchema, where: str) -> None:
    import numpy as np
    import pandas as pd

    missing = int(target.isna().sum())
    if missing:
        raise DataError(
            f"{where}: the target {target.name!r} is missing in {missing} of {len(target)} rows; "
            "leave rows without a known target out of ingest"
        )
    if schema.task == "classification":
        return
    if not pd.api.types.is_numeric_dtype(target.dtype):
        raise DataError(f"{where}: the target {target.name!r} is {target.dtype}; regression needs numbers")
    infinite = int(np.isinf(target.to_numpy(dtype=float)).sum())
    if infinite:
        raise DataError(f"{where}: the target {target.name!r} is infinite in {infinite} of {len(target)} rows")


def _check_time(time: "pd.Series[Any]", where: str) -> None:
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(time.dtype):
        raise DataError(f"{where}: the time {time.name!r} is {time.dtype}; make it dates with pandas.to_datetime")
    missing = int(time.isna().sum())
    if missing:
        raise DataError(f"{where}: the time {time.name!r} is missing in {missing} of {len(time)} rows")


def _check_keys(keys: "pd.Series[Any]", schema: DataSchema, where: str) -> None:
    import pandas as pd

    missing = int(keys.isna().sum())
    if missing:
        raise DataError(f"{where}: the row key {keys.name!r} is missing in {missing} of {len(keys)} rows")
    kind = pd.api.types.infer_dtype(keys)
    if kind.startswith("mixed"):
        raise DataError(f"{where}: the row key {keys.name!r} mixes types; make all keys text, or all whole numbers")
    repeated = keys[keys.duplicated()]
    if len(repeated):
        example = "" if schema.key in schema.private else f" (for example {repeated.iloc[0]!s})"
        raise DataError(
            f"{where}: the row key {keys.name!r} is repeated in {len(repeated)} of {len(keys)} rows{example}; "
            "a key identifies one row"
        )
