"""``deployment/<stage>``: which model serves in a stage, each change of it a materialisation.

The ledger is the truth; these assets show it in Dagster. Not executable: models get there by ``mlops deploy`` and its
like, and by schedules.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.decision import Decision
from mlops_assets.quality.verdicts import GateVerdict
from partitions.dynamic import subproject_partitions
from partitions.project import Project
from partitions.stage_order import ARCHIVE
from resources.event_log import DATA_VERSION_TAG, EventLog
from resources.ledger.deployment import Deployment

if TYPE_CHECKING:
    from resources.ledger.ledger import Ledger

ENTRY = "deployment"
SEQUENCE_TAG = "mlops/sequence"
# A row is in the ledger a moment before its event is in the log: what is as young as this may be on its way.
ON_ITS_WAY = timedelta(seconds=30)


def deployment_key(project: str, stage: str) -> dg.AssetKey:
    return dg.AssetKey([project, "deployment", stage])


def deployment_specs(project: Project) -> list[dg.AssetSpec]:
    """One per declared stage, in order, each downstream of the one before; then the archive."""
    specs, above = [], dg.AssetKey([project.name, "metrics"])
    for stage in [*(stage.name for stage in project.stages), ARCHIVE]:
        key = deployment_key(project.name, stage)
        said = (
            "The model that was replaced last in the last stage: still served, and monitored."
            if stage == ARCHIVE
            else f"The model that serves in {stage}: which run, since when, by whose decision and with which evidence."
        )
        specs.append(
            dg.AssetSpec(
                key,
                deps=[above],
                description=said,
                partitions_def=subproject_partitions(project.name),
                group_name=project.name,
                kinds={"python"},
            )
        )
        above = key
    return specs


def deployed(deployment: Deployment) -> dg.AssetMaterialization:
    """A row of the ledger as an event. Its data version is the digest of the model that serves from now on."""
    model = deployment.model
    metadata: dict[str, Any] = {
        ENTRY: deployment.model_dump_json(),
        "sequence": deployment.sequence,
        "action": deployment.action,
        "run_id": deployment.run_id or "none",
        "why": f"{deployment.why} ({deployment.by})",
        **{name: float(value) for name, value in deployment.metrics.items()},
    }
    verdicts = [GateVerdict.model_validate(verdict) for verdict in deployment.evidence.get("verdicts", ())]
    if verdicts:
        metadata["gates"] = dg.MetadataValue.md(verdict_table(verdicts))
    return dg.AssetMaterialization(
        deployment_key(deployment.project, deployment.stage),
        partition=deployment.subproject,
        metadata=metadata,
        tags={DATA_VERSION_TAG: model.digest if model else "none", SEQUENCE_TAG: str(deployment.sequence)},
    )


def decided(project: str, decision: Decision) -> dg.AssetObservation:
    """A decision that left the stage as it was: what was decided, and the verdicts."""
    metadata: dict[str, Any] = {"decision": decision.result, "why": decision.said, "run_id": decision.run_id or "none"}
    if decision.verdicts:
        metadata["gates"] = dg.MetadataValue.md(verdict_table(decision.verdicts))
    return dg.AssetObservation(
        deployment_key(project, decision.stage), partition=decision.subproject, metadata=metadata
    )


def verdict_table(verdicts: Sequence[GateVerdict]) -> str:
    lines = [f"| `{v.gate}` | {v.outcome.replace('_', ' ')} | {_cell(v.reason)} | {_cell(v.title)} |" for v in verdicts]
    return "\n".join(["| gate | verdict | because | wanted |", "|---|---|---|---|", *lines])


def unannounced(event_log: EventLog, ledger: "Ledger", project: str) -> list[Deployment]:
    """Rows of the ledger that the event log does not tell of, oldest first: who appended them was killed meanwhile.

    Seen by what each partition shows last, so it costs two queries and one per stage. Events that a person has wiped
    are missed alike. Rows as young as half a minute are left out: their events are on their way.
    """
    current = ledger.current(project, evidence=False)
    shown = {stage: _sequences(event_log, project, stage) for stage in {stage for _, stage in current}}
    behind = {
        (subproject, stage): shown[stage].get(subproject, 0)
        for (subproject, stage), deployment in current.items()
        if shown[stage].get(subproject, 0) < deployment.sequence
    }
    if not behind:
        return []
    young = datetime.now(UTC) - ON_ITS_WAY
    rows = ledger.history(project, after=min(behind.values()))
    return [
        row for row in rows if row.sequence > behind.get((row.subproject, row.stage), row.sequence) and row.at < young
    ]


def announce(event_log: EventLog, deployments: Iterable[Deployment]) -> int:
    """Log their events, outside any run; return how many that were."""
    events = [deployed(deployment) for deployment in deployments]
    event_log.store(events)
    return len(events)


def _sequences(event_log: EventLog, project: str, stage: str) -> dict[str, int]:
    """The sequence that each partition of a stage shows last."""
    return dict(_numbers(event_log.latest_tags((project, "deployment", stage), SEQUENCE_TAG)))


def _numbers(tags: dict[str, str]) -> Iterator[tuple[str, int]]:
    yield from ((partition, int(value)) for partition, value in tags.items() if value.isdigit())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
