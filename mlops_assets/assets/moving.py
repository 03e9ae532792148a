"""What serves in a stage is changed at once: rolled back, or taken off; for any number of subprojects.

Everything is decided over what stands in the ledger at the beginning, and tracked as the deployments of a retraining.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlops_assets.assets.deciding import Order, Standing, archived, new_row
from mlops_assets.assets.decision import Decision
from mlops_assets.assets.deployment import announce, unannounced
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.settling import events_of
from mlops_assets.tracking.registry import Registry
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import ArtifactError, MlopsError
from partitions.project import Project
from partitions.stage_order import ARCHIVE, stage_named
from resources.artifacts import ArtifactStore
from resources.ledger.deployment import Deployment, LedgerConflict, NewDeployment

REPLACE = {"type": "replace"}
COPIED = ("run_id", "model", "code_version", "revision", "data_version", "code", "configuration", "metrics")
# Of so many subprojects, each one's history is asked for; of more, that of the stage.
ASKED_ONE_BY_ONE = 50

RowsOf = Callable[[str, Standing], list[NewDeployment]]


@dataclass(frozen=True)
class Moving:
    """What every move has: where it happens, what is asked for, and of which subprojects."""

    ports: Ports
    project: Project
    order: Order
    keys: list[str]

    def roll_back(self, to: int | None = None) -> list[Decision]:
        """An earlier deployment of the stage serves again: the one before, or the one with the sequence ``to``.

        No training and no gates: it has passed them, and its model file is checked to be what it was. Raises MlopsError
        where none of the subprojects can be rolled back.
        """
        if to is not None and len(self.keys) != 1:
            raise MlopsError(f"sequence {to} is a deployment of one subproject, and {len(self.keys)} are named")
        configurations = self._configurations(self.keys)
        for configuration in configurations.values():
            stage_named(configuration, self.order.stage)
        history = self._history()
        store = ArtifactStore(self.ports.home.artifacts_url)

        def rows(key: str, standing: Standing) -> list[NewDeployment]:
            target = self._target(key, history.get(key, []), standing, to)
            if target.model is None:
                raise ArtifactError(f"deployment {target.sequence} has no model")
            # Read whole: its digest is checked, and what is damaged or gone must not serve.
            store.get(target.model.uri)
            evidence = {
                **target.evidence,
                "reason": self.order.reason,
                "rolled_back_from": standing.current.sequence if standing.current else 0,
            }
            facts = {name: getattr(target, name) for name in COPIED}
            row = self._row(key, standing, restores=target.origin, strategy=REPLACE, evidence=evidence, **facts)
            return [row, *archived(row, configurations[key], standing)]

        return self._moved(rows)

    def undeploy(self) -> list[Decision]:
        """Nothing serves in the stage any more; also of a subproject, or a stage, that is declared no more.

        Raises MlopsError where nothing does in any of the subprojects.
        """
        name, stage = self.project.name, self.order.stage
        served = self.ports.ledger.current(name, stage, self.keys, evidence=False)
        strange = [key for key in self.keys if (key, stage) not in served]
        if stage != ARCHIVE:
            for configuration in self._configurations(strange).values():
                stage_named(configuration, stage)

        def rows(key: str, standing: Standing) -> list[NewDeployment]:
            serving = standing.serving
            if serving is None:
                raise MlopsError(f"{self.project.name}/{key}: nothing serves in {self.order.stage!r}")
            evidence = {"reason": self.order.reason, "took_off": serving.sequence}
            return [self._row(key, standing, evidence=evidence)]

        return self._moved(rows)

    def _moved(self, rows_of: RowsOf) -> list[Decision]:
        """Appended for all that can be moved, shown, and decided about, in the order of the subprojects."""
        self._announce()
        current = self.ports.ledger.current(self.project.name, subprojects=self.keys)
        rows: dict[str, list[NewDeployment]] = {}
        decisions: dict[str, Decision] = {}
        for key in self.keys:
            try:
                rows[key] = rows_of(key, Standing.of(current, key, self.order.stage))
            except MlopsError as error:
                decisions[key] = Decision(key, self.order.stage, "failed", str(error))
        if not rows:
            raise MlopsError(next(iter(decisions.values())).said)
        answers = iter(self.ports.ledger.append([row for of_one in rows.values() for row in of_one]))
        for key, of_one in rows.items():
            answer, *moved = [next(answers) for _ in of_one]
            decisions[key] = self._decision(key, answer, moved)
        self.ports.event_log.store(event for key in rows for event in events_of(self.project.name, decisions[key]))
        return [decisions[key] for key in self.keys]

    def _decision(
        self, key: str, answer: Deployment | LedgerConflict, moved: list[Deployment | LedgerConflict]
    ) -> Decision:
        stage = self.order.stage
        if isinstance(answer, LedgerConflict):
            return Decision(key, stage, "lost", str(answer).partition(": ")[2])
        if not answer.serves:
            said = f"nothing serves in {stage} any more (sequence {answer.sequence})"
            return Decision(key, stage, "undeployed", said, deployment=answer)
        said = f"rolled back in {stage} to run {answer.run_id} of sequence {answer.restores} (now {answer.sequence})"
        rows = tuple(row for row in moved if isinstance(row, Deployment))
        return Decision(key, stage, "deployed", said, answer.run_id, answer, rows)

    def _target(self, key: str, history: list[Deployment], standing: Standing, to: int | None) -> Deployment:
        """The deployment to bring back. Raises MlopsError where there is none."""
        where, current = f"{self.project.name}/{key}", standing.current
        if to is not None:
            return self._asked_for(where, history, standing, to)
        # After a rollback, the next one goes further back, and not forth again.
        start = current.origin if current is not None else 0
        now = current.run_id if current is not None else None
        earlier = [row for row in history if row.serves and row.sequence < start and row.run_id != now]
        if not earlier:
            raise MlopsError(f"{where}: {self.order.stage!r} has no earlier deployment to go back to")
        return earlier[-1]

    def _asked_for(self, where: str, history: list[Deployment], standing: Standing, to: int) -> Deployment:
        found = next((row for row in history if row.sequence == to), None)
        known = ", ".join(str(row.sequence) for row in history if row.serves) or "none"
        if found is None:
            raise MlopsError(f"{where}: {to} is no deployment of {self.order.stage!r}; there are: {known}")
        if not found.serves:
            raise MlopsError(f"{where}: deployment {to} took a model off; with a model there are: {known}")
        if standing.serving is not None and found.run_id == standing.serving.run_id:
            raise MlopsError(f"{where}: run {found.run_id} of deployment {to} serves in {self.order.stage!r} already")
        return found

    def _history(self) -> dict[str, list[Deployment]]:
        """What was deployed to the stage, by subproject, oldest first."""
        ledger, name = self.ports.ledger, self.project.name
        if len(self.keys) <= ASKED_ONE_BY_ONE:
            return {key: ledger.history(name, key, self.order.stage) for key in self.keys}
        found: dict[str, list[Deployment]] = {}
        for row in ledger.history(name, stage=self.order.stage):
            found.setdefault(row.subproject, []).append(row)
        return found

    def _row(self, key: str, standing: Standing, **facts: Any) -> NewDeployment:
        return new_row(self.order, (self.project.name, key), standing, facts)

    def _configurations(self, keys: list[str]) -> dict[str, SubprojectConfiguration]:
        return Registry(self.ports.event_log, self.project.name).configurations(keys)

    def _announce(self) -> None:
        announce(self.ports.event_log, unannounced(self.ports.event_log, self.ports.ledger, self.project.name))
