"""Parity before traffic: each model predicts stored test rows of its run, where nothing but the store is at hand."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from mlops_assets.assets.launch import Ports
from mlops_assets.tracking.record import RunRecord
from partitions.errors import ArtifactError, MlopsError
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore
from resources.parquet import decode
from resources.verifier import PARITY_ROWS, Parity, Verifier

if TYPE_CHECKING:
    import pandas as pd

Prove = Callable[[RunRecord], Parity]


@contextmanager
def proving(ports: Ports) -> Iterator[Prove]:
    """``with proving(ports) as prove: prove(record)``: one process answers for all models of a batch.

    It starts while the first are still trained. Whatever keeps a model from being proven is part of the answer: not
    identical, with the reason.
    """
    store = DatasetStore(ArtifactStore(ports.home.artifacts_url), ports.home.secret())
    with ExitStack() as opened:

        @cache
        def verifier(threads: int) -> Verifier:
            # With another number of threads than the run had, the last bit may be another one.
            return opened.enter_context(Verifier(store.artifacts, threads=threads))

        def prove(record: RunRecord) -> Parity:
            try:
                rows, expected = stored_test_rows(store, record)
                return verifier(record.environment.threads).verify(record.artifacts["model"].uri, rows, expected)
            except MlopsError as error:
                return Parity(rows=0, seconds=0.0, identical=False, reason=" ".join(str(error).split()))

        verifier(ports.compute.threads)
        yield prove


def stored_test_rows(
    store: DatasetStore, record: RunRecord, most: int = PARITY_ROWS
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Test rows of a run as its dataset has them, and what it stored as their predictions: up to ``most``, spread over
    all of them. Raises ArtifactError where dataset, results or model are not there any more."""
    import numpy as np

    for name in ("model", "results"):
        if name not in record.artifacts:
            raise ArtifactError(f"run {record.run_id} ({record.status}) has no {name}")
    results = decode(store.artifacts.get(record.artifacts["results"].uri))
    tested = results[results["split"] == "test"]
    if len(tested) > most:
        tested = tested.iloc[np.linspace(0, len(tested) - 1, most).astype(int)]
    snapshot = store.find(record.where, record.data_version or "")
    # The digest of the file is checked by reading it, and that of its content was when it was written.
    data = decode(store.artifacts.get(snapshot.artifact))
    places = {key: place for place, key in enumerate(data[snapshot.key].tolist())}
    lost = [key for key in tested["key"].tolist() if key not in places]
    if lost:
        raise ArtifactError(
            f"run {record.run_id}: {len(lost)} of its rows are not in data version {snapshot.data_version}"
        )
    rows = data.iloc[[places[key] for key in tested["key"].tolist()]].reset_index(drop=True)
    return rows, tested.drop(columns=["key", "split", "fold", "truth"]).reset_index(drop=True)
