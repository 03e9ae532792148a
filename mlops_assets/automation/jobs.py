"""Ready-made jobs over a list of subprojects: the same functions as the assets, the same events."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.configuration import author
from mlops_assets.assets.experiments import ExperimentWalk
from mlops_assets.assets.following import OnArrival
from mlops_assets.assets.lifecycle import STEPS, LifecycleWalk, Selection
from mlops_assets.assets.optimising.board import OnNews, unheard
from mlops_assets.assets.promoting import PromoteFields, PromoteWalk
from mlops_assets.assets.request import LifecycleFields, ListedHPOFields, ListedRunFields
from mlops_assets.assets.retraining import RetrainFields, RetrainWalk
from mlops_assets.assets.trials import optimise
from mlops_assets.tracking.retrainings import PROJECT_TAG, RETRAIN_JOB
from partitions.project import Project
from resources.configured import MlopsResource


def op_name(job: str) -> str:
    """The one op of a job, under which its run config stands. Dagster wants names of jobs and ops to differ."""
    return f"{job}_each"


class TrainFields(LifecycleFields):
    """The run config of ``train``. ``steps``: which assets of the lifecycle to make, of the listed subprojects."""

    subprojects: list[str]

    steps: list[str] = list(STEPS)


def experiment_job(
    project: Project, checks: Checks, mlops: MlopsResource, on_arrival: OnArrival | None = None
) -> dg.JobDefinition:
    """Dev runs of the listed subprojects, tracked as materialisations of ``experiments``."""

    @dg.op(name=op_name("experiment"))
    def experiment_op(context: dg.OpExecutionContext, config: ListedRunFields, mlops: MlopsResource) -> None:
        ExperimentWalk(project, checks.dataset, on_arrival).go(context, config, mlops)

    @dg.job(
        name="experiment",
        description="Dev runs of the listed subprojects: what `mlops run` starts.",
        executor_def=dg.in_process_executor,
        resource_defs={"mlops": mlops},
    )
    def experiment() -> None:
        experiment_op()

    return experiment


def train_job(
    project: Project, checks: Checks, mlops: MlopsResource, on_arrival: OnArrival | None = None
) -> dg.JobDefinition:
    """The lifecycle of the listed subprojects: new data, model, metrics."""

    @dg.op(name=op_name("train"), out={})
    def train_op(context: dg.OpExecutionContext, config: TrainFields, mlops: MlopsResource) -> Iterator[Any]:
        walk = LifecycleWalk(project, checks, on_arrival=on_arrival)
        selection = Selection(list(dict.fromkeys(config.subprojects)), frozenset(config.steps))
        yield from walk.go(context, selection, config, mlops)

    @dg.job(
        name="train",
        description="The lifecycle of the listed subprojects: a new snapshot, a model, its metrics.",
        executor_def=dg.in_process_executor,
        resource_defs={"mlops": mlops},
    )
    def train() -> None:
        train_op()

    return train


def retrain_job(
    project: Project,
    checks: Checks,
    mlops: MlopsResource,
    on_arrival: OnArrival | None = None,
    looked_at: bool = False,
) -> dg.JobDefinition:
    """New models for one stage of the listed subprojects: what passes its gates is deployed there.

    ``looked_at``: that the code version takes what is registered was found out before.
    """

    @dg.op(name=op_name("retrain"))
    def retrain_op(context: dg.OpExecutionContext, config: RetrainFields, mlops: MlopsResource) -> None:
        RetrainWalk(project, checks, on_arrival, looked_at).go(context, config, author(), mlops)

    @dg.job(
        name=RETRAIN_JOB,
        tags={PROJECT_TAG: project.name},
        description="Retrains one stage of the listed subprojects: newest data, model, gates, deployment. What "
        "`mlops deploy`, `mlops retrain` and the schedules start.",
        executor_def=dg.in_process_executor,
        resource_defs={"mlops": mlops},
    )
    def retrain() -> None:
        retrain_op()

    return retrain


def optimise_job(project: Project, checks: Checks, mlops: MlopsResource, on_news: OnNews = unheard) -> dg.JobDefinition:
    """HPO of the listed subprojects, all of them over one cluster; ends with a choice of the best for each."""

    @dg.op(name=op_name("optimise"))
    def optimise_op(context: dg.OpExecutionContext, config: ListedHPOFields, mlops: MlopsResource) -> None:
        optimise(context, project, config, mlops, (checks.dataset.evaluation, on_news))

    @dg.job(
        name="optimise",
        description="HPO of the listed subprojects: what `mlops hpo` starts.",
        executor_def=dg.in_process_executor,
        resource_defs={"mlops": mlops},
    )
    def optimise_each() -> None:
        optimise_op()

    return optimise_each


def promote_job(
    project: Project, checks: Checks, mlops: MlopsResource, on_arrival: OnArrival | None = None
) -> dg.JobDefinition:
    """The models of one stage of the listed subprojects get into a later one, where they pass the gates there."""

    @dg.op(name=op_name("promote"))
    def promote_op(context: dg.OpExecutionContext, config: PromoteFields, mlops: MlopsResource) -> None:
        PromoteWalk(project, checks, on_arrival).go(context, config, author(), mlops)

    @dg.job(
        name="promote",
        description="Lets the models of one stage of the listed subprojects serve in a later one, too, where they pass "
        "its gates: what `mlops promote` starts. Nothing is trained.",
        executor_def=dg.in_process_executor,
        resource_defs={"mlops": mlops},
    )
    def promote() -> None:
        promote_op()

    return promote
