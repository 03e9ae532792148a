"""The end of the lifecycle, where ``deployment/<stage>`` is selected: a model for one stage, and a decision for each.

One stage is decided about, as `mlops deploy` does it; every other stage that is selected keeps what serves there, and
says which command would change that. A decision is a materialisation whatever it is: only an error leaves none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.configuration import author
from mlops_assets.assets.deciding import Order, Standing
from mlops_assets.assets.decision import Decision
from mlops_assets.assets.deployment import stands
from mlops_assets.assets.events import metrics_made, model_made, unmade
from mlops_assets.assets.following import OnArrival, Progress
from mlops_assets.assets.gating import kept_record
from mlops_assets.assets.launch import Ports, latest_data_versions
from mlops_assets.assets.request import LifecycleFields
from mlops_assets.assets.retrain_plan import RetrainRequest, pages
from mlops_assets.assets.retraining import RetrainWalk
from mlops_assets.assets.way import Arrived
from mlops_assets.tracking.record import now
from mlops_assets.tracking.registry import Registry
from partitions.errors import MlopsError
from partitions.project import Project
from partitions.stage_order import ARCHIVE, stage_named
from resources.artifacts import ArtifactStore
from resources.event_storage.entries import AssetEvent, NotMade, RunStep

if TYPE_CHECKING:
    from resources.ledger.ledger import Current

PREFIX = "deployment/"
WHY = "materialised in Dagster"


def selected_stages(steps: Iterable[str]) -> tuple[str, ...]:
    """The stages among selected steps, of which ``deployment/<stage>`` is one."""
    return tuple(sorted(step.removeprefix(PREFIX) for step in steps if step.startswith(PREFIX)))


def stage_decided(project: Project, steps: Iterable[str], fields: LifecycleFields) -> str | None:
    """The one stage that a lifecycle run decides about: the one asked for, else the first; None if not selected."""
    stages = selected_stages(steps)
    first = project.stages[0].name if project.stages else None
    asked = fields.stage or first
    if fields.stage is not None and fields.stage not in stages:
        raise MlopsError(f"stage {fields.stage!r} is asked for and not selected: select deployment/{fields.stage}")
    if asked is None or asked not in stages:
        return None
    unfit = [name for name in ("params", "folds", "fold", "data_version", "since", "until") if getattr(fields, name)]
    if unfit:
        raise MlopsError(
            f"{', '.join(unfit)}: a stage trains its production configuration on its own window of the data; "
            f"leave {'it' if len(unfit) == 1 else 'them'} out, or select the model without deployment/{asked}"
        )
    return asked


@dataclass(frozen=True)
class StageWalk:
    """Model, metrics and the decisions of many subprojects. ``steps``: the assets that are selected."""

    ports: Ports
    project: Project
    checks: Checks
    steps: frozenset[str]
    fields: LifecycleFields
    on_arrival: OnArrival | None = None

    def go(self, context: Any, asked: tuple[str, list[str], bool], progress: Progress) -> None:
        """Log events as subprojects arrive; failures are counted in ``progress``.

        ``asked``: the stage, the subprojects, and whether to take new snapshots.
        """
        stage, keys, fresh = asked
        refused = self._refused(stage, keys, fresh)
        progress.done += len(refused)
        progress.failed.update(refused)
        unreached = (event for key in refused for event in unmade(self.project.name, self.steps, key))
        self.ports.event_log.store(unreached, RunStep.of(context))
        fit = [key for key in keys if key not in refused]
        if not fit:
            return
        run = context.run
        order = Order(
            stage,
            "deploy",
            self.fields.why or WHY,
            author(),
            revision=self.fields.code_version,
            dagster_run_id=run.run_id,
        )
        request = RetrainRequest(order, now(), self.fields.seed, run.root_run_id or run.run_id, fresh)
        serving = self.ports.ledger.current(self.project.name, subprojects=fit, evidence=False)
        walk = RetrainWalk(self.project, self.checks, self.on_arrival, also=partial(self._also, serving))
        walk.walk(context, self.ports, (fit, request, {}), progress)

    def keep(self, context: Any, keys: list[str]) -> None:
        """No stage is decided about: those that are selected keep what serves there."""
        serving = self.ports.ledger.current(self.project.name, subprojects=keys, evidence=False)
        events = (event for key in keys for event in self._kept(serving, key, None))
        self.ports.event_log.store(events, RunStep.of(context))

    def _refused(self, stage: str, keys: list[str], fresh: bool) -> dict[str, str]:
        """Those that lack the stage, as one may declare stages of its own, or the data."""
        name, refused = self.project.name, {}
        latest = {} if fresh else latest_data_versions(self.ports.event_log, name, keys)
        for page in pages(keys):
            for key, configuration in Registry(self.ports.event_log, name).configurations(page).items():
                try:
                    stage_named(configuration, stage)
                except MlopsError as error:
                    refused[key] = str(error)
                if not fresh and key not in latest:
                    refused[key] = f"{name}/{key} has no dataset yet: select dataset, too"
        return refused

    def _also(self, serving: "Current", arrived: Arrived) -> Iterator[AssetEvent | NotMade]:
        """What a retraining does not log by itself: decisions that changed nothing, and what was not made."""
        decision, key = arrived.decision, arrived.subproject
        if decision is None or decision.result in ("failed", "lost"):
            made = {"dataset"} if arrived.snapshot is not None else set()
            yield from unmade(self.project.name, self.steps - made, key)
            return
        if decision.deployment is None:
            yield stands(self.project.name, decision, Standing.of(serving, key, decision.stage).serving)
        if decision.result == "rejected":
            yield from unmade(self.project.name, {"model"}, key)
        if arrived.same_as is not None:
            yield from self._again(arrived, arrived.same_as)
        yield from self._kept(serving, key, decision.stage)

    def _kept(self, serving: "Current", key: str, decided: str | None) -> Iterator[AssetEvent]:
        """The other stages that are selected stay as they are; each says what would change it."""
        for stage in selected_stages(self.steps):
            if stage != decided:
                decision = Decision(key, stage, "kept", _said_kept(key, stage, decided))
                yield stands(self.project.name, decision, Standing.of(serving, key, stage).serving)

    def _again(self, arrived: Arrived, run_id: str) -> Iterator[AssetEvent]:
        """The run that need not be done again is what this lifecycle run would have made."""
        name = self.project.name
        record = kept_record(ArtifactStore(self.ports.home.artifacts_url), name, arrived.subproject, run_id)
        yield model_made(name, record).as_event()
        if "metrics" in self.steps:
            yield metrics_made(name, arrived, record).as_event()


def _said_kept(key: str, stage: str, decided: str | None) -> str:
    if stage == ARCHIVE:
        return "kept: a model gets here by being replaced in the last stage"
    if decided is None:
        return f"kept: `mlops deploy {key} --stage {stage} --why ...` trains a model for it"
    return (
        f"kept: this run decided about {decided}; "
        f"`mlops promote {key} --from {decided} --to {stage} --why ...` takes its model on"
    )
