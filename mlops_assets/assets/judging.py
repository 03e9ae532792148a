"""Runs judged by gates on a worker: a run that was just done, or one from the store; and the champion they are
measured against.

Nothing here knows Dagster or where it runs.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.gating import kept_record
from mlops_assets.assets.recording import run_error
from mlops_assets.assets.way import Aim, Arrived, RunPlan, Way
from mlops_assets.learning.determinism import limited_threads
from mlops_assets.learning.results import rows_with_results
from mlops_assets.quality.gates import Champion, Judged, judge
from mlops_assets.quality.verdicts import GateVerdict
from mlops_assets.tracking.record import RunRecord
from partitions.errors import ArtifactError, MlopsError
from partitions.parameters import bind_config, bind_params, config_type, params_type
from partitions.pipeline import Pipeline
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore
from resources.parquet import decode, decode_columns

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.learning.run import RunResult
    from resources.models import LoadedModel


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
    champion, lost = _champion(way, aim)
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
    with limited_threads(way.threads):
        return tuple(judge(aim.gates, judged))


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
        record = kept_record(_store(way), way.subproject.project, way.subproject.key, asked.run_id)
        judged = _from_store(way, way.aim, record)
        with limited_threads(record.environment.threads):
            return replace(arrived, records=(record,), verdicts=tuple(judge(way.aim.gates, judged)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this subproject's and is reported as that
        return replace(arrived, error=run_error(way, error))


def _from_store(way: Way, aim: Aim, record: RunRecord) -> Judged:
    """What gates look at, all of it from the store: data, results and model are what the run left.

    The model predicts by the code in its file. What judges it is the code at hand here, which is that of the run.
    """
    from resources.models import load_model

    store, pipeline = _store(way), way.reference.load()
    data = DatasetStore(store, way.home.secret()).read(record.where, record.data_version or "")
    results, loaded = decode(_stored(store, record, "results")), load_model(_stored(store, record, "model"))
    config = bind_config(config_type(pipeline), record.configuration, way.where)
    params = bind_params(params_type(pipeline), record.parameters, way.where)
    champion, lost = _champion(way, aim)

    def again(seed: int) -> dict[str, float]:
        from mlops_assets.learning.run import RunInput, execute_run

        return execute_run(RunInput(pipeline, config, params, seed, data, threads=record.environment.threads)).metrics

    return Judged(
        pipeline=pipeline,
        rows=rows_with_results(data, pipeline.schema.key, results, "test"),
        metrics=record.metrics,
        model=loaded.model,
        model_bytes=record.artifacts["model"].bytes,
        baseline=record.baseline,
        config=config,
        params=params,
        seed=record.seed,
        retrain=again,
        champion=champion,
        champion_lost=lost,
        predict=loaded.predict,
    )


def _champion(way: Way, aim: Aim) -> tuple[Champion | None, str | None]:
    """The model that serves in the stage now; or why it cannot be had."""
    if aim.champion is None:
        return None, None
    try:
        store = _store(way)
        return champion_of(store, kept_record(store, way.subproject.project, way.subproject.key, aim.champion)), None
    except MlopsError as error:
        return None, " ".join(str(error).split())


def champion_of(store: ArtifactStore, record: RunRecord) -> Champion:
    """The model of a run, with its own predict and the keys of its train rows. Raises MlopsError where it cannot be
    had, or cannot be loaded here."""
    from resources.models import load_model

    loaded = load_model(_stored(store, record, "model"))
    results = decode_columns(_stored(store, record, "results"), ["key", "split"])
    splits = results["split"].tolist()
    trained = frozenset(itertools.compress(results["key"].tolist(), [split == "train" for split in splits]))
    predict = _as_it_ran(loaded, record.environment.threads)
    return Champion(record.run_id, loaded.model, predict, trained, record.code_version.digest)


def _as_it_ran(loaded: "LoadedModel", threads: int) -> "Callable[[pd.DataFrame], pd.DataFrame]":
    def predict(rows: "pd.DataFrame") -> "pd.DataFrame":
        with limited_threads(threads):
            return loaded.predict(rows)

    return predict


def _store(way: Way) -> ArtifactStore:
    return ArtifactStore(way.home.artifacts_url)


def _stored(store: ArtifactStore, record: RunRecord, name: str) -> bytes:
    if name not in record.artifacts:
        raise ArtifactError(f"run {record.run_id} ({record.status}) has no {name}")
    return store.get(record.artifacts[name].uri)
