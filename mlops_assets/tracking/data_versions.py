"""The data versions of one subproject: what each holds, when it was taken, and which runs used it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Literal

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter

from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from resources.datasets import DatasetStore, Snapshot
from resources.event_log import EventLog, LoggedEvent

CHECK = "expectations"
PAGE = 1000

Verdict = Literal["passed", "warned", "failed"]


@dataclass(frozen=True)
class ColumnChanges:
    """The columns that a data version has and the one before it has not, the other way round, and those of another type
    (from, to)."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> "ColumnChanges":
        return cls(
            added=tuple(name for name in after if name not in before),
            removed=tuple(name for name in before if name not in after),
            retyped={name: (before[name], dtype) for name, dtype in after.items() if before.get(name, dtype) != dtype},
        )

    def __str__(self) -> str:
        """``+ weight, - height, age int64 -> float64``; empty where nothing changed."""
        signed = [f"+ {name}" for name in self.added] + [f"- {name}" for name in self.removed]
        return ", ".join([*signed, *(f"{name} {old} -> {new}" for name, (old, new) in self.retyped.items())])


@dataclass(frozen=True)
class DataVersion:
    """One data version. Times are UTC.

    first_seen, last_seen: when a snapshot of this content was taken first and last; ``taken``: how often.
    changes: of the columns, against the version taken before this one; None where that is not known.
    runs: ids of the runs on it, oldest first. expectations: the last verdict; None where nobody looked.
    bytes: of the stored file; None, as the columns, where the manifest of the snapshot is gone.
    """

    data_version: str
    rows: int | None = None
    columns: Mapping[str, str] | None = None
    changes: ColumnChanges | None = None
    since: str | None = None
    until: str | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    taken: int = 0
    runs: tuple[str, ...] = ()
    expectations: Verdict | None = None
    bytes: int | None = None

    def row(self) -> dict[str, Any]:
        """As plain data, with the same keys for every version."""
        changes = self.changes
        return {
            "data_version": self.data_version,
            "rows": self.rows,
            "columns": dict(self.columns) if self.columns is not None else None,
            "columns_added": list(changes.added) if changes else None,
            "columns_removed": list(changes.removed) if changes else None,
            "columns_retyped": {name: list(types) for name, types in changes.retyped.items()} if changes else None,
            "since": self.since,
            "until": self.until,
            "first_seen": self.first_seen.isoformat() if self.first_seen else None,
            "last_seen": self.last_seen.isoformat() if self.last_seen else None,
            "taken": self.taken,
            "runs": list(self.runs),
            "expectations": self.expectations,
            "bytes": self.bytes,
        }


def data_versions(tracker: Tracker, store: DatasetStore, subproject: str) -> list[DataVersion]:
    """All data versions of a subproject, the one taken last first; none is an empty list.

    A snapshot that was stored and never materialised (its process died in between, or its events were wiped) counts as
    taken no times.
    """
    project, log = tracker.project, tracker.event_log
    versions: dict[str, DataVersion] = {}
    by_dagster_run: dict[str, str] = {}
    for event in log.events((project, "dataset"), [subproject]):
        version = event.metadata.get("data_version")
        if version is not None:
            versions[version] = _taken(versions.get(version) or DataVersion(version), event)
            by_dagster_run[event.run_id] = version
    for snapshot in store.versions(f"{project}/{subproject}"):
        known = versions.get(snapshot.data_version) or DataVersion(snapshot.data_version)
        versions[snapshot.data_version] = _stored(known, snapshot)
    verdicts = _verdicts(log, project, subproject, by_dagster_run)
    runs: dict[str, list[str]] = {}
    for run in tracker.rows(RunQuery(subprojects=(subproject,), sort="created_at, run_id")).as_dicts():
        runs.setdefault(run.get("data_version") or "", []).append(run["run_id"])
    found = [
        replace(version, runs=tuple(runs.get(name, ())), expectations=verdicts.get(name))
        for name, version in versions.items()
    ]
    return _with_changes(sorted(found, key=_when, reverse=True))


def _taken(version: DataVersion, event: LoggedEvent) -> DataVersion:
    moment = datetime.fromtimestamp(event.timestamp, UTC)
    return replace(
        version,
        rows=event.metadata.get("dagster/row_count"),
        since=event.metadata.get("since"),
        until=event.metadata.get("until"),
        first_seen=version.first_seen or moment,
        last_seen=moment,
        taken=version.taken + 1,
    )


def _stored(version: DataVersion, snapshot: Snapshot) -> DataVersion:
    since, until = (str(bound) for bound in snapshot.time_range) if snapshot.time_range else (None, None)
    return replace(
        version,
        rows=snapshot.rows,
        columns=snapshot.columns,
        since=since,
        until=until,
        first_seen=min(filter(None, (version.first_seen, snapshot.created_at))),
        bytes=snapshot.artifact.bytes,
    )


def _when(version: DataVersion) -> tuple[float, str]:
    moment = version.last_seen or version.first_seen
    return (moment.timestamp() if moment else 0.0, version.data_version)


def _with_changes(newest_first: Sequence[DataVersion]) -> list[DataVersion]:
    described: list[DataVersion] = []
    for version, before in zip_longest(newest_first, newest_first[1:]):
        if before is not None and version.columns is not None and before.columns is not None:
            version = replace(version, changes=ColumnChanges.between(before.columns, version.columns))
        described.append(version)
    return described


def _verdicts(log: EventLog, project: str, subproject: str, by_dagster_run: Mapping[str, str]) -> dict[str, Verdict]:
    """The last verdict of the expectations on each version: that of the Dagster run that took it."""
    verdicts: dict[str, Verdict] = {}
    for run_id, evaluation in _evaluations(log, project, subproject):
        version = by_dagster_run.get(run_id)
        if version is not None and version not in verdicts:
            warned = evaluation.severity is dg.AssetCheckSeverity.WARN
            verdicts[version] = "passed" if evaluation.passed else "warned" if warned else "failed"
    return verdicts


def _evaluations(log: EventLog, project: str, subproject: str) -> Iterable[tuple[str, dg.AssetCheckEvaluation]]:
    """The evaluations of one subproject's data, newest first, with the Dagster run that made each."""
    check = dg.AssetCheckKey(dg.AssetKey([project, "dataset"]), CHECK)
    cursor = None
    while True:
        page = log.instance.event_log_storage.get_asset_check_execution_history(
            check, PAGE, cursor, partition_filter=PartitionKeyFilter(key=subproject)
        )
        for execution in page:
            event = execution.event.dagster_event if execution.event else None
            if event is not None and isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
                yield execution.run_id, event.event_specific_data
        if len(page) < PAGE:
            return
        cursor = page[-1].id
