"""Parity before traffic: a process that has only the store proves that a model predicts what it predicted at training.

The process is started once for many models, never sees an object of training, and cannot import the project whose model
it loads: what it predicts, a server predicts.
"""

import contextlib
import multiprocessing.connection
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from partitions.errors import MlopsError
from partitions.values import Value
from resources.artifacts import Artifact, ArtifactStore
from resources.outcomes import DIED, ComputeError, Outcome
from resources.worker import pack, pack_function
from resources.worker_process import WorkerProcess

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PARITY_ROWS = 1000
# The first model of a process also pays for importing the libraries it needs.
LONGEST_SECONDS = 120.0


class Parity(Value):
    """Whether a stored model predicts the same in a process of its own. Kept with the deployment as its proof.

    rows: how many were compared. seconds: until the answer, the start of the process included where it was started.
    reason: what differs, or why there is no answer; empty where all is identical.
    """

    rows: int
    seconds: float
    identical: bool
    reason: str = ""


@dataclass(frozen=True)
class Question:
    """What the process is asked: addresses and rows, nothing of the project."""

    store: ArtifactStore
    uri: str
    rows: "pd.DataFrame"


class Verifier:
    """One process for many models, used as a context manager; threads take turns.

    A process that dies over the same model twice, or does not answer within ``longest`` seconds, is an answer (not
    identical, with the reason), and the next model gets a new one. ``threads``: as many as the runs had, as more may
    change the last bit.
    """

    def __init__(self, store: ArtifactStore, *, threads: int = 1, longest: float = LONGEST_SECONDS) -> None:
        self._store = store
        self._threads = threads
        self._longest = longest
        self._turn = threading.Lock()
        self._asked = 0
        self._desk: tempfile.TemporaryDirectory[str] | None = None
        self._process: WorkerProcess | None = None

    def __enter__(self) -> "Verifier":
        """Starts the process and does not wait for it: it gets ready while models are still trained."""
        self._desk = tempfile.TemporaryDirectory(prefix="mlops-verifier-")
        Path(self._desk.name, "function").write_bytes(pack_function(answer_apart))
        self._process = self._started()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
        if self._desk is not None:
            self._desk.cleanup()
            self._desk = None

    @property
    def pid(self) -> int | None:
        """The process that answers now."""
        return self._process.pid if self._process is not None else None

    def verify(self, model: Artifact | str, rows: "pd.DataFrame", expected: "pd.DataFrame") -> Parity:
        """Load the model from the store and predict ``rows``, as they are in a dataset; the target is not shown to it.

        ``expected``: what the run stored for these rows, in their order: ``prediction`` and, where it has them,
        ``probability_<class>``. Equal means bit for bit, whatever width or storage the types have.
        """
        began = perf_counter()
        if len(rows) != len(expected) or not len(rows):
            raise ValueError(f"{len(rows)} rows and {len(expected)} predictions; give as many, and at least one")
        uri = model if isinstance(model, str) else model.uri
        reason = self._reason(Question(self._store, uri, rows), expected)
        return Parity(rows=len(rows), seconds=round(perf_counter() - began, 6), identical=not reason, reason=reason)

    def _reason(self, question: Question, expected: "pd.DataFrame") -> str:
        """Why the two are not identical; empty where they are."""
        with self._turn:
            try:
                outcome = self._ask(question)
                # Killed from outside, or for want of memory, it says nothing about the model; dying again does.
                if outcome is not None and outcome.error is not None and outcome.error.kind == DIED:
                    outcome = self._ask(question)
            except ComputeError as error:
                self._end()
                return str(error)
            except BaseException:
                # Interrupted with a question open: its answer must not be taken for the next one's.
                self._end()
                raise
        if outcome is None:
            return f"the process that verifies gave no answer within {self._longest:g} s"
        if outcome.error is not None:
            return str(outcome.error)
        return difference(outcome.get(), expected)

    def _ask(self, question: Question) -> Outcome[Any] | None:
        if self._desk is None:
            raise MlopsError("a Verifier is used as a context manager: with Verifier(store) as verifier: ...")
        if self._process is None or not self._process.lives:
            self._end()
            self._process = self._started()
        process = self._process
        process.take(self._asked, pack(question))
        self._asked += 1
        until = perf_counter() + self._longest
        while (left := until - perf_counter()) > 0:
            # Short, because a process that died may have left its pipe open in a child of its own.
            heard = multiprocessing.connection.wait([process.pipe], timeout=min(0.5, left))
            if process.hear(bool(heard)):
                outcome = process.outcome()
                if process.died:
                    self._end()
                return outcome
        self._end()
        return None

    def _started(self) -> WorkerProcess:
        assert self._desk is not None
        return WorkerProcess(Path(self._desk.name), [], self._threads)

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._desk is not None:
            for left in Path(self._desk.name).glob("*.item"):
                with contextlib.suppress(FileNotFoundError):
                    left.unlink()


def answer_apart(question: Question) -> "pd.DataFrame":
    """In the process: the predictions of the model in the store, with its project out of reach."""
    from resources.models import predict_apart, read_header

    data = question.store.get(question.uri)
    return predict_apart(data, read_header(data).package, question.rows)


def difference(predicted: "pd.DataFrame", expected: "pd.DataFrame") -> str:
    """What differs between predictions and those that were stored, in a few words; empty where nothing does."""
    import numpy as np

    missing = [str(name) for name in expected.columns if name not in predicted.columns]
    if missing:
        return f"predict returns no {', '.join(missing)} (it returns {', '.join(map(str, predicted.columns))})"
    if len(predicted) != len(expected):
        return f"{len(predicted)} predictions for {len(expected)} rows"
    for name in expected.columns:
        there, here = expected[name], predicted[name]
        apart = _apart(there, here)
        if apart.any():
            first = int(np.flatnonzero(apart)[0])
            return (
                f"column {name!r} differs in {int(apart.sum())} of {len(expected)} rows, such as "
                f"{here.iloc[first]} instead of {there.iloc[first]}"
            )
    return ""


def _apart(there: "pd.Series[Any]", here: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """Which values differ. A store may hold a type in another width or form: values count, missing ones are equal."""
    import numpy as np
    import pandas as pd

    kinds = pd.api.types
    missing = [side.isna().to_numpy(dtype=bool) for side in (there, here)]
    if all(kinds.is_numeric_dtype(side.dtype) for side in (there, here)):
        whole = all(kinds.is_integer_dtype(side.dtype) or kinds.is_bool_dtype(side.dtype) for side in (there, here))
        dtype, filler = ("int64", 0) if whole else ("float64", np.nan)
        sides = [side.to_numpy(dtype=dtype, na_value=filler) for side in (there, here)]
    else:
        sides = [np.array([str(value) for value in side.tolist()], dtype=object) for side in (there, here)]
    apart = sides[0] != sides[1]
    return np.asarray((apart & ~(missing[0] & missing[1])) | (missing[0] != missing[1]), dtype=bool)
