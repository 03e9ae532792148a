"""Before a retraining starts: what every subproject would train, with which code, on which data, against whom.

Everything that can be known beforehand is looked at here; nothing has changed then.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.code_check import Wanted, refuse_code
from mlops_assets.assets.deciding import Order, Standing
from mlops_assets.assets.launch import PAGE, Ports, code_to_run, declared_params, identity_of, latest_data_versions
from mlops_assets.assets.replaying import ready_code
from mlops_assets.assets.way import Aim, Origin, RunPlan, Way
from mlops_assets.tracking.best import BestConfigurations
from mlops_assets.tracking.record import CodeIdentity, new_run_id
from mlops_assets.tracking.registry import Registry
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import MlopsError
from partitions.parameters import merge
from partitions.pipeline import Window
from partitions.project import Project
from partitions.reference import PipelineReference
from partitions.run_configuration import RunConfiguration
from partitions.stage_order import stage_named
from partitions.stages import Retraining, Stage
from partitions.values import canonical_json
from resources.compute import Environment
from resources.ledger.deployment import Deployment

if TYPE_CHECKING:
    from resources.ledger.ledger import Current

Said = dict[str, str]


@dataclass(frozen=True)
class RetrainRequest:
    """What is asked for. ``now``: the moment up to which data counts. ``seed``: drawn where none is given.

    fresh: take new snapshots; otherwise the latest ones are trained on.

    family: this Dagster run, or the first one of those that do it again.
    """

    order: Order
    now: datetime
    seed: int | None = None
    family: str | None = None
    fresh: bool = True

    @property
    def sets_code(self) -> bool:
        """Whether a code version is set, and not the stage's own one kept."""
        return self.order.action == "deploy" or self.order.revision is not None


@dataclass(frozen=True)
class ReadyVersion:
    """One code version, ready to run: its identity, the lock of its environment, and where workers find it."""

    identity: CodeIdentity
    lock: str
    environment: Environment | None
    revision: str | None


@dataclass(frozen=True)
class Group:
    """The subprojects that run with one code version."""

    version: ReadyVersion
    keys: list[str]


@dataclass(frozen=True)
class RetrainPlan:
    """What is to be done, by code version; ``refused``: subprojects that cannot be retrained, and why."""

    ports: Ports
    project: Project
    request: RetrainRequest
    groups: list[Group]
    refused: Said
    current: "Current"
    rolled_back: dict[str, list[str]] = field(default_factory=dict)

    def ways(self, group: Group) -> Iterator[Way]:
        """One way per subproject, made when it is asked for."""
        seed = secrets.randbelow(2**31) if self.request.seed is None else self.request.seed
        registry = Registry(self.ports.event_log, self.project.name)
        choices = BestConfigurations(self.ports.event_log, self.project.name)
        for page in pages(group.keys):
            registered, best = registry.configurations(page), choices.current(page)
            latest = {} if self.request.fresh else latest_data_versions(self.ports.event_log, self.project.name, page)
            for key in page:
                chosen = best[key].parameters if key in best else None
                way = self._way(registered[key], group.version, chosen, seed)
                yield way if self.request.fresh else replace(way, fresh=False, data_version=latest[key], window=None)

    def standing(self, key: str) -> Standing:
        return Standing.of(self.current, key, self.request.order.stage)

    def _way(
        self, configuration: SubprojectConfiguration, version: ReadyVersion, best: dict[str, Any] | None, seed: int
    ) -> Way:
        order, key = self.request.order, configuration.key
        stage = stage_named(configuration, order.stage)
        retraining = retraining_of(stage)
        params = production_params(configuration, retraining, best)
        serving = self.standing(key).serving
        champion = serving.run_id if serving is not None else None
        known = [run for run in (champion, *self.rolled_back.get(key, ())) if run is not None]
        return Way(
            home=self.ports.home,
            subproject=configuration,
            reference=PipelineReference.of(self.project.pipeline),
            origin=Origin(
                code=version.identity,
                lock=version.lock,
                kind="retrain",
                stage=order.stage,
                dagster_run_id=order.dagster_run_id,
            ),
            fresh=True,
            runs=(RunPlan(new_run_id(), RunConfiguration(params=params, seed=seed)),),
            window=window_of(retraining, self.request.now),
            aim=Aim(order.stage, configuration.gates_at(order.stage), champion, tuple(known), self.request.family),
            draw=self.draws,
            threads=self.ports.compute.threads,
        )

    @property
    def draws(self) -> bool:
        return sum(len(group.keys) for group in self.groups) == 1


