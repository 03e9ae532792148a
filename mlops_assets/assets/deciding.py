"""From a model that was judged to a deployment: the proof of parity, then the ledger. Of many at once, in one go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.decision import Decision, said_of_gates
from mlops_assets.quality.verdicts import GateVerdict, stops
from mlops_assets.tracking.record import RunRecord
from partitions.catalogue import SubprojectConfiguration
from partitions.stage_order import ARCHIVE, is_last, stage_named
from resources.ledger.deployment import Action, Deployment, LedgerConflict, ModelFile, NewDeployment
from resources.proof import Parity

if TYPE_CHECKING:
    from resources.ledger.ledger import Current, Ledger


Prove = Callable[[RunRecord], Parity]


@dataclass(frozen=True)
class Order:
    """What was asked for: which action in which stage, by whom and why.

    reason: what set it off (person, schedule, new data, drift). revision: the code version that was asked for.
    """

    stage: str
    action: Action
    why: str
    by: str
    reason: str = "person"
    revision: str | None = None
    dagster_run_id: str | None = None


@dataclass(frozen=True)
class Standing:
    """What stands in a stage, and in the archive, when something else is decided there."""

    current: Deployment | None = None
    archived: Deployment | None = None

    @classmethod
    def of(cls, current: "Current", subproject: str, stage: str) -> "Standing":
        return cls(current.get((subproject, stage)), current.get((subproject, ARCHIVE)))

    @property
    def serving(self) -> Deployment | None:
        """What serves now; None also after ``undeploy``."""
        return self.current if self.current is not None and self.current.serves else None


@dataclass(frozen=True)
class Candidate:
    """A run that is to serve in a stage. ``deployment``: what else its row holds (configuration, evidence ...).

    ``note``: what people are told with the deployment.
    """

    configuration: SubprojectConfiguration
    record: RunRecord
    standing: Standing
    verdicts: tuple[GateVerdict, ...] = ()
    deployment: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Deciding:
    """Decides about candidates of one order. Nothing becomes visible before the ledger has it; there it is whole."""

    ledger: "Ledger"
    order: Order
    prove: Prove

    def decide(self, candidates: Sequence[Candidate]) -> list[Decision]:
        """A decision for each, in their order."""
        decisions: dict[int, Decision] = {}
        rows: dict[int, list[NewDeployment]] = {}
        for place, candidate in enumerate(candidates):
            if stops(candidate.verdicts):
                decisions[place] = self._decision(candidate, "rejected", said_of_gates(candidate.verdicts))
        left = [place for place in range(len(candidates)) if place not in decisions]
        proofs = [self.prove(candidates[place].record) for place in left]
        for place, proof in zip(left, proofs, strict=True):
            if proof.identical:
                rows[place] = self._rows(candidates[place], proof)
                continue
            said = f"the stored model does not serve as it was trained: {proof.reason}; nothing was deployed"
            decisions[place] = self._decision(candidates[place], "failed", said)
        answers = iter(self.ledger.append([row for of_one in rows.values() for row in of_one]))
        for place, of_one in rows.items():
            decisions[place] = self._answered(candidates[place], [next(answers) for _ in of_one])
        return [decisions[place] for place in range(len(candidates))]

    def _answered(self, candidate: Candidate, answers: "list[Deployment | LedgerConflict]") -> Decision:
        answer, *moved = answers
        if isinstance(answer, LedgerConflict):
            return self._decision(candidate, "lost", str(answer).partition(": ")[2])
        replaced = candidate.standing.serving
        instead = f", instead of run {replaced.run_id}" if replaced is not None else ""
        said = f"{_DONE[answer.action]} {answer.stage}: run {answer.run_id} (sequence {answer.sequence}){instead}"
        return Decision(
            candidate.configuration.key,
            answer.stage,
            "deployed",
            said + candidate.note,
            run_id=answer.run_id,
            deployment=answer,
            moved=tuple(row for row in moved if isinstance(row, Deployment)),
            verdicts=candidate.verdicts,
        )

    def _decision(self, candidate: Candidate, result: Any, said: str) -> Decision:
        key, run_id = candidate.configuration.key, candidate.record.run_id
        return Decision(key, self.order.stage, result, said, run_id=run_id, verdicts=candidate.verdicts)

    def _rows(self, candidate: Candidate, proof: Parity) -> list[NewDeployment]:
        evidence = {
            "reason": self.order.reason,
            "verdicts": [verdict.model_dump(mode="json") for verdict in candidate.verdicts],
            "parity": proof.model_dump(mode="json"),
            **candidate.deployment.get("evidence", {}),
        }
        stage = stage_named(candidate.configuration, self.order.stage)
        facts = of_run(candidate.record) | candidate.deployment | {"evidence": evidence}
        facts["strategy"] = stage.strategy.model_dump(mode="json")
        place = candidate.configuration.project, candidate.configuration.key
        row = new_row(self.order, place, candidate.standing, facts)
        return [row, *archived(row, candidate.configuration, candidate.standing)]


_DONE = {
    "deploy": "deployed to",
    "retrain": "retrained and deployed to",
    "promote": "promoted to",
    "rollback": "rolled back in",
    "undeploy": "undeployed from",
    "archive": "moved to",
}


def new_row(order: Order, place: tuple[str, str], standing: Standing, facts: Mapping[str, Any]) -> NewDeployment:
    """What the ledger is asked to append for an order, over what stands there. ``place``: project and subproject."""
    return NewDeployment(
        project=place[0],
        subproject=place[1],
        stage=order.stage,
        action=order.action,
        replaces=standing.current.sequence if standing.current else 0,
        why=order.why,
        by=order.by,
        dagster_run_id=order.dagster_run_id,
        **({"revision": order.revision} | dict(facts)),
    )


def of_run(record: RunRecord) -> dict[str, Any]:
    """What the ledger holds of a run: enough to serve its model, and to train its successor with the same code."""
    model = record.artifacts["model"]
    return {
        "run_id": record.run_id,
        "model": ModelFile(uri=model.uri, digest=model.digest, bytes=model.bytes),
        "code_version": record.code_version.digest,
        "code": {**record.code_version.model_dump(mode="json"), "lock": record.environment.lock},
        "data_version": record.data_version,
        "metrics": record.metrics,
    }


def archived(row: NewDeployment, configuration: SubprojectConfiguration, standing: Standing) -> list[NewDeployment]:
    """Of the last stage, what is replaced moves to the archive: part of the same decision."""
    before = standing.serving
    if not is_last(configuration, row.stage) or before is None or before.run_id == row.run_id:
        return []
    kept = ("run_id", "model", "code_version", "revision", "data_version", "code", "configuration", "metrics")
    return [
        NewDeployment(
            project=row.project,
            subproject=row.subproject,
            stage=ARCHIVE,
            action="archive",
            replaces=standing.archived.sequence if standing.archived else 0,
            why=f"replaced in {row.stage}: {row.why}",
            by=row.by,
            dagster_run_id=row.dagster_run_id,
            evidence={"moved_from": {"stage": row.stage, "sequence": before.sequence}},
            **{name: getattr(before, name) for name in kept},
        )
    ]
