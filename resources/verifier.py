"""Parity before traffic: a process that has only the store proves that a model predicts what it predicted at training.

The process is started once for many models, never sees an object of training, and cannot import the project whose model
it loads: what it predicts, a server predicts.
"""

import contextlib
import itertools
import multiprocessing.connection
import os
import shutil
import threading
from pathlib import Path
from time import perf_counter
from types import TracebackType

from partitions.errors import MlopsError
from resources.outcomes import DIED, ComputeError, Outcome
from resources.proof import Parity, Question, answer_apart
from resources.temporary import new_folder
from resources.worker import pack, pack_function
from resources.worker_process import WorkerProcess

PARITY_ROWS = 1000
# The first model of a process also pays for importing the libraries it needs.
LONGEST_SECONDS = 120.0


class Verifier:
    """One process for many models, used as a context manager; safe for threads.

    Questions may be handed over long before their answers are wanted: the process answers one after the other, and
    neither side waits for the other in between. A process that dies over the same model twice, or does not answer
    within ``longest`` seconds while its answer is waited for, is an answer (not identical, with the reason), and the
    next model gets a new one. ``threads``: as many as the runs had, as more may change the last bit.
    """

    def __init__(self, *, threads: int = 1, longest: float = LONGEST_SECONDS) -> None:
        self._threads = threads
        self._longest = longest
        self._turn = threading.Lock()  # of who hears
        self._state = threading.RLock()  # of all below
        self._tickets = itertools.count()
        self._open: dict[int, Question] = {}
        self._answers: dict[int, Parity] = {}
        self._deaths: dict[int, int] = {}
        self._desk: tuple[Path, int] | None = None
        self._process: WorkerProcess | None = None

    def __enter__(self) -> "Verifier":
        """Starts the process and does not wait for it: it gets ready while models are still trained."""
        self._desk = new_folder("mlops-verifier-")
        (self._desk[0] / "function").write_bytes(pack_function(answer_apart))
        self._process = self._started(self._desk[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._state:
            self._end()
            if self._desk is not None:
                folder, lock = self._desk
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
                self._desk = None

    @property
    def pid(self) -> int | None:
        """The process that answers now."""
        process = self._process
        return process.pid if process is not None else None

    def verify(self, question: Question) -> Parity:
        """The answer to one question, waited for."""
        return self.answer(self.hand_over(question))

    def hand_over(self, question: Question) -> int:
        """Ask, and do not wait; the ticket is good for one ``answer``."""
        with self._state:
            desk = self._folder()
            ticket = next(self._tickets)
            if not self._open and self._process is not None and not self._process.lives:
                # Died with nothing in hand: that says nothing about this model.
                self._end()
                self._process = self._started(desk)
            self._open[ticket] = question
            if self._process is not None:
                self._process.take(ticket, pack(question))
            return ticket

    def answer(self, ticket: int) -> Parity:
        """The answer to what was handed over."""
        with self._turn:
            while ticket not in self._answers:
                if ticket not in self._open:
                    raise MlopsError("this question was not asked, or is answered already")
                try:
                    self._hear()
                except BaseException:
                    # Interrupted in the middle of hearing: what is open is asked anew.
                    self._end()
                    raise
            return self._answers.pop(ticket)

    def _hear(self) -> None:
        """Wait for the answer to the question that was asked first of those that are open."""
        until = perf_counter() + self._longest
        ticket, process = self._at_work()
        while not process.answered:
            left = until - perf_counter()
            # Short, because a process that died may have left its pipe open in a child of its own.
            heard = multiprocessing.connection.wait([process.pipe], timeout=max(0.0, min(0.5, left)))
            if process.hear(bool(heard)):
                break
            if left <= 0:
                self._end()
                return self._answered(ticket, f"the process that verifies gave no answer within {self._longest:g} s")
        try:
            with self._state:
                outcome = process.outcome()
        except ComputeError as error:
            self._end()
            return self._answered(ticket, str(error))
        if outcome.error is None:
            return self._answered(ticket, outcome.get())
        if outcome.error.kind == DIED:
            self._end()
            self._deaths[ticket] = self._deaths.get(ticket, 0) + 1
            # Killed from outside, or for want of memory, it says nothing about the model; dying again does.
            if self._deaths[ticket] < 2:
                return None
        return self._answered(ticket, _no_proof(outcome))

    def _answered(self, ticket: int, answer: Parity | str) -> None:
        if isinstance(answer, str):
            answer = Parity(rows=0, seconds=0.0, identical=False, reason=answer)
        with self._state:
            self._answers[ticket] = answer
            del self._open[ticket]
            self._deaths.pop(ticket, None)

    def _at_work(self) -> tuple[int, WorkerProcess]:
        """The ticket that is answered next, and the process: a new one has all that is open before it."""
        with self._state:
            if self._process is None:
                self._process = self._started(self._folder())
                for ticket, question in self._open.items():
                    self._process.take(ticket, pack(question))
            return next(iter(self._open)), self._process

    def _folder(self) -> Path:
        if self._desk is None:
            raise MlopsError("a Verifier is used as a context manager: with Verifier() as verifier: ...")
        return self._desk[0]

    def _started(self, desk: Path) -> WorkerProcess:
        return WorkerProcess(desk, [], self._threads)

    def _end(self) -> None:
        with self._state:
            if self._process is not None:
                self._process.end()
                self._process = None
            if self._desk is not None:
                for left in (*self._desk[0].glob("*.item"), *self._desk[0].glob("*.reply")):
                    with contextlib.suppress(FileNotFoundError):
                        left.unlink()


def _no_proof(outcome: Outcome[Parity]) -> Parity:
    reason = " ".join(str(outcome.error).split())
    return Parity(rows=0, seconds=round(outcome.seconds, 6), identical=False, reason=reason)
