"""Runs of one project, read back from the event log."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlops_assets.tracking.record import RunRecord
from partitions.errors import UnknownName
from resources.event_log import EventKind, EventLog

RECORD_ENTRY = "record"
TRACKED_ASSETS = ("experiments", "model")
KINDS: tuple[EventKind, ...] = ("materialization", "observation")


@dataclass(frozen=True)
class LatestRuns:
    """The runs of one subproject in short: how many, how many of them failed, and the last one."""

    runs: int
    failed: int
    last: RunRecord


class Tracker:
    """Every tracked run: materialisations of what succeeded, observations of what did not."""

    def __init__(self, event_log: EventLog, project: str) -> None:
        self.event_log = event_log
        self.project = project

    def records(self, subprojects: Iterable[str] | None = None) -> list[RunRecord]:
        """The records of all runs (of these subprojects), oldest first; a run reported again counts once."""
        partitions = None if subprojects is None else list(subprojects)
        by_id = {record.run_id: record for record in self._events(partitions)}
        return sorted(by_id.values(), key=lambda record: (record.created_at, record.run_id))

    def find(self, run_id: str) -> RunRecord:
        """The run with this id, or whose id begins or ends so (at least 6 characters). Raises UnknownName."""
        records = self.records()
        found = [record for record in records if record.run_id == run_id]
        if not found and len(run_id) >= 6:
            found = [r for r in records if r.run_id.startswith(run_id) or r.run_id.endswith(run_id)]
        if not found:
            last = records[-1].run_id if records else None
            hint = f"; the last one is {last}" if last else ": no run is tracked yet, `mlops run` makes one"
            raise UnknownName(f"project {self.project!r}: no run {run_id!r} is tracked{hint}")
        if len(found) > 1:
            some = ", ".join(record.run_id for record in found[:3])
            raise UnknownName(f"project {self.project!r}: {run_id!r} fits {len(found)} runs ({some} ...): give more")
        return found[0]

    def latest(self, subprojects: Iterable[str] | None = None) -> dict[str, LatestRuns]:
        """Every subproject (or of those named) that has runs: how many, how many failed, and the last one."""
        found: dict[str, LatestRuns] = {}
        for record in self.records(subprojects):
            before = found.get(record.subproject)
            runs, failed = (before.runs, before.failed) if before else (0, 0)
            found[record.subproject] = LatestRuns(runs + 1, failed + (record.status == "failed"), record)
        return found

    def of_dagster_run(self, dagster_run_id: str) -> list[RunRecord]:
        """The runs that one Dagster run made."""
        return [record for record in self.records() if record.dagster_run_id == dagster_run_id]

    def _events(self, partitions: list[str] | None) -> Iterator[RunRecord]:
        for asset in TRACKED_ASSETS:
            for kind in KINDS:
                for event in self.event_log.events((self.project, asset), partitions, kind):
                    if RECORD_ENTRY in event.metadata:
                        yield RunRecord.model_validate_json(event.metadata[RECORD_ENTRY])
