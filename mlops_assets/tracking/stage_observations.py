"""What is noted about the stages of subprojects beside their deployments, read on from where one has read before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from resources.event_log import EventLog

# So many events of an asset are read at a time; what is left is read at the next look.
PAGE = 2000


@dataclass(frozen=True)
class StageObservation:
    """An observation of ``deployment/<stage>`` of one subproject."""

    event_id: int
    at: datetime
    subproject: str
    stage: str
    dagster_run_id: str
    metadata: Mapping[str, Any]


class NewEvents:
    """Events of one project's assets up to a moment.

    A writer that began earlier may commit later: a moment that is some seconds ago has no more events to come.
    """

    def __init__(self, event_log: EventLog, project: str, until: datetime) -> None:
        self.instance = event_log.instance
        self.project = project
        self.until = until.timestamp()

    def observations(self, stages: Sequence[str], after: int | None) -> tuple[list[StageObservation], int]:
        """Those of the stages after an event, and the last event looked at; without one, only where one is now."""
        fetch = self.instance.fetch_observations
        assets = [dg.AssetKey([self.project, "deployment", stage]) for stage in stages]
        latest = max((self.last(fetch, asset) for asset in assets), default=0)
        if after is None or latest <= after:
            return [], latest  # SQLite gives ids of wiped events again: never wait for one to be reached
        found, seen = [], latest
        for asset in assets:
            page = fetch(self.where(asset, after), limit=PAGE, ascending=True)
            found += [one for record in page.records if (one := _observation(record, asset.path[-1])) is not None]
            if page.has_more:
                seen = min(seen, page.records[-1].storage_id)
        return [one for one in found if one.event_id <= seen], seen

    def where(self, asset: dg.AssetKey, after: int | None = None) -> dg.AssetRecordsFilter:
        return dg.AssetRecordsFilter(asset_key=asset, after_storage_id=after, before_timestamp=self.until)

    def last(self, fetch: Callable[..., dg.EventRecordsResult], asset: dg.AssetKey) -> int:
        """The id of the last event; 0 where there is none."""
        records = fetch(self.where(asset), limit=1).records
        return records[0].storage_id if records else 0


def _observation(record: dg.EventLogRecord, stage: str) -> StageObservation | None:
    entry = record.event_log_entry
    event = entry.asset_observation
    if event is None or event.partition is None:
        return None
    at = datetime.fromtimestamp(entry.timestamp, UTC)
    metadata = {name: value.value for name, value in event.metadata.items()}
    return StageObservation(record.storage_id, at, event.partition, stage, entry.run_id, metadata)
