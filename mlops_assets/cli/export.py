"""Rows for other programs: CSV on stdout, Parquet in a file."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from partitions.errors import MlopsError


def print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with a line of names first; nothing is an empty cell, lists and mappings are JSON."""
    out = sys.__stdout__ or sys.stdout
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])


def write_parquet(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Rows as a Parquet file; a column of mixed types as text. Raises MlopsError where it cannot be written."""
    import pandas as pd

    frame = pd.DataFrame(list(rows)).convert_dtypes()
    if "created_at" in frame:
        frame["created_at"] = pd.to_datetime(frame["created_at"], format="ISO8601", utc=True)
    for name in [name for name in frame.columns if frame[name].dtype.kind == "O"]:
        frame[name] = [None if value is None else _cell(value) for value in frame[name]]
    try:
        frame.to_parquet(file, index=False)
    except OSError as error:
        raise MlopsError(f"--parquet {file} cannot be written: {error.strerror or error}") from error


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
