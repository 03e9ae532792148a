"""Runs that were kept and are not tracked: their record.json is there, and the event log knows nothing of them.

A process died between the two, or a person wiped an asset or deleted events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlops_assets.tracking.record import RunRecord, now
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import ArtifactError, MlopsError
from resources.artifacts import ArtifactStore

# A record.json comes before its event: the process that wrote it may be about to log that.
SETTLING = timedelta(minutes=1)


@dataclass(frozen=True)
class LostRuns:
    """What is kept and not tracked of one project.

    ``kept``: how many record.json there are. ``records``: lost runs, oldest first. ``recent``: ids of runs too young to
    be called lost. ``unreadable``: why a record.json says nothing, by its path.
    """

    kept: int = 0
    records: tuple[RunRecord, ...] = ()
    recent: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)


def lost_runs(tracker: Tracker, artifacts: ArtifactStore, moment: datetime | None = None) -> LostRuns:
    """The lost runs of the tracker's project, as of ``moment`` (default now)."""
    settled = (moment or now()) - SETTLING
    paths = artifacts.list_documents(f"runs/{tracker.project}")
    # Asked after the listing: whatever was logged meanwhile is tracked, not lost.
    tracked = set(tracker.run_ids())
    records, recent, unreadable = [], [], {}
    for path in (path for path in paths if path.rsplit("/", 2)[-2] not in tracked):
        try:
            record = kept_record(artifacts, path)
        except MlopsError as error:
            unreadable[path] = str(error)
            continue
        if record.created_at > settled:
            recent.append(record.run_id)
        else:
            records.append(record)
    records.sort(key=lambda record: (record.created_at, record.run_id))
    return LostRuns(len(paths), tuple(records), tuple(recent), unreadable)


def kept_record(artifacts: ArtifactStore, path: str) -> RunRecord:
    """The record in a document ``runs/PROJECT/SUBPROJECT/RUN/record.json``. Raises ArtifactError if it holds none."""
    try:
        record = RunRecord.model_validate_json(artifacts.read_document(path))
    except (ValueError, MlopsError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
    if path != f"runs/{record.project}/{record.subproject}/{record.run_id}/record.json":
        raise ArtifactError(f"{path} holds the record of another run: {record.where}, run {record.run_id}")
    if record.created_at.tzinfo is None:
        raise ArtifactError(f"{path} is damaged: created_at has no time zone")
    return record


def snapshots_without_events(artifacts: ArtifactStore, project: str, materialized: Mapping[str, str]) -> int:
    """How many subprojects have snapshots in the store and no materialisation of ``dataset``."""
    return len({_owner(path) for path in artifacts.list_documents(f"datasets/{project}")} - set(materialized))


def _owner(path: str) -> str:
    return path.rsplit("/", 2)[-2]
