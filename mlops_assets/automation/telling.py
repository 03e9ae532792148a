"""What people are told of though nobody told of it: read from what is on record, so that no kill loses it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from mlops_assets.assets.messages import Occurrence, of_deployment, of_run
from mlops_assets.automation.due import Due
from mlops_assets.automation.retraining import LATE
from mlops_assets.tracking.retrainings import Retraining
from mlops_assets.tracking.stage_observations import StageObservation
from partitions.messages import Event
from resources.event_log import LoggedEvent
from resources.ledger.deployment import Deployment

EVENTS: Mapping[str, Event] = {
    "deploy": "deployed",
    "retrain": "deployed",
    "promote": "deployed",
    "rollback": "rolled_back",
    "undeploy": "undeployed",
}


# What a decision that left a stage as it was is to people. Of a deployer who was faster, the ledger tells.
LEFT_AS_IT_WAS: Mapping[str, Literal["gate_failed", "fine"]] = {"rejected": "gate_failed", "unchanged": "fine"}


def decided(deployments: Iterable[Deployment]) -> list[Occurrence]:
    """What the ledger's decisions are to people; what moves to the archive is no news of its own."""
    return [
        Occurrence(
            event=EVENTS[one.action],
            project=one.project,
            subproject=one.subproject,
            stage=one.stage,
            text=f"{one.action} by {one.by}: {one.why}" + (f" (run {one.run_id[-12:]})" if one.run_id else ""),
            id=of_deployment(one.deployment_id),
            data={"sequence": one.sequence, "run_id": one.run_id},
            at=one.at,
        )
        for one in deployments
        if one.action in EVENTS
    ]


def judged(project: str, observed: Iterable[StageObservation]) -> list[Occurrence]:
    """Decisions that left a stage as it was: a model that did not pass its gates, and a retraining without news."""
    found = []
    for one in observed:
        event = LEFT_AS_IT_WAS.get(str(one.metadata.get("decision")))
        if event is not None:
            run = {"dagster_run_id": one.dagster_run_id, "run_id": one.metadata.get("run_id")}
            text = str(one.metadata.get("why", ""))
            identity = of_run(one.dagster_run_id or f"event {one.event_id}", one.subproject, one.stage)
            found.append(Occurrence(event, project, one.subproject, one.stage, text, identity, run, one.at))
    return found


def not_retrained(project: str, run: Retraining, noted: Iterable[LoggedEvent]) -> list[Occurrence]:
    """Those that a run which failed, was cancelled or was killed did not bring to a decision.

    ``noted``: what the run has materialised and observed.
    """
    events = list(noted)
    arrived = {one.partition for one in events if one.asset == (project, "deployment", run.stage)}
    why = {one.partition: str(one.metadata["error"]) for one in events if "error" in one.metadata}
    bad_data = {one.partition for one in events if one.metadata.get("data") == "failed"}
    ended = f"Dagster run {run.dagster_run_id[:8]} ended ({run.status.value.lower()}) before it got there"
    return [
        Occurrence(
            event="data_failed" if subproject in bad_data else "retraining_failed",
            project=project,
            subproject=subproject,
            stage=run.stage,
            text=why.get(subproject, ended),
            id=of_run(run.dagster_run_id, subproject, run.stage),
            data={"dagster_run_id": run.dagster_run_id},
            at=run.ended_at or run.created_at,
        )
        for subproject in run.subprojects
        if subproject not in arrived
    ]


def overdue(
    project: str, due: Sequence[Due], runs: Iterable[Retraining], deployed: Mapping[tuple[str, str], datetime]
) -> list[Occurrence]:
    """Of what was due, that for which no retraining was started, though something is deployed to be retrained."""
    started = {((subproject, run.stage), at) for run in runs for subproject, at in run.due.items()}
    never = datetime.max.replace(tzinfo=UTC)
    return [
        Occurrence(
            event="retraining_overdue",
            project=project,
            subproject=one.subproject,
            stage=one.stage,
            text=f"due at {one.at:%Y-%m-%d %H:%M} UTC, not started within {int(LATE.total_seconds() // 60)} minutes",
            id=f"due {one.at.isoformat()} {one.subproject} {one.stage}",
            at=one.at + LATE,
        )
        for one in due
        if ((one.subproject, one.stage), one.at) not in started
        and deployed.get((one.subproject, one.stage), never) < one.at
    ]
