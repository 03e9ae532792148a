"""Runs judged by gates: the champion they are measured against, and a stored run whose gates are asked again.

For workers that have the code version of the run: nothing here knows Dagster or where it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.determinism import limited_threads
from mlops_assets.learning.results import rows_with_results
from mlops_assets.quality.gates import Champion, Judged, judge
from mlops_assets.quality.verdicts import GateVerdict
from mlops_assets.tracking.record import RunRecord
from partitions.errors import ArtifactError, MlopsError
from partitions.gates import Gate
from partitions.parameters import bind_config, bind_params, config_type, params_type
from partitions.reference import PipelineReference
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore
from resources.home import Home
from resources.parquet import decode

if TYPE_CHECKING:
    import pandas as pd

    from resources.models import LoadedModel


@dataclass(frozen=True)
class AskedAgain:
    """A stored run, and the gates to judge it by: those of the stage it is to be promoted to, say.

    champion: the record of the run whose model serves there now; None where nothing does.
    reference: where the code to train with other seeds is, on the worker.
    """

    home: Home
    record: RunRecord
    gates: tuple[Gate, ...]
    champion: RunRecord | None
    reference: PipelineReference


def judge_stored(asked: AskedAgain) -> tuple[GateVerdict, ...]:
    """The verdict of every gate, by the model and the results in the store: nothing is trained but for other seeds.

    Raises MlopsError where the run's data, results or model cannot be had.
    """
    from resources.models import load_model

    record, store = asked.record, ArtifactStore(asked.home.artifacts_url)
    results, loaded = decode(_stored(store, record, "results")), load_model(_stored(store, record, "model"))
    data = DatasetStore(store, asked.home.secret()).read(record.where, record.data_version or "")
    champion, lost = champion_of(store, asked.champion)
    pipeline = loaded.pipeline
    judged = Judged(
        pipeline=pipeline,
        rows=rows_with_results(data, pipeline.schema.key, results, "test"),
        metrics=record.metrics,
        model=loaded.model,
        model_bytes=record.artifacts["model"].bytes,
        baseline=record.baseline,
        config=bind_config(config_type(pipeline), record.configuration, record.where),
        params=bind_params(params_type(pipeline), record.parameters, record.where),
        seed=record.seed,
        retrain=_trainer(asked, data),
        champion=champion,
        champion_lost=lost,
    )
    with limited_threads(record.environment.threads):
        return tuple(judge(asked.gates, judged))


def champion_of(store: ArtifactStore, record: RunRecord | None) -> tuple[Champion | None, str | None]:
    """The model of a run as champion, with its own predict and the keys of its train rows; or why it cannot be had."""
    from resources.models import load_model

    if record is None:
        return None, None
    try:
        loaded = load_model(_stored(store, record, "model"))
        results = decode(_stored(store, record, "results"))
    except MlopsError as error:
        return None, " ".join(str(error).split())
    trained = frozenset(results.loc[results["split"] == "train", "key"].tolist())
    predict = _as_it_ran(loaded, record.environment.threads)
    return Champion(record.run_id, loaded.model, predict, trained, record.code_version.digest), None


def _as_it_ran(loaded: "LoadedModel", threads: int) -> "Callable[[pd.DataFrame], pd.DataFrame]":
    def predict(rows: "pd.DataFrame") -> "pd.DataFrame":
        with limited_threads(threads):
            return loaded.predict(rows)

    return predict


def _trainer(asked: AskedAgain, data: "pd.DataFrame") -> Callable[[int], dict[str, float]]:
    """Trains the same with another seed, by the code at hand on the worker: a model file cannot be trained from."""

    def train(seed: int) -> dict[str, float]:
        from mlops_assets.learning.run import RunInput, execute_run

        record, pipeline = asked.record, asked.reference.load()
        params: Any = bind_params(params_type(pipeline), record.parameters, record.where)
        config: Any = bind_config(config_type(pipeline), record.configuration, record.where)
        return execute_run(RunInput(pipeline, config, params, seed, data, threads=record.environment.threads)).metrics

    return train


def _stored(store: ArtifactStore, record: RunRecord, name: str) -> bytes:
    if name not in record.artifacts:
        raise ArtifactError(f"run {record.run_id} ({record.status}) has no {name}")
    return store.get(record.artifacts[name].uri)
