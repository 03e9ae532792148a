"""Parity before traffic: each model predicts stored test rows of its run, where nothing but the store is at hand."""

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
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


class Proving:
    """``with Proving(ports) as prove: prove(record)``: one process for all models of a batch.

    Whatever keeps a model from being proven is part of the answer: not identical, with the reason.
    """

    def __init__(self, ports: Ports) -> None:
        self._store = DatasetStore(ArtifactStore(ports.home.artifacts_url), ports.home.secret())
        self._threads = ports.compute.threads
        self._open = ExitStack()
        self._verifiers: dict[int, Verifier] = {}

    def __enter__(self) -> Prove:
        self._verifier(self._threads)
        return self.prove

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()
        self._verifiers.clear()

    def prove(self, record: RunRecord) -> Parity:
        """Whether the run's model, loaded from the store, predicts what the run predicted for its test rows."""
        try:
            rows, expected = stored_test_rows(self._store, record)
            # With another number of threads the last bit may be another one.
            verifier = self._verifier(record.environment.threads)
            return verifier.verify(record.artifacts["model"].uri, rows, expected)
        except MlopsError as error:
            return Parity(rows=0, seconds=0.0, identical=False, reason=" ".join(str(error).split()))

    def _verifier(self, threads: int) -> Verifier:
        if threads not in self._verifiers:
            self._verifiers[threads] = self._open.enter_context(Verifier(self._store.artifacts, threads=threads))
        return self._verifiers[threads]


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
