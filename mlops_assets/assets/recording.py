"""What is kept of a run: its artifacts, its record beside them, and the reason where it failed."""

import getpass
import platform
import traceback
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.way import Arrived, RunPlan, Way
from mlops_assets.tracking.record import (
    ArtifactEntry,
    Digests,
    Environment,
    RunError,
    RunRecord,
    document_path,
    fingerprint,
    now,
    to_text,
)
from partitions.errors import DataError, MlopsError
from partitions.pipeline import Pipeline
from partitions.values import digest_of
from resources.artifacts import Artifact, ArtifactStore
from resources.parquet import encode

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.learning.run import RunResult

VERIFIED_ROWS = 100


@dataclass(frozen=True)
class Stored:
    """The artifacts of a run, and the versions of the packages its model needs."""

    artifacts: dict[str, Artifact]
    packages: dict[str, str]
    seconds: float


def store_run(
    way: Way, pipeline: Pipeline[Any, Any], data: "pd.DataFrame", plan: RunPlan, result: "RunResult"
) -> Stored:
    """Write configuration, results and model, once it is proven that such a model predicts from its file alone."""
    from resources.models import dump_model, read_header

    started = perf_counter()
    code = way.origin.code.digest
    about = {"project": way.subproject.project, "subproject": way.subproject.key, "run_id": plan.run_id}
    model = dump_model(result.model, pipeline, way.reference.package, {**about, "code_version": code})
    what = _what_is_proven(way, plan, data, result)
    if what not in _proven:
        _prove(way, pipeline, data, result, model)
        _proven.add(what)
    store = ArtifactStore(way.home.artifacts_url)
    artifacts = {
        "configuration": store.put(plan.configuration.to_yaml().encode(), ".yaml"),
        "results": store.put(encode(result.results), ".parquet"),
        "model": store.put(model, ".model"),
    }
    return Stored(artifacts, dict(read_header(model).environment), perf_counter() - started)


# What this worker has proven already. Finding out takes as long as several predictions, which a fleet of small models
# would pay a thousand times, and what is found out is a matter of the code.
_proven: set[str] = set()


def _what_is_proven(way: Way, plan: RunPlan, data: "pd.DataFrame", result: "RunResult") -> str:
    """One text for all models of the same code, parameters, kind of estimator and columns.

    Of trials whatever the parameters: nearly every trial has others, and the one that is deployed is proven anew.
    """
    kind = type(result.model)
    columns = [[str(name), str(dtype)] for name, dtype in data.dtypes.items()]
    estimator = f"{kind.__module__}.{kind.__qualname__}"
    params = {} if way.origin.kind == "trial" else plan.configuration.params
    return digest_of([way.origin.code.digest, params, estimator, columns])


def _prove(way: Way, pipeline: Pipeline[Any, Any], data: "pd.DataFrame", result: "RunResult", model: bytes) -> None:
    """Load the file with the project out of reach, and predict some test rows exactly as the model in memory does."""
    from resources.models import verify_model

    schema = pipeline.schema
    tested = set(result.results.loc[result.results["split"] == "test", "key"].head(VERIFIED_ROWS).tolist())
    sample = data[[key in tested for key in data[schema.key].tolist()]].drop(columns=[schema.target])
    verify_model(model, way.reference.package, sample, pipeline.predict(result.model, sample))


def new_record(way: Way, plan: RunPlan, data_version: str | None) -> RunRecord:
    configuration = plan.configuration
    digests = Digests(subproject=way.subproject.config_digest, run=configuration.digest, hpo=way.origin.hpo)
    code = way.origin.code
    folds = {} if configuration.folds is None else {"folds": configuration.folds}
    return RunRecord(
        run_id=plan.run_id,
        project=way.subproject.project,
        subproject=way.subproject.key,
        kind=way.origin.kind,
        parent=way.origin.parent,
        stage=way.origin.stage,
        code_version=code,
        data_version=data_version,
        digests=digests,
        configuration=way.subproject.config,
        parameters=configuration.params,
        settings={**way.origin.settings, **folds},
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


def with_outcome(record: RunRecord, result: "RunResult", stored: Stored, data_seconds: float) -> RunRecord:
    """``data_seconds``: what taking or reading the data took, told with the first run on it."""
    steps = {name: seconds for name, seconds in result.timings.items() if name != "total"}
    timings = {**({"data": data_seconds} if data_seconds else {}), **steps, "write": stored.seconds}
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


def failed_records(way: Way, arrived: Arrived, error: RunError) -> tuple[RunRecord, ...]:
    """The records of runs that never began, because there was no data to run on."""
    data_version = arrived.snapshot.data_version if arrived.snapshot else way.data_version
    records = tuple(
        new_record(way, plan, data_version).model_copy(update={"status": "failed", "error": error}) for plan in way.runs
    )
    for record in records:
        keep(way, record)
    return records


def died(way: Way, error: RunError) -> Arrived:
    """What the driver reports for a subproject whose worker ended without an answer."""
    arrived = Arrived(way.subproject.key, error=error)
    return replace(arrived, records=failed_records(way, arrived, error))


def keep(way: Way, record: RunRecord) -> None:
    ArtifactStore(way.home.artifacts_url).write_document(document_path(record), to_text(record))


def run_error(way: Way, error: Exception) -> RunError:
    message = " ".join(str(error).split())
    if not isinstance(error, MlopsError):
        message = f"{type(error).__name__}: {message}"
    if not message.startswith(way.where):
        message = f"{way.where}: {message}"
    # A data error's traceback holds frames of ingest; its own message already leaves private values out.
    hidden = isinstance(error, DataError) or (error.__cause__ is not None and ".ingest raised" in message)
    lines = traceback.format_tb(error.__traceback__) if hidden else traceback.format_exception(error)
    return RunError(message=message, traceback="".join(lines))