def plan_retraining(
    ports: Ports, project: Project, keys: list[str], request: RetrainRequest, looked_at: bool = False
) -> RetrainPlan:
    """Raises MlopsError where the request as a whole cannot be met: a stage that a subproject does not have, a code
    version that git does not know or that does not take what is registered, and where no subproject is left."""
    current = ports.ledger.current(project.name, subprojects=keys, evidence=False)
    asked, refused = _codes(ports, project, keys, request, current)
    if not asked:
        raise MlopsError(next(iter(refused.values()), f"project {project.name!r}: no subproject is named"))
    groups = [Group(ready_version(ports, project, code), some) for code, some in asked.items()]
    plan = RetrainPlan(ports, project, request, groups, refused, current, _rolled_back(ports, request, current))
    if request.sets_code and not looked_at:
        for group in groups:
            _refuse_unfit(plan, group)
    return plan


@dataclass(frozen=True)
class Code:
    """Which code: a revision (None: the code at hand), or, with a digest, that of a deployment.

    ``identity``: what it is made of, as the ledger holds it, in JSON.
    """

    revision: str | None
    digest: str | None = None
    identity: str = ""


def _codes(
    ports: Ports, project: Project, keys: list[str], request: RetrainRequest, current: "Current"
) -> tuple[dict[Code, list[str]], Said]:
    """The subprojects by the code they run with, and those that have none, with the reason."""
    stage, revision = request.order.stage, request.order.revision
    asked: dict[Code, list[str]] = {}
    refused: Said = {}
    registry = Registry(ports.event_log, project.name)
    for page in pages(keys):
        for key, configuration in registry.configurations(page).items():
            follow = retraining_of(stage_named(configuration, stage)).follow
            deployment = current.get((key, stage))
            if request.sets_code or follow is not None:
                asked.setdefault(Code(revision if request.sets_code else follow), []).append(key)
            elif deployment is not None and deployment.serves:
                asked.setdefault(code_of(deployment), []).append(key)
            else:
                refused[key] = (
                    f"{project.name}/{key}: nothing is deployed to {stage!r} whose code a retraining could keep: "
                    f"`mlops deploy {key} --stage {stage}` sets it"
                )
    return asked, refused


def code_of(deployment: Deployment) -> Code:
    """The code that a deployment's run had."""
    return Code(deployment.revision, deployment.code_version, canonical_json(deployment.code))


def ready_version(ports: Ports, project: Project, asked: Code) -> ReadyVersion:
    """Ready to run. Raises MlopsError where the code cannot be had (any more)."""
    reference = PipelineReference.of(project.pipeline)
    if asked.digest is None:
        code, environment = code_to_run(ports, project, reference, asked.revision)
        return ReadyVersion(identity_of(code), code.lock, environment, asked.revision)
    here, environment = code_to_run(ports, project, reference, None)
    if here.digest == asked.digest:
        return ReadyVersion(identity_of(here), here.lock, environment, asked.revision)
    kept = json.loads(asked.identity)
    lock = kept.pop("lock")
    ready = ready_code(ports, project, CodeIdentity.model_validate(kept), lock)
    return ReadyVersion(ready.identity, ready.lock, ready.environment, asked.revision)


def _rolled_back(ports: Ports, request: RetrainRequest, current: "Current") -> dict[str, list[str]]:
    """The runs that the rollback which stands in a stage took out of it: a schedule does not bring them back."""
    stage = request.order.stage
    if request.order.action != "retrain":
        return {}
    return {
        key: [
            row.run_id
            for row in ports.ledger.history(rollback.project, key, stage, after=rollback.origin)
            if row.run_id is not None and row.sequence < rollback.sequence
        ]
        for (key, where), rollback in current.items()
        if where == stage and rollback.action == "rollback"
    }


def _refuse_unfit(plan: RetrainPlan, group: Group) -> None:
    asked = {}
    for way in plan.ways(group):
        asked[way.subproject.key] = (way.subproject.config, way.runs[0].configuration.params)
    version, reference = group.version, PipelineReference.of(plan.project.pipeline)
    elsewhere = version.environment is not None
    name = f"code version {version.revision or version.identity.digest[:12]}"
    refuse_code(plan.ports.compute, version.environment, name, Wanted(plan.project.name, reference, asked, elsewhere))


def retraining_of(stage: Stage) -> Retraining:
    """How a stage is retrained: as it is declared, or by hand on all data with the best configuration."""
    return stage.retraining or Retraining()


def window_of(retraining: Retraining, now: datetime) -> Window:
    """The live data that a retraining at ``now`` reads."""
    return retraining.data.window(now)


def production_params(
    configuration: SubprojectConfiguration, retraining: Retraining, best: dict[str, Any] | None
) -> dict[str, Any]:
    """The pipeline parameters that are trained for a stage: the best configuration, or those fixed for it."""
    declared = declared_params(configuration)
    if isinstance(retraining.configuration, str):
        return declared if best is None else best
    return merge(declared, retraining.configuration)


def pages(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), PAGE):
        yield keys[start : start + PAGE]
