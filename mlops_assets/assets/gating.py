"""On the worker: does a model that is meant for a stage get there? Judged by the gates, or known already.

Nothing here knows Dagster or where it runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.decision import said_of_gates
from mlops_assets.assets.recording import run_error
from mlops_assets.assets.way import Aim, Arrived, RunPlan, Way
from mlops_assets.learning.results import rows_with_results
from mlops_assets.quality.gates import Champion, Judged, judge
from mlops_assets.quality.verdicts import GateVerdict, stops
from mlops_assets.tracking.record import RunError, RunRecord, record_path
from partitions.errors import ArtifactError, MlopsError
from partitions.parameters import bind_config, bind_params, config_type, params_type
from partitions.pipeline import Pipeline
from partitions.values import Value, digest_of
from resources.artifacts import Artifact, ArtifactStore
from resources.datasets import DatasetStore
from resources.parquet import decode

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.learning.run import RunResult


class Attempt(Value):
    """The last run that was done for a stage, kept until it is deployed: what defines it, and the verdicts on it."""

    key: str
    run_id: str
    family: str | None
    verdicts: tuple[GateVerdict, ...] = ()


def already(way: Way, aim: Aim, plan: RunPlan, so_far: Arrived) -> Arrived | None:
    """Where this run need not be done: it is what serves there now, or it was done and never deployed.

    A run that gates have stopped is only taken as it is within one family of Dagster runs: asked for again, it is done
    again, with another seed.
    """
    store = ArtifactStore(way.home.artifacts_url)
    for run_id in aim.known:
        record = _record(store, way, run_id)
        if record is not None and _defined_by(record) == _defines(way, plan):
            return replace(so_far, same_as=run_id)
    attempt = _last_attempt(store, way, aim)
    if attempt is None or attempt.key != _key(way, aim, plan):
        return None
    if stops(attempt.verdicts) and (attempt.family is None or attempt.family != aim.family):
        return None
    record = _record(store, way, attempt.run_id)
    if record is None or not _is_whole(store, record):
        return None
    return replace(so_far, records=(record,), verdicts=attempt.verdicts, reused=True)


def remember(way: Way, aim: Aim, plan: RunPlan, record: RunRecord, verdicts: Sequence[GateVerdict]) -> None:
    """Killed from now on, the run is taken as it is instead of done again."""
    attempt = Attempt(key=_key(way, aim, plan), run_id=record.run_id, family=aim.family, verdicts=tuple(verdicts))
    ArtifactStore(way.home.artifacts_url).write_document(_path(way, aim.stage), attempt.model_dump_json())


def forget(artifacts: ArtifactStore, project: str, subproject: str, stage: str) -> None:
    """The run was deployed: from now on the ledger knows it."""
    artifacts.write_document(f"attempts/{project}/{subproject}/{stage}.json", "{}")


@dataclass(frozen=True)
class Trained:
    """A run that was just done, with what judging it needs."""

    pipeline: Pipeline[Any, Any]
    data: "pd.DataFrame"
    plan: RunPlan
    result: "RunResult"
    model_bytes: int


def judge_run(way: Way, aim: Aim, trained: Trained, again: Callable[[int], "RunResult"]) -> tuple[GateVerdict, ...]:
    """The verdict of every gate on a run. ``again``: the same run with another seed."""
    pipeline, result = trained.pipeline, trained.result
    champion, lost = champion_of(way, aim)
    judged = Judged(
        pipeline=pipeline,
        rows=rows_with_results(trained.data, pipeline.schema.key, result.results, "test"),
        metrics=result.metrics,
        model=result.model,
        model_bytes=trained.model_bytes,
        baseline=result.baseline,
        config=bind_config(config_type(pipeline), way.subproject.config, way.where),
        params=bind_params(params_type(pipeline), trained.plan.configuration.params, way.where),
        seed=trained.plan.seed,
        retrain=lambda seed: again(seed).metrics,
        champion=champion,
        champion_lost=lost,
    )
    return tuple(judge(aim.gates, judged))


def champion_of(way: Way, aim: Aim) -> tuple[Champion | None, str | None]:
    """The model that serves in the stage now, loaded, with its own predict; or why it cannot be."""
    from resources.models import load_model

    if aim.champion is None:
        return None, None
    store = ArtifactStore(way.home.artifacts_url)
    try:
        record = kept_record(store, way.subproject.project, way.subproject.key, aim.champion)
        loaded = load_model(store.get(_uri(record, "model")))
        results = decode(store.get(_uri(record, "results")))
    except MlopsError as error:
        return None, " ".join(str(error).split())
    trained = frozenset(results.loc[results["split"] == "train", "key"].tolist())
    return Champion(aim.champion, loaded.model, loaded.predict, trained, record.code_version.digest), None


def judged_record(record: RunRecord, verdicts: tuple[GateVerdict, ...]) -> RunRecord:
    """The record of a run that was judged: rejected, with the reason, where a gate stops it."""
    if not stops(verdicts):
        return record.model_copy(update={"status": "succeeded", "error": None})
    reason = RunError(message=f"{record.where}: {said_of_gates(verdicts)}")
    return record.model_copy(update={"status": "rejected", "error": reason})


def kept_record(store: ArtifactStore, project: str, subproject: str, run_id: str) -> RunRecord:
    """A run's record as it lies beside its artifacts. Raises ArtifactError where it is missing or cannot be read."""
    path = record_path(project, subproject, run_id)
    try:
        return RunRecord.model_validate_json(store.read_document(path))
    except ArtifactError:
        raise
    except (ValueError, MlopsError) as error:
        raise ArtifactError(
            f"document {path} is no record of a run any more: {' '.join(str(error).split())}"
        ) from error


