"""Homes of Dagster on either back end, opened with our storage or with Dagster's own, and events to put into them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, DagsterEventType, JobFailureData
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan.objects import StepFailureData, StepSuccessData

from resources.event_storage.entries import AssetEvent, RunStep, entries

OURS = ("mlops_assets.tracking.home_storage", "HomeStorage")


def open_instance(folder: Path, ours: bool, url: str = "") -> dg.DagsterInstance:
    """A Dagster instance over the files of ``folder``, or the database ``url``, with our storage or Dagster's own."""
    write_settings(folder, ours, url)
    return dg.DagsterInstance.from_config(str(folder))


def write_settings(folder: Path, ours: bool, url: str = "") -> None:
    """The dagster.yaml of such an instance; nothing is made yet."""
    folder.mkdir(parents=True, exist_ok=True)
    place = {"postgres_url": url} if url else {"base_dir": str(folder)}
    stock = {"postgres" if url else "sqlite": place}
    custom = {"custom": {"module": OURS[0], "class": OURS[1], "config": place}}
    (folder / "dagster.yaml").write_text(
        yaml.safe_dump({"telemetry": {"enabled": False}, "storage": custom if ours else stock})
    )


def step(run_id: str) -> RunStep:
    return RunStep(run_id, "a_job", "lifecycle")


def of_step(run_id: str, *events: AssetEvent) -> list[EventLogEntry]:
    return entries(events, step(run_id))


def made(asset: str, partition: str | None = None, version: str | None = None, **metadata: Any) -> AssetEvent:
    tags = {"dagster/data_version": version} if version else None
    return dg.AssetMaterialization(asset, partition=partition, tags=tags, metadata=metadata)


def seen(asset: str, partition: str | None = None, version: str | None = None) -> AssetEvent:
    tags = {"dagster/data_version": version} if version else None
    return dg.AssetObservation(asset, partition=partition, tags=tags)


def judged(asset: str, check: str, passed: bool, partition: str | None = None) -> AssetEvent:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset), check_name=check, passed=passed, partition=partition, metadata={}
    )


def planned(run_id: str, asset: str, partition: str | None = None, subset: Sequence[str] = ()) -> EventLogEntry:
    """Either of one partition, of a subset of the partitions a to f, or of an asset without partitions."""
    of = DefaultPartitionsSubset(set(subset)) if subset else None
    data = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=partition, partitions_subset=of)
    return logged(run_id, DagsterEvent.build_asset_materialization_planned_event("a_job", "lifecycle", data))


def check_planned(run_id: str, asset: str, check: str, subset: Sequence[str] = ()) -> EventLogEntry:
    of = DefaultPartitionsSubset(set(subset)) if subset else None
    data = AssetCheckEvaluationPlanned(asset_key=dg.AssetKey(asset), check_name=check, partitions_subset=of)
    kind = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    return logged(run_id, DagsterEvent(kind.value, "a_job", step_key="lifecycle", event_specific_data=data))


def of_run(run_id: str, kind: DagsterEventType, step_key: str | None = None) -> EventLogEntry:
    """An event of the run or of a step that says nothing of assets."""
    said: dict[DagsterEventType, Any] = {
        DagsterEventType.STEP_SUCCESS: StepSuccessData(duration_ms=5.0),  # type: ignore[no-untyped-call]
        DagsterEventType.STEP_FAILURE: StepFailureData(error=None, user_failure_data=None),  # type: ignore[no-untyped-call]
        DagsterEventType.RUN_FAILURE: JobFailureData(error=None),
    }
    event = DagsterEvent(kind.value, "a_job", step_key=step_key, message=kind.value, event_specific_data=said.get(kind))
    return logged(run_id, event)


def message(run_id: str, text: str) -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None, level=20, user_message=text, run_id=run_id, timestamp=time.time(), job_name="a_job"
    )


def logged(run_id: str, event: DagsterEvent) -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=10,
        user_message="",
        run_id=run_id,
        timestamp=time.time(),
        step_key=event.step_key,
        job_name="a_job",
        dagster_event=event,
    )
