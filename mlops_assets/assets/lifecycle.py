"""``lifecycle``: dataset, model and metrics of every selected subproject, in one step and each on its own fate.

It is one multi-asset because Dagster skips every step downstream of an output that was not yielded: cut into several
ops, one failing subproject would stop all others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import dagster as dg

from mlops_assets.assets.events import Materialized, dataset_made, metrics_made, model_made, not_made
from mlops_assets.assets.launch import Ports, Request, launch
from mlops_assets.assets.request import RunFields
from mlops_assets.assets.way import Arrived
from mlops_assets.quality.expectations import DataVerdict
from partitions.dynamic import subproject_partitions
from partitions.errors import MlopsError
from partitions.project import Project
from resources.configured import MlopsResource
from resources.event_log import EventLog

STEPS = ("dataset", "model", "metrics")

OnArrival = Callable[[Arrived], None]


class DatasetChecks(Protocol):
    """The asset checks on a project's dataset. Stated by mlops_assets.checks, the one place that makes checks."""

    specs: list[dg.AssetCheckSpec]

    def evaluation(self, verdict: DataVerdict, partition: str) -> dg.AssetCheckEvaluation: ...

    def result(self, verdict: DataVerdict) -> dg.AssetCheckResult: ...


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
        if not self.steps:
            raise MlopsError(f"nothing is selected: select at least one of {', '.join(STEPS)}")


def lifecycle_asset(project: Project, checks: DatasetChecks) -> dg.AssetsDefinition:
    """The multi-asset of ``project``; any of its assets, for any of its subprojects, may be selected."""
    name = project.name

    @dg.multi_asset(
        name="lifecycle",
        specs=_specs(project),
        check_specs=checks.specs,
        can_subset=True,
        partitions_def=subproject_partitions(name),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=name,
    )
    def lifecycle(context: dg.AssetExecutionContext, config: RunFields, mlops: MlopsResource) -> Iterator[Any]:
        chosen = {key.path[-1] for key in context.op_execution_context.selected_asset_keys}
        selection = Selection(list(context.partition_keys), frozenset(chosen))
        walk = LifecycleWalk(project, checks, native=len(selection.keys) == 1)
        yield from walk.go(context, selection, config, mlops)

    return lifecycle


def _specs(project: Project) -> list[dg.AssetSpec]:
    name = project.name
    upstream = {"dataset": "configuration", "model": "dataset", "metrics": "model"}
    said = {
        "dataset": "A snapshot of the live data, with a row key per row. Unchanged content has the same data version.",
        "model": "The model trained on the dataset, and the record of the run that made it.",
        "metrics": "Metrics of the model on its test rows: " + ", ".join(project.pipeline.metrics) + ".",
    }
    return [
        dg.AssetSpec(
            dg.AssetKey([name, step]),
            deps=[dg.AssetKey([name, upstream[step]])],
            description=said[step],
            skippable=True,
            kinds={"python"},
        )
        for step in STEPS
    ]


@dataclass(frozen=True)
class LifecycleWalk:
    """One execution of the lifecycle. ``native``: hand results to Dagster as outputs of the step (one subproject)."""

    project: Project
    checks: DatasetChecks
    native: bool = False
    on_arrival: OnArrival | None = None

    def go(self, context: Any, selection: Selection, fields: RunFields, mlops: MlopsResource) -> Iterator[Any]:
        """Yield events as subprojects arrive; at the end raise Failure if some of them failed, naming each."""
        log = EventLog(context.instance)
        ports = Ports(mlops.open_home(), log, mlops.compute())
        done = self._done_before(log, context.run, selection)
        if done:
            context.log.info(f"{len(done)} subprojects were finished by the run this one re-executes: skipped")
        selection = replace(selection, keys=[key for key in selection.keys if key not in done])
        failed: dict[str, str] = {}
        arrivals = launch(ports, self.project, selection.keys, self._request(context, selection, fields))
        for count, arrived in enumerate(arrivals, start=1):
            yield from self._events(arrived, selection.steps)
            if arrived.error is not None:
                failed[arrived.subproject] = arrived.error.message
                self._show_as_failed(log, context, arrived, selection.steps)
                context.log.error(f"{arrived.error.message}\n{arrived.error.traceback}")
            context.log.info(f"{count}/{len(selection.keys)} {said_of(arrived)}")
            if self.on_arrival is not None:
                self.on_arrival(arrived)
        raise_if_failed(failed, len(selection.keys))

    def _request(self, context: Any, selection: Selection, fields: RunFields) -> Request:
        return replace(
            fields.request(),
            ingest="always" if "dataset" in selection.steps else "never",
            runs="model" in selection.steps,
            dagster_run_id=context.run.run_id,
        )

    def _done_before(self, log: EventLog, run: dg.DagsterRun, selection: Selection) -> set[str]:
        """The subprojects that an earlier run of the same re-execution family brought all the way."""
        if run.root_run_id is None:
            return set()
        earlier = [run_id for run_id in log.family(run.run_id) if run_id != run.run_id]
        steps = [step for step in STEPS if step in selection.steps]
        return set.intersection(*(log.materialized_in(earlier, (self.project.name, step)) for step in steps))

    def _events(self, arrived: Arrived, steps: frozenset[str]) -> Iterator[Any]:
        dataset = dataset_made(self.project.name, arrived)
        if dataset is not None and "dataset" in steps:
            yield from self._dataset_events(dataset, arrived)
        for record in arrived.records:
            if record.status != "succeeded":
                yield not_made(dg.AssetKey([self.project.name, "model"]), record)
                continue
            yield self._made(model_made(self.project.name, record))
            if "metrics" in steps:
                yield self._made(metrics_made(self.project.name, arrived, record))

    def _dataset_events(self, dataset: Materialized, arrived: Arrived) -> Iterator[Any]:
        if self.native:
            yield dataset.as_result([self.checks.result(arrived.verdict)] if arrived.verdict else [])
            return
        yield dataset.as_event()
        if arrived.verdict is not None:
            yield self.checks.evaluation(arrived.verdict, arrived.subproject)

    def _show_as_failed(self, log: EventLog, context: Any, arrived: Arrived, steps: frozenset[str]) -> None:
        """One subproject's step needs no help: Dagster planned that partition by name."""
        if self.native:
            return
        reached = {"dataset"} if arrived.snapshot is not None else set()
        if arrived.records and all(record.status == "succeeded" for record in arrived.records):
            reached |= {"model", "metrics"}
        for step in sorted(steps - reached):
            log.report_not_made(context.run, context.op.name, (self.project.name, step), arrived.subproject)

    def _made(self, made: Materialized) -> Any:
        return made.as_result([]) if self.native else made.as_event()


def said_of(arrived: Arrived) -> str:
    """One line of progress: ``AA: rmse 12.3, mae 8.1``, or why the subproject stopped."""
    if arrived.error is not None:
        return f"{arrived.subproject}: failed"
    if not arrived.records:
        return f"{arrived.subproject}: dataset {arrived.snapshot.data_version[:12] if arrived.snapshot else ''}"
    metrics = arrived.records[-1].metrics
    return f"{arrived.subproject}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def raise_if_failed(failed: dict[str, str], of: int) -> None:
    """Fail the step iff some subproject failed, with every one of them and its error."""
    if not failed:
        return
    lines = [failed[key] for key in sorted(failed)]
    raise dg.Failure(
        description=f"{len(failed)} of {of} subprojects failed:\n" + "\n".join(lines),
        metadata={"failed": dg.MetadataValue.json(failed)},
        allow_retries=False,
    )
