"""One subproject's way, on one worker: data, checks, runs, results, without a round trip to disk between the steps.

Nothing here knows Dagster or where it runs. What is written is content-addressed or named by a new run id, so that a
way cut short at any point leaves nothing half done: no event names what was not written whole.
"""

import getpass
import platform
import traceback
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.data import check_rows
from mlops_assets.quality.expectations import DataVerdict, validate
from mlops_assets.tracking.record import (
    ArtifactEntry,
    CodeIdentity,
    Digests,
    Environment,
    Kind,
    RunError,
    RunRecord,
    document_path,
    fingerprint,
    now,
    to_text,
)
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import DataError, MlopsError, PipelineError
from partitions.parameters import bind_config, bind_params, config_type, params_type
from partitions.pipeline import Pipeline, Window
from partitions.reference import PipelineReference
from partitions.run_configuration import RunConfiguration
from resources.artifacts import Artifact, ArtifactStore
from resources.datasets import DatasetStore, Snapshot
from resources.home import Home

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.learning.run import RunResult

VERIFIED_ROWS = 100


@dataclass(frozen=True)
class RunPlan:
    """One run to do: its id, and its configuration with the seed; parameters not given take the code's defaults."""

    run_id: str
    configuration: RunConfiguration

    @property
    def seed(self) -> int:
        return self.configuration.seed or 0


@dataclass(frozen=True)
class Origin:
    """What a run's record says of where it comes from."""

    code: CodeIdentity
    lock: str
    kind: Kind = "dev"
    stage: str | None = None
    dagster_run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Way:
    """What is to be done for one subproject.

    ``fresh``: ingest and take a snapshot; otherwise ``data_version`` is read. ``runs`` may be empty (dataset only).
    """

    home: Home
    subproject: SubprojectConfiguration
    reference: PipelineReference
    origin: Origin
    fresh: bool
    runs: tuple[RunPlan, ...]
    data_version: str | None = None
    window: Window | None = None
    draw: bool = False
    threads: int = 1

    @property
    def where(self) -> str:
        return f"{self.subproject.project}/{self.subproject.key}"


@dataclass(frozen=True)
class Arrived:
    """How far a subproject came: its data, the records of its runs, and what stopped it, if anything."""

    subproject: str
    snapshot: Snapshot | None = None
    verdict: DataVerdict | None = None
    records: tuple[RunRecord, ...] = ()
    figures: dict[str, bytes] = field(default_factory=dict)
    table: str = ""
    error: RunError | None = None


def travel(way: Way) -> Arrived:
    """Go the whole way, or as far as it goes: an error stops this subproject and is part of what is returned."""
    arrived = Arrived(way.subproject.key)
    try:
        pipeline = way.reference.load()
        store = DatasetStore(ArtifactStore(way.home.artifacts_url), way.home.secret())
        if way.fresh:
            arrived, data = _take_snapshot(way, pipeline, store)
            if arrived.error is not None:
                return replace(arrived, records=_failed(way, arrived, arrived.error))
        else:
            data = store.read(way.where, way.data_version or "")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this subproject's and is reported as that
        stopped = _run_error(way, error)
        return replace(arrived, error=stopped, records=_failed(way, arrived, stopped))
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
        result, stored = _execute(way, pipeline, data, bound)
        record = _with_outcome(_record(way, bound, data_version), result, stored)
        figures = _figures(pipeline, data, result) if way.draw else {}
        table = _table(pipeline, result)
        _keep(way, record)
        return replace(so_far, records=(*so_far.records, record), figures=figures, table=table)
    except Exception as error:  # noqa: BLE001 - recorded with the run; the data that arrived is kept
        stopped = _run_error(way, error)
        record = _record(way, bound, data_version).model_copy(update={"status": "failed", "error": stopped})
        _keep(way, record)
        return replace(so_far, records=(*so_far.records, record), error=so_far.error or stopped)


@dataclass(frozen=True)
class Stored:
    """The artifacts of a run, and the versions of the packages its model needs."""

    artifacts: dict[str, Artifact]
    packages: dict[str, str]
    seconds: float


def _execute(way: Way, pipeline: Pipeline[Any, Any], data: "pd.DataFrame", plan: RunPlan) -> tuple["RunResult", Stored]:
    from mlops_assets.learning.run import RunInput, execute_run

    params = bind_params(params_type(pipeline), plan.configuration.params, way.where)
    config = bind_config(config_type(pipeline), way.subproject.config, way.where)
    folds, fold = plan.configuration.folds, plan.configuration.fold
    result = execute_run(RunInput(pipeline, config, params, plan.seed, data, folds, fold, way.threads))
    return result, _store(way, pipeline, data, plan, result)


