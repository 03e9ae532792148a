"""``deployment/<stage>``: which model serves in a stage, each change of it a materialisation.

The ledger is the truth; these assets show it in Dagster. Models get there by ``mlops deploy`` and its like, by
schedules, and by a lifecycle run in which the stage is selected.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.decision import Decision
from mlops_assets.quality.verdicts import GateVerdict
from partitions.project import Project
from partitions.stage_order import ARCHIVE
from resources.event_log import DATA_VERSION_TAG, EventLog
from resources.ledger.deployment import Deployment

if TYPE_CHECKING:
    from resources.ledger.ledger import Ledger

ENTRY = "deployment"
NOTHING = "none"
# A row is in the ledger a moment before its event is in the log: what is as young as this may be on its way.
ON_ITS_WAY = timedelta(seconds=30)
# Far more rows than one process appends before it logs their events.
LOOKED_BACK = 2000


def deployment_key(project: str, stage: str) -> dg.AssetKey:
    return dg.AssetKey([project, "deployment", stage])


def deployment_specs(project: Project) -> list[dg.AssetSpec]:
    """One per declared stage, in order, each downstream of the one before; then the archive. Parts of the lifecycle."""
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
                skippable=True,
                kinds={"python"},
            )
        )
        above = key
    return specs


def deployed(deployment: Deployment) -> dg.AssetMaterialization:
    """A row of the ledger as an event. Its data version is the digest of the model that serves from now on."""
    metadata: dict[str, Any] = {
        ENTRY: deployment.model_dump_json(),
        "sequence": deployment.sequence,
        "action": deployment.action,
        "run_id": deployment.run_id or NOTHING,
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
        tags={DATA_VERSION_TAG: serving_digest(deployment)},
    )


def decided(project: str, decision: Decision) -> dg.AssetObservation:
    """A decision that left the stage as it was: what was decided, and the verdicts."""
    metadata: dict[str, Any] = {"decision": decision.result, "why": decision.said, "run_id": decision.run_id or NOTHING}
    if decision.verdicts:
        metadata["gates"] = dg.MetadataValue.md(verdict_table(decision.verdicts))
    return dg.AssetObservation(
        deployment_key(project, decision.stage), partition=decision.subproject, metadata=metadata
    )


def stands(project: str, decision: Decision, serving: Deployment | None) -> dg.AssetMaterialization:
    """The same decision as a materialisation: its data version is the digest of the model that goes on serving."""
    metadata: dict[str, Any] = {
        "decision": decision.result,
        "why": decision.said,
        "sequence": serving.sequence if serving is not None else 0,
        "run_id": (serving.run_id if serving is not None else None) or NOTHING,
    }
    if decision.verdicts:
        metadata["gates"] = dg.MetadataValue.md(verdict_table(decision.verdicts))
    return dg.AssetMaterialization(
        deployment_key(project, decision.stage),
        partition=decision.subproject,
        metadata=metadata,
        tags={DATA_VERSION_TAG: serving_digest(serving) if serving is not None else NOTHING},
    )


def verdict_table(verdicts: Sequence[GateVerdict]) -> str:
    lines = [f"| `{v.gate}` | {v.outcome.replace('_', ' ')} | {_cell(v.reason)} | {_cell(v.title)} |" for v in verdicts]
    return "\n".join(["| gate | verdict | because | wanted |", "|---|---|---|---|", *lines])


def unannounced(
    event_log: EventLog, ledger: "Ledger", project: str, older_than: timedelta = ON_ITS_WAY
) -> list[Deployment]:
    """Rows of the ledger that the event log does not tell of, oldest first: who appended them was killed meanwhile.

    Looked for among the last rows, as whoever deploys asks this first; ``never_announced`` looks at all of them. Rows
    as young as ``older_than`` are left out: their events are on their way.
    """
    tail = ledger.history(project, after=ledger.position() - LOOKED_BACK, evidence=False)
    by_stage: dict[str, list[Deployment]] = {}
    for row in tail:
        by_stage.setdefault(row.stage, []).append(row)
    found = (row for rows in by_stage.values() for row in _not_shown(event_log, rows))
    missed = {row.sequence for row in found if _is_old(row, older_than)}
    if not missed:
        return []
    return [row for row in ledger.history(project, after=min(missed) - 1) if row.sequence in missed]


def _not_shown(event_log: EventLog, rows: Sequence[Deployment]) -> list[Deployment]:
    """Of these rows of one stage, oldest first, those after the one that their partition shows last."""
    asset = (rows[0].project, "deployment", rows[0].stage)
    last = {row.subproject: row for row in rows}
    # Digests of models are tags, and found without reading an event.
    shown = event_log.latest_data_versions(asset, list(last))
    differing = [key for key, row in last.items() if shown.get(key) != serving_digest(row)]
    events = event_log.latest(asset, differing)
    told = {key: int(events[key].metadata["sequence"]) if key in events else 0 for key in differing}
    return [row for row in rows if row.subproject in told and row.sequence > told[row.subproject]]


def never_announced(
    event_log: EventLog, ledger: "Ledger", project: str, older_than: timedelta = ON_ITS_WAY
) -> list[Deployment]:
    """The same, told from every event: also of materialisations that a person has wiped."""
    rows = ledger.history(project)
    told = {
        int(event.metadata["sequence"])
        for stage in {row.stage for row in rows}
        for event in event_log.events((project, "deployment", stage))
        # Where a stage was selected, a decision that changed nothing is a materialisation as well.
        if ENTRY in event.metadata
    }
    return [row for row in rows if row.sequence not in told and _is_old(row, older_than)]


def serving_digest(deployment: Deployment) -> str:
    """What the data version of a stage is: the digest of the model that serves."""
    return deployment.model.digest if deployment.model is not None else NOTHING


def announce(event_log: EventLog, deployments: Iterable[Deployment]) -> int:
    """Log their events, outside any run; return how many that were."""
    events = [deployed(deployment) for deployment in deployments]
    event_log.store(events)
    return len(events)


def _is_old(row: Deployment, age: timedelta) -> bool:
    return datetime.now(UTC) - row.at > age


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
