"""What a subproject's way has brought, as Dagster events: materialisations where it got there, observations where not.

A failed run is an observation: its record is kept, and the partition does not turn green.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlops_assets.assets.way import Arrived
from mlops_assets.tracking.record import RECORD_ENTRY, RunRecord, to_text
from resources.event_log import DATA_VERSION_TAG
from resources.event_storage.entries import NotMade


@dataclass(frozen=True)
class Materialized:
    """One asset of one subproject, made: logged as an event of its own, or handed to Dagster as the step's result."""

    key: dg.AssetKey
    partition: str
    metadata: dict[str, Any]
    data_version: str

    def as_event(self) -> dg.AssetMaterialization:
        tags = {DATA_VERSION_TAG: self.data_version}
        return dg.AssetMaterialization(self.key, partition=self.partition, metadata=self.metadata, tags=tags)

    def as_result(self, check_results: list[dg.AssetCheckResult]) -> "dg.MaterializeResult[Any]":
        return dg.MaterializeResult(
            asset_key=self.key,
            metadata=self.metadata,
            data_version=dg.DataVersion(self.data_version),
            check_results=check_results,
        )


def dataset_made(project: str, arrived: Arrived) -> Materialized | None:
    """The snapshot of this way, if it took one."""
    snapshot = arrived.snapshot
    if snapshot is None:
        return None
    columns = "\n".join(f"| `{name}` | {dtype} |" for name, dtype in snapshot.columns.items())
    metadata: dict[str, Any] = {
        "data_version": snapshot.data_version,
        "dagster/row_count": snapshot.rows,
        "changed": snapshot.is_new,
        "columns": dg.MetadataValue.md(f"| column | type |\n|---|---|\n{columns}"),
    }
    if snapshot.time_range is not None:
        metadata["since"], metadata["until"] = (str(bound) for bound in snapshot.time_range)
    return Materialized(dg.AssetKey([project, "dataset"]), arrived.subproject, metadata, snapshot.data_version)


def run_made(key: dg.AssetKey, record: RunRecord) -> Materialized:
    """A run that succeeded, under the asset that tracks it: its record, and its metrics as numbers."""
    metadata = {RECORD_ENTRY: to_text(record), "run_id": record.run_id, **_numbers(record)}
    return Materialized(key, record.subproject, metadata, record.predictions or "")


def model_made(project: str, record: RunRecord) -> Materialized:
    return run_made(dg.AssetKey([project, "model"]), record)


def metrics_made(project: str, arrived: Arrived, record: RunRecord) -> Materialized:
    """The metrics as numbers, so that the web UI plots them over time, with the figures of this run where drawn."""
    metadata: dict[str, Any] = {"run_id": record.run_id, **_numbers(record)}
    if arrived.table:
        metadata["table"] = dg.MetadataValue.md(arrived.table)
    for name, png in arrived.figures.items():
        encoded = base64.b64encode(png).decode()
        metadata[name] = dg.MetadataValue.md(f"![{name}](data:image/png;base64,{encoded})")
    return Materialized(dg.AssetKey([project, "metrics"]), record.subproject, metadata, record.predictions or "")


def experiment_events(project: str, arrived: Arrived) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """One event per dev run of this way."""
    key = dg.AssetKey([project, "experiments"])
    for record in arrived.records:
        if record.status == "succeeded":
            yield run_made(key, record).as_event()
        else:
            yield not_made(key, record)


def trial_event(project: str, record: RunRecord) -> dg.AssetMaterialization | dg.AssetObservation:
    """A run of a trial: made where it succeeded; seen where it failed, or was run in full and made its trial end."""
    key = dg.AssetKey([project, "trials"])
    if record.status == "succeeded":
        return run_made(key, record).as_event()
    if record.status == "pruned":
        return dg.AssetObservation(key, partition=record.subproject, metadata=run_made(key, record).metadata)
    return not_made(key, record)


def not_made(key: dg.AssetKey, record: RunRecord, **said: str) -> dg.AssetObservation:
    """A run that failed: its record, and the reason where people look first. ``said``: what else is known of it."""
    reason = record.error.message if record.error else record.status
    metadata = {RECORD_ENTRY: to_text(record), "run_id": record.run_id, "error": reason, **said}
    return dg.AssetObservation(key, partition=record.subproject, metadata=metadata)


def _numbers(record: RunRecord) -> dict[str, float]:
    return {name: float(value) for name, value in record.metrics.items()}


def unmade(project: str, steps: Iterable[str], subproject: str) -> list[NotMade]:
    """Dagster is told of every selected step (``model``, ``deployment/testing``) that a subproject did not reach."""
    return [NotMade((project, *step.split("/")), subproject) for step in sorted(steps)]