def _store(way: Way, pipeline: Pipeline[Any, Any], data: "pd.DataFrame", plan: RunPlan, result: "RunResult") -> Stored:
    """Write configuration, results and model, and prove that the model file predicts without the project's code."""
    from resources.models import dump_model, read_header, verify_model

    started = perf_counter()
    code = way.origin.code.digest
    about = {"project": way.subproject.project, "subproject": way.subproject.key, "run_id": plan.run_id}
    model = dump_model(result.model, pipeline, way.reference.package, {**about, "code_version": code})
    schema = pipeline.schema
    tested = set(result.results.loc[result.results["split"] == "test", "key"].head(VERIFIED_ROWS).tolist())
    sample = data[[key in tested for key in data[schema.key].tolist()]].drop(columns=[schema.target])
    verify_model(model, way.reference.package, sample, pipeline.predict(result.model, sample))
    store = ArtifactStore(way.home.artifacts_url)
    artifacts = {
        "configuration": store.put(plan.configuration.to_yaml().encode(), ".yaml"),
        "results": store.put(result.results.to_parquet(index=False, compression="zstd"), ".parquet"),
        "model": store.put(model, ".model"),
    }
    return Stored(artifacts, dict(read_header(model).environment), perf_counter() - started)


def _record(way: Way, plan: RunPlan, data_version: str | None) -> RunRecord:
    configuration = plan.configuration
    digests = Digests(subproject=way.subproject.config_digest, run=configuration.digest)
    code = way.origin.code
    settings = {name: value for name in ("folds",) if (value := getattr(configuration, name)) is not None}
    return RunRecord(
        run_id=plan.run_id,
        project=way.subproject.project,
        subproject=way.subproject.key,
        kind=way.origin.kind,
        stage=way.origin.stage,
        code_version=code,
        data_version=data_version,
        digests=digests,
        configuration=way.subproject.config,
        parameters=configuration.params,
        settings=settings,
        seed=plan.seed,
        fold=configuration.fold,
        fingerprint=fingerprint(code.digest, data_version, digests, plan.seed, configuration.fold),
        environment=Environment(python=platform.python_version(), lock=way.origin.lock, threads=way.threads),
        status="succeeded",
        created_at=now(),
        created_by=getpass.getuser(),
        dagster_run_id=way.origin.dagster_run_id,
        tags={**way.subproject.tags, **way.origin.tags},
    )


def _with_outcome(record: RunRecord, result: "RunResult", stored: Stored) -> RunRecord:
    steps = {name: seconds for name, seconds in result.timings.items() if name != "total"}
    timings = {**steps, "write": stored.seconds}
    rows = {f"{name}_rows": count for name, count in result.rows.items()}
    return record.model_copy(
        update={
            "metrics": result.metrics,
            "train_metrics": result.train_metrics,
            "baseline": result.baseline,
            "predictions": result.predictions_digest,
            "artifacts": {name: ArtifactEntry(**made.model_dump()) for name, made in stored.artifacts.items()},
            "environment": record.environment.model_copy(update={"packages": stored.packages}),
            "timings": {name: round(seconds, 6) for name, seconds in timings.items()},
            "settings": {**record.settings, "split": result.split_digest, **rows},
        }
    )


def _failed(way: Way, arrived: Arrived, error: RunError) -> tuple[RunRecord, ...]:
    """The records of runs that never began, because there was no data to run on."""
    data_version = arrived.snapshot.data_version if arrived.snapshot else way.data_version
    records = tuple(
        _record(way, plan, data_version).model_copy(update={"status": "failed", "error": error}) for plan in way.runs
    )
    for record in records:
        _keep(way, record)
    return records


def died(way: Way, error: RunError) -> Arrived:
    """What the driver reports for a subproject whose worker ended without an answer."""
    arrived = Arrived(way.subproject.key, error=error)
    return replace(arrived, records=_failed(way, arrived, error))


def _keep(way: Way, record: RunRecord) -> None:
    ArtifactStore(way.home.artifacts_url).write_document(document_path(record), to_text(record))


def _run_error(way: Way, error: Exception) -> RunError:
    message = " ".join(str(error).split())
    if not isinstance(error, MlopsError):
        message = f"{type(error).__name__}: {message}"
    if not message.startswith(way.where):
        message = f"{way.where}: {message}"
    # A data error's traceback holds frames of ingest; its own message already leaves private values out.
    hidden = isinstance(error, DataError) or (error.__cause__ is not None and ".ingest raised" in message)
    lines = traceback.format_tb(error.__traceback__) if hidden else traceback.format_exception(error)
    return RunError(message=message, traceback="".join(lines))


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
