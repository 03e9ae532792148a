"""``lifecycle``: from dataset to the deployment in a stage, for every selected subproject, in one step.

It is one multi-asset because Dagster skips every step downstream of an output that was not yielded: cut into several
ops, one failing subproject would stop all others. With ``trials`` selected, the HPO runs of all subprojects go over one
cluster (``trials.py``), each from its data to the model of its best configuration. With a stage selected, the model is
one that is meant to serve there (``stage_walk.py``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dagster as dg

from mlops_assets.assets.best_config import choose_again
from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.deployment import deployment_specs
from mlops_assets.assets.events import Materialized, dataset_made, metrics_made, model_made, not_made, unmade
from mlops_assets.assets.following import OnArrival, Progress, follow, ignored, raise_if_failed
from mlops_assets.assets.launch import Ports, Request, launch
from mlops_assets.assets.optimising.board import Board
from mlops_assets.assets.optimising.lane import News
from mlops_assets.assets.request import LifecycleFields
from mlops_assets.assets.stage_walk import StageWalk, selected_stages, stage_decided
from mlops_assets.assets.trials import TrialsWalk, optimised
from mlops_assets.assets.way import Arrived
from mlops_assets.tracking.best import chosen_event
from mlops_assets.tracking.record import RunRecord
from partitions.dynamic import subproject_partitions
from partitions.errors import MlopsError
from partitions.project import Project
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.event_storage.entries import AssetEvent, NotMade, RunStep

ALL = ("dataset", "trials", "best_config", "model", "metrics")
# What a training is without HPO: of these a fleet makes new ones every night.
STEPS = ("dataset", "model", "metrics")


@dataclass(frozen=True)
class Selection:
    """Which subprojects go how far."""

    keys: list[str]
    steps: frozenset[str]

    def __post_init__(self) -> None:
        if "metrics" in self.steps and "model" not in self.steps:
            raise MlopsError(
                "metrics alone would run nothing: they belong to the run that trains the model; "
                "select model with them, or try a configuration with `mlops run`"
            )
        if (stages := selected_stages(self.steps)) and "model" not in self.steps:
            raise MlopsError(
                f"deployment/{stages[0]} without model would deploy nothing: select model with it, or use "
                f"`mlops promote KEY --from STAGE --to {stages[0]} --why ...` for a model that serves in an earlier "
                f"stage, `mlops deploy KEY --stage {stages[0]} --why ...` for a new one"
            )
        if not self.steps:
            raise MlopsError(f"nothing is selected: select at least one of {', '.join(ALL)}")
        if {"trials", "model"} <= self.steps and "best_config" not in self.steps:
            raise MlopsError("trials and model without best_config: select best_config, which is the choice in between")

    def part(self, keys: Iterable[str], without: Iterable[str] = ()) -> "list[Selection]":
        """Some of the subprojects, for all steps but those: one selection, or none where nothing is left to do."""
        some, steps = list(keys), self.steps - set(without)
        return [Selection(some, steps)] if some and steps else []


def lifecycle_asset(project: Project, checks: Checks) -> dg.AssetsDefinition:
    """The multi-asset of ``project``; any of its assets, for any of its subprojects, may be selected."""
    name = project.name

    @dg.multi_asset(
        name="lifecycle",
        specs=[*_specs(project), *deployment_specs(project)],
        check_specs=[*checks.dataset.specs, *checks.metrics.specs],
        can_subset=True,
        partitions_def=subproject_partitions(name),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=name,
    )
    def lifecycle(context: dg.AssetExecutionContext, config: LifecycleFields, mlops: MlopsResource) -> Iterator[Any]:
        chosen = {"/".join(key.path[1:]) for key in context.op_execution_context.selected_asset_keys}
        selection = Selection(list(context.partition_keys), frozenset(chosen))
        walk = LifecycleWalk(project, checks, native=len(selection.keys) == 1)
        yield from walk.go(context, selection, config, mlops)

    return lifecycle


def _specs(project: Project) -> list[dg.AssetSpec]:
    name = project.name
    upstream = {
        "dataset": ("configuration",),
        "trials": ("dataset",),
        "best_config": ("trials",),
        "model": ("dataset", "best_config"),
        "metrics": ("model",),
    }
    said = {
        "dataset": "A snapshot of the live data, with a row key per row. Unchanged content has the same data version.",
        "trials": "HPO: one materialisation per run of a trial, with its record, and one per HPO run: its summary. "
        "Selected, it is an HPO run on the latest snapshot, as registered; subprojects without hpo are left out.",
        "best_config": "The configuration considered best: which run stands for it, since when, by whom and why. "
        "`model` trains it. Selected alone, it is chosen again by the declared rule.",
        "model": "The model of the best configuration (or of the one given), and the record of the run that made it.",
        "metrics": "Metrics of the model on its test rows: " + ", ".join(project.pipeline.metrics) + ".",
    }
    return [
        dg.AssetSpec(
            dg.AssetKey([name, step]),
            deps=[dg.AssetKey([name, above]) for above in upstream[step]],
            description=said[step],
            skippable=True,
            kinds={"python"},
        )
        for step in ALL
    ]


@dataclass(frozen=True)
class LifecycleWalk:
    """One execution of the lifecycle. ``native``: hand results to Dagster as outputs of the step (one subproject)."""

    project: Project
    checks: Checks
    native: bool = False
    on_arrival: OnArrival | None = None

    def go(self, context: Any, selection: Selection, fields: LifecycleFields, mlops: MlopsResource) -> Iterator[Any]:
        """Log events as subprojects arrive; at the end raise Failure if some of them failed, naming each.

        Yields the results of the one subproject where ``native``, nothing otherwise.
        """
        log = EventLog(context.instance)
        ports = Ports(mlops.open_home(), log, mlops.compute())
        progress = Progress(len(selection.keys))
        stages = StageWalk(ports, self.project, self.checks, selection.steps, fields, self.on_arrival)
        stage = stage_decided(self.project, selection.steps, fields)
        if stage is not None:
            self._to_stage(context, stages, (stage, selection), progress)
            raise_if_failed(progress)
            return
        parts = [selection]
        if "trials" in selection.steps:
            searched = optimised(context, ports, self.trials_walk(selection.steps), (selection.keys, fields))
            progress.failed.update(searched.failed)
            progress.done = len(searched.ended)
            parts = selection.part(searched.without_hpo, {"trials", "best_config"})
            parts += selection.part(searched.before, {"dataset", "trials", "best_config"})
        elif "best_config" in selection.steps:
            progress.failed.update(self._choose(context, ports, selection, fields.code_version))
            parts = selection.part((key for key in selection.keys if key not in progress.failed), {"best_config"})
        for part in parts:
            yield from self._walk(context, ports, (part, fields), progress)
        if selected_stages(selection.steps):
            stages.keep(context, [key for key in selection.keys if key not in progress.failed])
        raise_if_failed(progress)

    def _to_stage(self, context: Any, stages: StageWalk, asked: tuple[str, Selection], progress: Progress) -> None:
        """Everything up to the choice, then a model for the stage."""
        stage, selection = asked
        searched_in_vain: list[str] = []
        fresh = "dataset" in selection.steps
        groups = [(selection.keys, fresh)]
        if "trials" in selection.steps:
            before = selection.steps & {"dataset", "trials", "best_config"}
            searched = optimised(context, stages.ports, self.trials_walk(before), (selection.keys, stages.fields))
            progress.failed.update(searched.failed)
            searched_in_vain = sorted(searched.failed)
            on_their_way = [key for key in selection.keys if key not in {*searched.failed, *searched.without_hpo}]
            # Their snapshots were taken before the trials.
            groups = [(on_their_way, False), (searched.without_hpo, fresh)]
        elif "best_config" in selection.steps:
            progress.failed.update(self._choose(context, stages.ports, selection, stages.fields.code_version))
            groups = [([key for key in selection.keys if key not in progress.failed], fresh)]
        progress.done = len(progress.failed)
        left_out = selection.steps - {"dataset", "trials", "best_config"}
        unreached = (event for key in searched_in_vain for event in unmade(self.project.name, left_out, key))
        stages.ports.event_log.store(unreached, RunStep.of(context))
        for keys, new_data in groups:
            stages.go(context, (stage, keys, new_data), progress)

    def trials_walk(self, steps: frozenset[str]) -> TrialsWalk:
        return TrialsWalk(self.project, steps, self.checks.dataset.evaluation, self._heard)

    def _heard(self, news: News, _: Board) -> None:
        """An end of HPO is an arrival: with the model where one was trained, else with how it ended."""
        last = news.what == "model" or news.error is not None
        if self.on_arrival is not None and (last or (news.what == "ended" and not news.goes_on)):
            self.on_arrival(replace(news.arrived or Arrived(news.subproject), error=news.error))

    def _walk(
        self, context: Any, ports: Ports, asked: tuple[Selection, LifecycleFields], progress: Progress
    ) -> Iterator[Any]:
        """Dataset, model and metrics, as far as they are selected."""
        selection, fields = asked
        done = self._done_before(ports.event_log, context.run, selection)
        if done:
            context.log.info(f"{len(done)} subprojects were finished by the run this one re-executes: skipped")
        selection = replace(selection, keys=[key for key in selection.keys if key not in done])
        progress.done += len(done)
        arrivals = launch(ports, self.project, selection.keys, self._request(context, selection, fields))
        if not self.native:
            events = partial(self._events, steps=selection.steps)
            follow(context, arrivals, progress, events, self.on_arrival or ignored)
            return
        for arrived in arrivals:
            progress.count(arrived)
            yield from self._results(arrived, selection.steps)
            if arrived.error is not None:
                context.log.error(f"{arrived.error.message}\n{arrived.error.traceback}")

    def _choose(self, context: Any, ports: Ports, selection: Selection, revision: str | None) -> dict[str, str]:
        """Choose again, and log the choices; why there is none, by subproject."""
        choices = choose_again(ports, self.project, selection.keys, revision)
        events: list[AssetEvent | NotMade] = []
        failed: dict[str, str] = {}
        for key, choice in choices.items():
            if isinstance(choice, str):
                failed[key] = choice
                events += unmade(self.project.name, selection.steps, key)
            else:
                events.append(chosen_event(choice))
                context.log.info(f"{key}: best is run {choice.run_id}: {choice.why}")
        ports.event_log.store(events, RunStep.of(context))
        return failed

    def _request(self, context: Any, selection: Selection, fields: LifecycleFields) -> Request:
        return replace(
            fields.request(),
            ingest="always" if "dataset" in selection.steps else "never",
            runs="model" in selection.steps,
            follow_best=True,
            dagster_run_id=context.run.run_id,
        )

    def _done_before(self, log: EventLog, run: dg.DagsterRun, selection: Selection) -> set[str]:
        """The subprojects that an earlier run of the same re-execution family brought all the way."""
        if run.root_run_id is None:
            return set()
        earlier = [run_id for run_id in log.family(run.run_id) if run_id != run.run_id]
        steps = [step for step in ALL if step in selection.steps]
        return set.intersection(*(log.materialized_in(earlier, (self.project.name, step)) for step in steps))

    def _events(self, arrived: Arrived, steps: frozenset[str]) -> Iterator[AssetEvent | NotMade]:
        """What is logged of one of many subprojects."""
        name = self.project.name
        for made in self._made(arrived, steps):
            yield made.as_event()
        if "dataset" in steps and arrived.verdict is not None:
            yield self.checks.dataset.evaluation(arrived.verdict, arrived.subproject)
        yield from (not_made(dg.AssetKey([name, "model"]), record) for record in _failed(arrived))
        if arrived.error is not None:
            yield from unmade(name, steps - _reached(arrived), arrived.subproject)

    def _results(self, arrived: Arrived, steps: frozenset[str]) -> Iterator[Any]:
        """What Dagster is handed of the only subproject. What it did not reach, Dagster itself planned by name."""
        for made in self._made(arrived, steps):
            verdict = arrived.verdict if made.key.path[-1] == "dataset" else None
            yield made.as_result([self.checks.dataset.result(verdict)] if verdict else [])
        yield from (not_made(dg.AssetKey([self.project.name, "model"]), record) for record in _failed(arrived))

    def _made(self, arrived: Arrived, steps: frozenset[str]) -> Iterator[Materialized]:
        dataset = dataset_made(self.project.name, arrived)
        if dataset is not None and "dataset" in steps:
            yield dataset
        for record in arrived.records:
            if record.status == "succeeded":
                yield model_made(self.project.name, record)
                if "metrics" in steps:
                    yield metrics_made(self.project.name, arrived, record)


def _failed(arrived: Arrived) -> list[RunRecord]:
    return [record for record in arrived.records if record.status != "succeeded"]


def _reached(arrived: Arrived) -> set[str]:
    """The steps that a subproject got through."""
    reached = {"dataset"} if arrived.snapshot is not None else set()
    return reached | ({"model", "metrics"} if arrived.records and not _failed(arrived) else set())
