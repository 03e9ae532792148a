"""The last materialisation of every partition as it is stored: read when asked for; made for 10,000 of them.

Events are taken from the table as they are: Dagster makes its own objects of each, 20 times as slow.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._time import utc_datetime_from_naive

from partitions.errors import MlopsError
from resources.event_log import EventLog

PAGE = 5000


@dataclass(frozen=True)
class StoredMaterialization:
    """When it was logged, and the event as it is stored."""

    at: datetime
    event: str

    @property
    def tags(self) -> Mapping[str, str]:
        return self._read.get("tags") or {}

    def entry(self, label: str) -> Any:
        """The value of a metadata entry: a text or a number; None where there is none."""
        for entry in self._read.get("metadata_entries") or ():
            if entry["label"] == label:
                data = entry["entry_data"]
                return data.get("value", data.get("text"))
        return None

    @cached_property
    def _read(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.event)["dagster_event"]["event_specific_data"]["materialization"]
        return found


def latest_stored(
    event_log: EventLog, asset: Iterable[str], subprojects: Iterable[str] | None = None
) -> dict[str, StoredMaterialization]:
    """The last materialisation of every subproject (or of these) that has one."""
    # As the event log does: a code location that is only described loads no storage.
    import sqlalchemy as sql
    from dagster._core.storage.event_log import SqlEventLogStorage
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events

    storage = event_log.instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise MlopsError(f"an overview needs the event log in an SQL database; {type(storage).__name__} is none")
    partitions = None if subprojects is None else set(subprojects)
    if partitions == set():
        return {}
    by_partition = storage.get_latest_storage_id_by_partition(
        dg.AssetKey(list(asset)), dg.DagsterEventType.ASSET_MATERIALIZATION, partitions=partitions
    )
    ids = sorted(by_partition.values())
    found = sql.select(Events.c.partition, Events.c.timestamp, Events.c.event)
    latest = {}
    with storage.index_connection() as connection:
        for start in range(0, len(ids), PAGE):
            for partition, moment, event in connection.execute(found.where(Events.c.id.in_(ids[start : start + PAGE]))):
                latest[partition] = StoredMaterialization(utc_datetime_from_naive(moment), event)
    return latest
