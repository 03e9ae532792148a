"""Going a subproject's way, on one worker: data, checks, runs, results, without a round trip to disk between the steps.

Nothing here knows Dagster or where it runs. What is written is content-addressed or named by a new run id, so that a
way cut short at any point leaves nothing half done: no event names what was not written whole.
"""

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.gating import already, judged_record, remember
from mlops_assets.assets.judging import Trained, judge_run
from mlops_assets.assets.recent_rows import recent_rows
from mlops_assets.assets.recording import failed_records, keep, new_record, run_error, store_run, with_outcome
from mlops_assets.assets.way import Aim, Arrived, RunPlan, Way
from mlops_assets.learning.data import check_rows
from mlops_assets.quality.expectations import validate
from mlops_assets.tracking.record import RunError, RunRecord
from partitions.errors import MlopsError, PipelineError
from partitions.parameters import bind_config, bind_params, config_type, params_type
from partitions.pipeline import Pipeline
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.learning.run import RunResult


def travel(way: Way) -> Arrived:
    """Go the whole way, or as far as it goes: an error stops this subproject and is part of what is returned."""
    arrived = Arrived(way.subproject.key)
    started = perf_counter()
    try:
        pipeline = way.reference.load()
        store = DatasetStore(ArtifactStore(way.home.artifacts_url), way.home.secret())
        if way.fresh:
            arrived, data = _take_snapshot(way, pipeline, store)
            if arrived.error is not None:
                return replace(arrived, records=failed_records(way, arrived, arrived.error))
        else:
            read = recent_rows if way.origin.kind == "trial" else DatasetStore.read
            data = read(store, way.where, way.data_version or "")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this subproject's and is reported as that
        stopped = run_error(way, error)
        return replace(arrived, error=stopped, records=failed_records(way, arrived, stopped))
    arrived = replace(arrived, data_seconds=perf_counter() - started)
    for plan in way.runs:
        arrived = _one_run(way, pipeline, data, plan, arrived)
    return arrived


def _take_snapshot(way: Way, pipeline: Pipeline[Any, Any], store: DatasetStore) -> tuple[Arrived, "pd.DataFrame"]:
    config = bind_config(config_type(pipeline), way.subproject.config, way.where)
    rows = _user_code(pipeline, "ingest", config, way.window)
    checked = check_rows(rows, pipeline.schema, f"{way.where}: {type(pipeline).__name__}")
    snapshot, data = store.snapshot(checked, pipeline.schema, way.where)
    expectations = _user_code(pipeline, "expectations", config)
    arrived = Arrived(way.subproject.key, snapshot=snapshot)
    if expectations:
        verdict = validate(data, expectations, way.where, private=pipeline.schema.treatments)
        arrived = replace(arrived, verdict=verdict)
        if not verdict.passed:
            failed = ", ".join(result.name for result in verdict.failed)
            message = f"{way.where}: dataset {snapshot.data_version[:12]} failed {failed}; no model was trained on it"
            arrived = replace(arrived, error=RunError(message=message))
    return arrived, data


def _user_code(pipeline: Pipeline[Any, Any], method: str, *arguments: Any) -> Any:
    try:
        return getattr(pipeline, method)(*arguments)
    except MlopsError:
        raise
    except Exception as error:
        # A message of ingest may quote a private value, and errors are stored: its type and place must do.
        detail = "" if method == "ingest" and pipeline.schema.private else f": {error}"
        raise PipelineError(f"{type(pipeline).__name__}.{method} raised {type(error).__name__}{detail}") from error


def _one_run(way: Way, pipeline: Pipeline[Any, Any], data: "pd.DataFrame", plan: RunPlan, so_far: Arrived) -> Arrived:
    data_version = so_far.snapshot.data_version if so_far.snapshot else way.data_version
    bound = plan
    try:
        params = bind_params(params_type(pipeline), plan.configuration.params, way.where)
        full = plan.configuration.model_copy(
            update={"params": params.model_dump(mode="json"), "data_version": data_version}
        )
        bound = replace(plan, configuration=full)
        known = already(way, way.aim, bound, so_far) if way.aim is not None else None
        if known is not None:
            return known
        result = _execute(way, pipeline, data, bound)
        stored = store_run(way, pipeline, data, bound, result)
        data_seconds = 0.0 if so_far.records else so_far.data_seconds
        record = with_outcome(new_record(way, bound, data_version), result, stored, data_seconds)
        figures = _figures(pipeline, data, result) if way.draw else {}
        done = replace(so_far, figures=figures, table=_table(pipeline, result))
        if way.aim is not None:
            return _judged(
                way, way.aim, Trained(pipeline, data, bound, result, stored.artifacts["model"].bytes), record, done
            )
        keep(way, record)
        return replace(done, records=(*so_far.records, record))
    except Exception as error:  # noqa: BLE001 - recorded with the run; the data that arrived is kept
        stopped = run_error(way, error)
        record = new_record(way, bound, data_version).model_copy(update={"status": "failed", "error": stopped})
        keep(way, record)
        return replace(so_far, records=(*so_far.records, record), error=so_far.error or stopped)


def _judged(way: Way, aim: Aim, trained: Trained, record: RunRecord, so_far: Arrived) -> Arrived:
    """The run with the verdicts on it. Kept before it is remembered, so that what is remembered is there."""

    def again(seed: int) -> "RunResult":
        configuration = trained.plan.configuration.model_copy(update={"seed": seed})
        return _execute(way, trained.pipeline, trained.data, replace(trained.plan, configuration=configuration))

    started = perf_counter()
    verdicts = judge_run(way, aim, trained, again)
    timings = {**record.timings, "gates": round(perf_counter() - started, 6)}
    record = judged_record(record.model_copy(update={"timings": timings}), verdicts)
    keep(way, record)
    remember(way, aim, trained.plan, record, verdicts)
    return replace(so_far, records=(*so_far.records, record), verdicts=verdicts)


def _execute(way: Way, pipeline: Pipeline[Any, Any], data: "pd.DataFrame", plan: RunPlan) -> "RunResult":
    from mlops_assets.learning.run import RunInput, execute_run

    params = bind_params(params_type(pipeline), plan.configuration.params, way.where)
    config = bind_config(config_type(pipeline), way.subproject.config, way.where)
    folds, fold = plan.configuration.folds, plan.configuration.fold
    return execute_run(RunInput(pipeline, config, params, plan.seed, data, folds, fold, way.threads))


def _figures(pipeline: Pipeline[Any, Any], data: "pd.DataFrame", result: "RunResult") -> dict[str, bytes]:
    from mlops_assets.learning.plots import predicted_against_true, residuals_over_time

    schema = pipeline.schema
    tested = result.results[result.results["split"] == "test"]
    task, target = schema.task, schema.target
    figures = {"predicted_against_true": predicted_against_true(tested, result.metrics, task, target)}
    if schema.time is not None:
        timed = tested.merge(data[[schema.key, schema.time]], left_on="key", right_on=schema.key)
        figures["residuals_over_time"] = residuals_over_time(timed, schema.time, task, target)
    return figures


def _table(pipeline: Pipeline[Any, Any], result: "RunResult") -> str:
    from mlops_assets.learning.plots import metric_table

    return metric_table(result.metrics, result.train_metrics, result.baseline, dict(pipeline.metrics))
