"""What people are told of though nobody told of it: read from what is on record, so that no kill loses it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from mlops_assets.assets.messages import Occurrence, of_deployment, of_run
from mlops_assets.automation.due import Due
from mlops_assets.automation.retraining import LATE
from mlops_assets.tracking.retrainings import Retraining
from partitions.messages import Event
from resources.ledger.deployment import Deployment

EVENTS: Mapping[str, Event] = {
    "deploy": "deployed",
    "retrain": "deployed",
    "promote": "deployed",
    "rollback": "rolled_back",
    "undeploy": "undeployed",
}


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


def broken_off(project: str, runs: Iterable[Retraining], arrived: Mapping[str, Collection[str]]) -> list[Occurrence]:
    """Those that a run which failed, was cancelled or was killed did not get to. ``arrived``: by run, those it did."""
    return [
        Occurrence(
            event="retraining_failed",
            project=project,
            subproject=subproject,
            stage=run.stage,
            text=f"Dagster run {run.dagster_run_id[:8]} ended ({run.status.value.lower()}) before it got there",
            id=of_run(run.dagster_run_id, subproject, run.stage),
            data={"dagster_run_id": run.dagster_run_id},
            at=run.ended_at or run.created_at,
        )
        for run in runs
        for subproject in run.subprojects
        if subproject not in arrived.get(run.dagster_run_id, ())
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
