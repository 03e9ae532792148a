"""Parity before traffic: a run's stored model predicts its stored test rows in a process that has only the store."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mlops_assets.assets.launch import Ports
from mlops_assets.assets.way import Arrived
from mlops_assets.quality.verdicts import stops
from mlops_assets.tracking.record import RunRecord
from resources.artifacts import ArtifactStore
from resources.proof import Parity, Question
from resources.verifier import PARITY_ROWS, Verifier


@contextmanager
def proving(ports: Ports) -> "Iterator[Proving]":
    """While the block runs, one process answers for all models: it starts while the first are still trained."""
    with ExitStack() as opened:
        proof = Proving(ArtifactStore(ports.home.artifacts_url), opened)
        proof.verifier(ports.compute.threads)
        yield proof


class Proving:
    """Proves runs, each from the store. Whatever keeps one from being proven is its answer: not identical, with the
    reason. Safe for threads."""

    def __init__(self, store: ArtifactStore, opened: ExitStack) -> None:
        self._store = store
        self._opened = opened
        self._lock = threading.Lock()
        self._verifiers: dict[int, Verifier] = {}
        self._asked: dict[str, int] = {}

    def verifier(self, threads: int) -> Verifier:
        """The process for runs with so many threads: with another number, the last bit may be another one."""
        with self._lock:
            if threads not in self._verifiers:
                self._verifiers[threads] = self._opened.enter_context(Verifier(threads=threads))
            return self._verifiers[threads]

    def foresee(self, arrived: Arrived) -> None:
        """Have the proof begin that will be needed of what arrived, while others are still on their way."""
        if arrived.error is None and arrived.records and not stops(arrived.verdicts):
            self.begin(arrived.records[-1])

    def begin(self, record: RunRecord) -> None:
        """Ask, and do not wait: the answer is for who calls this with the same record next."""
        if _lacking(record) is not None:
            return
        verifier = self.verifier(record.environment.threads)
        with self._lock:
            if record.run_id not in self._asked:
                self._asked[record.run_id] = verifier.hand_over(self._question(record))

    def __call__(self, record: RunRecord) -> Parity:
        lacking = _lacking(record)
        if lacking is not None:
            return Parity(rows=0, seconds=0.0, identical=False, reason=lacking)
        self.begin(record)
        return self.verifier(record.environment.threads).answer(self._asked.pop(record.run_id))

    def _question(self, record: RunRecord) -> Question:
        return Question(
            store=self._store,
            owner=record.where,
            run_id=record.run_id,
            data_version=record.data_version or "",
            model=record.artifacts["model"].uri,
            results=record.artifacts["results"].uri,
            rows=PARITY_ROWS,
        )


def _lacking(record: RunRecord) -> str | None:
    missing = [name for name in ("model", "results") if name not in record.artifacts]
    return f"run {record.run_id} ({record.status}) has no {missing[0]}" if missing else None
