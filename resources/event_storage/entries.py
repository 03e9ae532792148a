"""Events as Dagster itself logs them: the same fields, levels and messages, so that the web UI shows them alike."""

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan.handle import StepHandle
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

AssetEvent = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


@dataclass(frozen=True)
class RunStep:
    """The step of a Dagster run that events belong to."""

    run_id: str
    job_name: str
    step_key: str

    @classmethod
    def of(cls, context: Any) -> "RunStep":
        """The step that runs in ``context``."""
        # An asset's context deprecates what it hands on of its op's.
        context = getattr(context, "op_execution_context", context)
        return cls(context.run.run_id, context.run.job_name, context.op.name)


@dataclass(frozen=True)
class NotMade:
    """A partition of an asset that a run did not make: Dagster shows it as failed once the run has ended.

    Dagster takes a partition that was planned and not made as failed. Planned events of many partitions are written as
    one without partitions (1,000 cost a minute otherwise), so those that failed are planned here.
    """

    asset: tuple[str, ...]
    partition: str


def entries(events: Iterable[AssetEvent | NotMade], step: RunStep | None) -> list[EventLogEntry]:
    """An entry per event, in their order: of ``step``, or outside any run."""
    if step is None:
        return [_entry(event, {"job_name": RUNLESS_JOB_NAME}, RUNLESS_RUN_ID) for event in events]
    handle = StepHandle.parse_from_key(step.step_key)
    node = handle.node_handle
    of_step = {
        "job_name": step.job_name,
        "step_key": step.step_key,
        "step_handle": handle,
        "node_handle": node,
        "step_kind_value": "COMPUTE",
        "logging_tags": {
            "job_name": step.job_name,
            "op_name": node.name,
            "resource_fn_name": "None",
            "resource_name": "None",
            "run_id": step.run_id,
            "step_key": step.step_key,
        },
    }
    return [_entry(event, of_step, step.run_id) for event in events]


def _entry(event: AssetEvent | NotMade, of_step: dict[str, Any], run_id: str) -> EventLogEntry:
    kind, content, message = _content(event)
    logged = DagsterEvent(
        event_type_value=kind.value, event_specific_data=content, message=message, pid=os.getpid(), **of_step
    )
    said = message if message is not None else f"{kind} for step {of_step.get('step_key')}"
    return _logged(logged, said, run_id)


def _logged(event: DagsterEvent, said: str, run_id: str) -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message=said,
        run_id=run_id,
        timestamp=time.time(),
        step_key=event.step_key,
        job_name=event.job_name,
        dagster_event=event,
    )


def _content(event: AssetEvent | NotMade) -> tuple[DagsterEventType, Any, str | None]:
    if isinstance(event, dg.AssetMaterialization):
        message = event.description or f"Materialized value {event.label}."
        return DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event), message
    if isinstance(event, dg.AssetObservation):
        return DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event), None
    if isinstance(event, NotMade):
        planned = AssetMaterializationPlannedData(dg.AssetKey(list(event.asset)), partition=event.partition)
        intention = f"{event.partition} was to be materialized."
        return DagsterEventType.ASSET_MATERIALIZATION_PLANNED, planned, intention
    verdict = "passed." if event.passed else "did not pass."
    description = "" if event.description is None else f" Description: '{event.description}'"
    message = f"Asset check '{event.check_name}' on '{event.asset_key.to_user_string()}' {verdict}{description}"
    return DagsterEventType.ASSET_CHECK_EVALUATION, event, message
