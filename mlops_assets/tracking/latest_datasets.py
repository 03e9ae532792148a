"""The last snapshot of every subproject in short; made for 10,000 of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.tracking.latest_stored import StoredMaterialization, latest_stored
from resources.event_log import DATA_VERSION_TAG, EventLog

ROWS_ENTRY = "dagster/row_count"


@dataclass(frozen=True)
class LatestDataset:
    """The last snapshot of one subproject, read when asked for."""

    stored: StoredMaterialization

    @property
    def taken_at(self) -> datetime:
        return self.stored.at

    @property
    def data_version(self) -> str | None:
        return self.stored.tags.get(DATA_VERSION_TAG)

    @property
    def rows(self) -> int | None:
        rows = self.stored.entry(ROWS_ENTRY)
        return None if rows is None else int(rows)


def latest_datasets(
    event_log: EventLog, project: str, subprojects: Iterable[str] | None = None
) -> dict[str, LatestDataset]:
    """The last snapshot of every subproject (or of these) that has one."""
    found = latest_stored(event_log, (project, "dataset"), subprojects)
    return {key: LatestDataset(stored) for key, stored in found.items()}
