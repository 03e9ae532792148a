"""Parity before traffic: a run's stored model predicts its stored test rows in a process that has only the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops_assets.assets.launch import Ports
from mlops_assets.learning.results import rows_with_results
from mlops_assets.tracking.record import RunRecord
from partitions.errors import MlopsError
from partitions.project import Project
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore
from resources.parquet import decode
from resources.verifier import PARITY_ROWS, Parity, Verifier

if TYPE_CHECKING:
    from mlops_assets.assets.deciding import Prove


@contextmanager
def proving(ports: Ports, project: Project) -> "Iterator[Prove]":
    """While the block runs, one process answers for all models: it starts while the first are still trained."""
    store = ArtifactStore(ports.home.artifacts_url)
    datasets = DatasetStore(store, ports.home.secret())
    with Verifier(store, threads=ports.compute.threads) as verifier:

        def prove(record: RunRecord) -> Parity:
            try:
                return prove_run(verifier, datasets, record, project.pipeline.schema.target)
            except MlopsError as error:
                return Parity(rows=0, seconds=0.0, identical=False, reason=" ".join(str(error).split()))

        yield prove


def prove_run(verifier: Verifier, datasets: DatasetStore, record: RunRecord, target: str) -> Parity:
    """Everything is read from the store. Raises MlopsError where something of the run is missing or damaged there."""
    snapshot = datasets.find(record.where, record.data_version or "")
    data = datasets.read(record.where, snapshot.data_version)
    results = decode(datasets.artifacts.get(record.artifacts["results"].uri))
    tested = rows_with_results(data, snapshot.key, results, "test")
    names = [name for name in results.columns if name == "prediction" or name.startswith("probability_")]
    own = [name for name in data.columns if name != target]
    model = record.artifacts["model"].uri
    some = tested.iloc[:PARITY_ROWS]
    parity = verifier.verify(model, some[own], some[names])
    if parity.identical or len(some) == len(tested):
        return parity
    # The last bit of a sum may depend on how many rows are summed at once: the run predicted all of them at once.
    return verifier.verify(model, tested[own], tested[names])
