"""Parity before traffic: a run's stored model predicts its stored test rows in a process that has only the store."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from mlops_assets.assets.launch import Ports
from mlops_assets.learning.results import rows_with_results
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
    """While the block runs, one process answers for all models: it starts while the first are still trained.

    Whatever keeps a model from being proven is part of the answer: not identical, with the reason.
    """
    store = DatasetStore(ArtifactStore(ports.home.artifacts_url), ports.home.secret())
    with ExitStack() as opened:

        @cache
        def verifier(threads: int) -> Verifier:
            # With another number of threads than the run had, the last bit may be another one.
            return opened.enter_context(Verifier(store.artifacts, threads=threads))

        def prove(record: RunRecord) -> Parity:
            try:
                return prove_run(verifier(record.environment.threads), store, record)
            except MlopsError as error:
                return Parity(rows=0, seconds=0.0, identical=False, reason=" ".join(str(error).split()))

        verifier(ports.compute.threads)
        yield prove


def prove_run(verifier: Verifier, store: DatasetStore, record: RunRecord) -> Parity:
    """Everything is read from the store. Raises MlopsError where something of the run is missing or damaged there."""
    rows, expected = stored_test_rows(store, record)
    model = record.artifacts["model"].uri
    some = _spread(rows, PARITY_ROWS)
    parity = verifier.verify(model, some, expected.loc[some.index])
    if parity.identical or len(some) == len(rows):
        return parity
    # The last bit of a sum may depend on how many rows are summed at once: the run predicted all of them at once.
    return verifier.verify(model, rows, expected)


def stored_test_rows(store: DatasetStore, record: RunRecord) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The test rows of a run as its dataset has them, and what it stored as their predictions.

    Raises MlopsError where dataset, results or model are not there any more.
    """
    for name in ("model", "results"):
        if name not in record.artifacts:
            raise ArtifactError(f"run {record.run_id} ({record.status}) has no {name}")
    results = decode(store.artifacts.get(record.artifacts["results"].uri))
    snapshot = store.find(record.where, record.data_version or "")
    # Reading checks the digest of the file; that the file is this data version was checked when it was written.
    data = decode(store.artifacts.get(snapshot.artifact))
    try:
        tested = rows_with_results(data, snapshot.key, results, "test")
    except KeyError as error:
        raise ArtifactError(
            f"run {record.run_id}: row {error} of its results is not in data version {snapshot.data_version}"
        ) from error
    predictions = [name for name in results.columns if name not in ("key", "split", "fold", "truth")]
    return tested[list(data.columns)], tested[predictions]


def _spread(rows: "pd.DataFrame", most: int) -> "pd.DataFrame":
    """At most that many, from all over them."""
    import numpy as np

    return rows if len(rows) <= most else rows.iloc[np.linspace(0, len(rows) - 1, most).astype(int)]
