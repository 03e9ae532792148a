"""Stored events as columns: a row per event, runs with all that is known of them, annotations as their document."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from mlops_assets.tracking.columns import ASSET, DOCUMENT, EVENT_ID, EVENT_TIME, FIXED, WHAT, Type, stored_name, typed
from mlops_assets.tracking.event_source import StoredEvent
from mlops_assets.tracking.record import RECORD_ENTRY, split_of

if TYPE_CHECKING:
    import pyarrow as pa

ANNOTATION_ENTRY = "annotation"
RUN, ANNOTATION, OTHER = "run", "annotation", "other"

_TEXT_ENTRY = '"entry_data": {"__class__": "TextMetadataEntryData", "text": "'
_LABELS = {f'}}, "label": "{label}"': label for label in (RECORD_ENTRY, ANNOTATION_ENTRY)}


def tracked_text(event: str) -> tuple[str, str] | None:
    """The one text of an event that matters here and which it is, ``record`` or ``annotation``; None without either.

    Looks for it in the stored JSON before parsing that: the record is half of an event, and is parsed anyway. Quotes
    inside a JSON text are escaped, so what is looked for cannot be found inside somebody's text.
    """
    start = event.find(_TEXT_ENTRY)
    if start >= 0:
        text, end = scanstring(event, start + len(_TEXT_ENTRY))
        for ending, label in _LABELS.items():
            if event.startswith(ending, end):
                return label, text
    return _parsed(event)


def _parsed(event: str) -> tuple[str, str] | None:
    content = from_json(event)["dagster_event"]["event_specific_data"]
    happened = content.get("materialization") or content.get("asset_observation") or {}
    for entry in happened.get("metadata_entries", ()):
        if entry["label"] in (RECORD_ENTRY, ANNOTATION_ENTRY):
            return entry["label"], entry["entry_data"]["text"]
    return None


def table_of(events: Iterable[StoredEvent]) -> "pa.Table":
    """The events as an Arrow table: one row each, stored columns as ``columns.stored_name`` names them."""
    rows = _Rows()
    for event in events:
        rows.add(event)
    return rows.table()


class _Rows:
    """Columns under construction. A value is appended to its column; rows without it are filled up with nulls."""

    def __init__(self) -> None:
        self._events: tuple[list[int], list[int], list[str], list[str], list[str | None]] = ([], [], [], [], [])
        self._columns: dict[tuple[str, Type], list[Any]] = {}
        self._row = 0

    def add(self, event: StoredEvent) -> None:
        found = tracked_text(event.text)
        what, document = OTHER, None
        if found is not None and found[0] == RECORD_ENTRY:
            what = RUN
            self._add_run(from_json(found[1], cache_strings="keys"))
        elif found is not None:
            what, document = ANNOTATION, found[1]
        for column, value in zip(self._events, (event.event_id, event.time, event.asset, what, document), strict=True):
            column.append(value)  # type: ignore[attr-defined]
        self._row += 1

    def _add_run(self, record: dict[str, Any]) -> None:
        for name, value in fixed_values(record).items():
            if value is not None:
                self._append(name, FIXED[name], value)
        for group, field in (("params", "parameters"), ("metrics", "metrics"), ("tags", "tags")):
            self._add_nested(group, record.get(field) or {})

    def _add_nested(self, prefix: str, values: dict[str, Any]) -> None:
        for key, value in values.items():
            name = f"{prefix}.{key}"
            if isinstance(value, dict) and value:
                self._add_nested(name, value)
            elif value is not None:
                self._append(name, *typed(value))

    def _append(self, name: str, kind: Type, value: Any) -> None:
        column = self._columns.setdefault((name, kind), [])
        missing = self._row - len(column)
        if missing < 0:
            raise ValueError(f"a record has {name!r} twice")
        if missing:
            column.extend([None] * missing)
        column.append(value)

    def table(self) -> "pa.Table":
        import pyarrow as pa

        types = {
            "i": pa.int64(), "f": pa.float64(), "b": pa.bool_(), "s": pa.string(), "t": pa.timestamp("us"),
            "j": pa.string(),
        }  # fmt: skip
        ids, times, assets, whats, documents = self._events
        columns = {
            EVENT_ID: pa.array(ids, pa.int64()),
            EVENT_TIME: pa.array(times, pa.int64()),
            ASSET: pa.array(assets, pa.string()),
            WHAT: pa.array(whats, pa.string()),
            DOCUMENT: pa.array(documents, pa.string()),
        }
        for (name, kind), values in self._columns.items():
            values.extend([None] * (self._row - len(values)))
            columns[stored_name(name, kind)] = pa.array(values, types[kind])
        return pa.table(columns)


def fixed_values(record: dict[str, Any]) -> dict[str, Any]:
    """The fixed columns of a record, given as parsed JSON: what ``RunRecord.row`` gives, and as stored.

    Reads what it needs and nothing else: a record of a later version, with more in it, is a row too.
    """
    code, error = record.get("code_version") or {}, record.get("error") or {}
    seed = record.get("seed")
    return {
        "run_id": record["run_id"],
        "subproject": record.get("subproject"),
        "kind": record.get("kind"),
        "status": record.get("status"),
        "stage": record.get("stage"),
        "parent": record.get("parent"),
        "code_version": code.get("digest"),
        "commit": code.get("commit"),
        "dirty": code.get("dirty"),
        "data_version": record.get("data_version"),
        "seed": seed,
        "fold": record.get("fold"),
        "fingerprint": record.get("fingerprint"),
        "created_at": _utc(record["created_at"]),
        "seconds": round(sum((record.get("timings") or {}).values()), 4),
        "configuration": (record.get("digests") or {}).get("run"),
        "split": split_of(record.get("settings") or {}),
        "predictions": record.get("predictions"),
        "dagster_run_id": record.get("dagster_run_id"),
        "created_by": record.get("created_by"),
        "error": error.get("message"),
        "note": record.get("note") or None,
    }


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def document(text: str) -> dict[str, Any]:
    """An annotation as its event holds it."""
    parsed: dict[str, Any] = json.loads(text)
    return parsed
