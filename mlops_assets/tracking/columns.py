"""Columns of the index: a name such as ``params.max_depth``, and the types its values have in different runs.

One name may hold whole numbers in some runs, fractions or text in others. A Parquet column has one type, so a name has
a stored column for each type it was ever given: ``params.max_depth:i``, ``params.max_depth:s``.
"""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

from partitions.values import canonical_json

Type = Literal["i", "f", "b", "s", "t", "j"]
NUMBERS: tuple[Type, ...] = ("i", "f")
SAID: dict[Type, str] = {
    "i": "whole numbers",
    "f": "numbers",
    "b": "true or false",
    "s": "text",
    "t": "times",
    "j": "lists or mappings",
}

# Of every event, whether or not it tracks a run: never asked for by name, so they carry no type.
EVENT_ID, EVENT_TIME, ASSET, WHAT, DOCUMENT = "event_id", "event_time", "asset", "what", "document"
EVENT_COLUMNS = (EVENT_ID, EVENT_TIME, ASSET, WHAT, DOCUMENT)

FIXED: dict[str, Type] = {
    "run_id": "s",
    "subproject": "s",
    "kind": "s",
    "status": "s",
    "stage": "s",
    "parent": "s",
    "code_version": "s",
    "commit": "s",
    "dirty": "b",
    "data_version": "s",
    "seed": "i",
    "fold": "i",
    "fingerprint": "s",
    "created_at": "t",
    "seconds": "f",
    "configuration": "s",
    "split": "s",
    "predictions": "s",
    "dagster_run_id": "s",
    "created_by": "s",
    "error": "s",
    "note": "s",
}
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
GROUPS = ("params", "metrics", "tags")
_TYPES: dict[type, Type] = {bool: "b", int: "i", float: "f", str: "s"}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Column:
    """One column as a person names it. ``stored``: the stored column of each type it has values of."""

    name: str
    stored: dict[Type, str]

    @property
    def numeric(self) -> bool:
        return self.stored.keys() <= {"i", "f"}

    def said(self) -> str:
        """What it holds: ``numbers``, ``whole numbers and text``."""
        kinds = [SAID[kind] for kind in self.stored if not (kind == "i" and "f" in self.stored)]
        return " and ".join(kinds)


def stored_name(name: str, kind: Type) -> str:
    """The stored column of ``name``. Capitals are escaped: readers take names that differ only by case as one."""
    return f"{_escaped(name)}:{kind}"


@functools.cache
def _escaped(name: str) -> str:
    return "".join(char if char in PLAIN else "".join(f"%{byte:02x}" for byte in char.encode()) for char in name)


def typed(value: Any) -> tuple[Type, Any]:
    """The type of a value of a record, and the value as it is stored."""
    kind = _TYPES.get(type(value), "j")
    if kind == "i" and not _SMALLEST <= value <= _LARGEST:
        kind = "j"
    return kind, canonical_json(value) if kind == "j" else value


def restored(kind: Type, value: Any) -> Any:
    """The value of a record again."""
    return json.loads(value) if kind == "j" and value is not None else value


def logical(stored: Iterable[str]) -> dict[str, Column]:
    """The columns that these stored columns make: the fixed ones first, then parameters, metrics and tags by name."""
    by_name: dict[str, dict[Type, str]] = {name: {} for name in FIXED}
    dynamic: dict[str, dict[Type, str]] = {}
    for column in stored:
        escaped, colon, kind = column.rpartition(":")
        if not colon:
            continue
        name = unquote(escaped)
        held = by_name if name in FIXED else dynamic
        held.setdefault(name, {})[kind] = column  # type: ignore[index]
    ordered = sorted(dynamic, key=lambda name: (GROUPS.index(name.partition(".")[0]), name))
    by_name.update({name: dynamic[name] for name in ordered})
    return {name: Column(name, dict(sorted(kinds.items()))) for name, kinds in by_name.items()}