def _record(store: ArtifactStore, way: Way, run_id: str) -> RunRecord | None:
    """None where it cannot be had: then the run is done again."""
    try:
        return kept_record(store, way.subproject.project, way.subproject.key, run_id)
    except ArtifactError:
        return None


def _is_whole(store: ArtifactStore, record: RunRecord) -> bool:
    """Whether all that the run stored is there and undamaged: `mlops gc` frees what nobody has deployed for long."""
    return all(store.has(Artifact(**entry.model_dump())) for entry in record.artifacts.values())


def _uri(record: RunRecord, name: str) -> str:
    if name not in record.artifacts:
        raise ArtifactError(f"run {record.run_id} ({record.status}) has no {name}")
    return record.artifacts[name].uri


def _last_attempt(store: ArtifactStore, way: Way, aim: Aim) -> Attempt | None:
    try:
        text = store.read_document(_path(way, aim.stage))
    except ArtifactError:
        return None
    try:
        return Attempt.model_validate_json(text)
    except (ValueError, MlopsError):
        return None  # forgotten, or of another version of this program


def _path(way: Way, stage: str) -> str:
    return f"attempts/{way.subproject.project}/{way.subproject.key}/{stage}.json"


def _defines(way: Way, plan: RunPlan) -> tuple[str | None, str, str, str]:
    """What a run is, but for its seed."""
    configuration = plan.configuration
    return configuration.data_version, way.origin.code.digest, way.subproject.config_digest, configuration.digest


def _defined_by(record: RunRecord) -> tuple[str | None, str, str, str]:
    return record.data_version, record.code_version.digest, record.digests.subproject, record.digests.run


def _key(way: Way, aim: Aim, plan: RunPlan) -> str:
    """Equal where the same run would be judged by the same gates against the same champion."""
    gates = [gate.model_dump(mode="json") for gate in aim.gates]
    return digest_of([*_defines(way, plan), gates, aim.champion])


@dataclass(frozen=True)
class Rejudging:
    """A run that was done before, to be judged for another stage: the way's aim."""

    way: Way
    run_id: str


def judge_again(asked: Rejudging) -> Arrived:
    """The run as it is stored, judged by the gates of another stage: an error is part of what is returned."""
    way, arrived = asked.way, Arrived(asked.way.subproject.key)
    if way.aim is None:
        raise ValueError("a run is judged again for a stage")
    try:
        store = ArtifactStore(way.home.artifacts_url)
        record = kept_record(store, way.subproject.project, way.subproject.key, asked.run_id)
        verdicts = tuple(judge(way.aim.gates, _stored(way, way.aim, record, store)))
        return replace(arrived, records=(record,), verdicts=verdicts)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this subproject's and is reported as that
        return replace(arrived, error=run_error(way, error))


def _stored(way: Way, aim: Aim, record: RunRecord, store: ArtifactStore) -> Judged:
    """What gates look at, all of it from the store: data, results and model are what the run left."""
    from mlops_assets.learning.run import RunInput, execute_run
    from resources.models import load_model

    pipeline = way.reference.load()
    data = DatasetStore(store, way.home.secret()).read(record.where, record.data_version or "")
    model_file = store.get(_uri(record, "model"))
    config = bind_config(config_type(pipeline), record.configuration, way.where)
    params = bind_params(params_type(pipeline), record.parameters, way.where)
    champion, lost = champion_of(way, aim)

    def again(seed: int) -> dict[str, float]:
        return execute_run(RunInput(pipeline, config, params, seed, data, threads=way.threads)).metrics

    return Judged(
        pipeline=pipeline,
        rows=rows_with_results(data, pipeline.schema.key, decode(store.get(_uri(record, "results"))), "test"),
        metrics=record.metrics,
        model=load_model(model_file).model,
        model_bytes=len(model_file),
        baseline=record.baseline,
        config=config,
        params=params,
        seed=record.seed,
        retrain=again,
        champion=champion,
        champion_lost=lost,
    )
