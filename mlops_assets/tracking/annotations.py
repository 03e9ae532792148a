"""Notes and tags given to a run after the fact: events of their own, over its record, which is never rewritten."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mlops_assets.tracking.event_rows import ANNOTATION_ENTRY, document
from mlops_assets.tracking.record import RunRecord, now
from partitions.errors import MlopsError
from partitions.values import canonical_json


@dataclass(frozen=True)
class Overlay:
    """What annotations say of one run. A tag that was removed is None; ``note`` None: nothing was noted."""

    note: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)

    def over(self, record: RunRecord) -> RunRecord:
        tags = {name: value for name, value in {**record.tags, **self.tags}.items() if value is not None}
        return record.model_copy(update={"tags": tags, "note": record.note if self.note is None else self.note})


def overlays(documents: Iterable[str]) -> dict[str, Overlay]:
    """The overlay of every annotated run, from annotations in the order of their events: the last one wins."""
    found: dict[str, Overlay] = {}
    for text in documents:
        said = document(text)
        before = found.get(said["run_id"], Overlay())
        note = said.get("note")
        tags = {**before.tags, **(said.get("tags") or {})}
        found[said["run_id"]] = Overlay(before.note if note is None else note, tags)
    return found


def annotation(record: RunRecord, asset: str, by: str, change: Overlay) -> dg.AssetObservation:
    """The event that notes something about a run or tags it. ``asset``: where the run itself is tracked.

    Raises MlopsError for what is no name of a tag.
    """
    for name in change.tags:
        if not name or name != name.strip():
            raise MlopsError(f"run {record.run_id}: {name!r} is no name for a tag; write name=value")
    said: dict[str, Any] = {"run_id": record.run_id, "created_at": now().isoformat(), "created_by": by}
    if change.note is not None:
        said["note"] = change.note
    if change.tags:
        said["tags"] = dict(change.tags)
    metadata = {ANNOTATION_ENTRY: canonical_json(said), "run_id": record.run_id}
    return dg.AssetObservation(dg.AssetKey([record.project, asset]), partition=record.subproject, metadata=metadata)
