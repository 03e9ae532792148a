"""Workers that are processes of their own on this machine: another code version, or many items without a cluster."""

import multiprocessing.connection
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from resources.needs import Needs, Pulled
from resources.outcomes import Outcome, WorkerError
from resources.temporary import held_folder
from resources.worker import pack
from resources.worker_process import WorkerProcess


@dataclass(frozen=True)
class ProcessSettings:
    """How worker processes are started: the folders first on their search path, how many, threads of each.

    ``needs`` says what an item needs: one that needs the CPUs of several workers runs beside fewer others.
    """

    folders: Sequence[str]
    workers: int
    threads: int
    needs: Callable[[Any], Needs] | None = None

    def places(self, item: Any) -> float:
        """How many of the workers' places an item takes."""
        return 1.0 if self.needs is None else max(1.0, self.needs(item).cpus / self.threads)


def map_in_processes(
    function: bytes, items: Iterable[Any], settings: ProcessSettings
) -> Generator[Outcome[Any], None, None]:
    """Outcomes in completion order. At most ``settings.workers`` items are in flight; closing kills their processes.

    A process is reused for further items, and replaced where it died. Raises ``ComputeError`` where none starts.
    """
    queue = _Queue(Pulled(items), settings)
    idle: list[WorkerProcess] = []
    busy: list[WorkerProcess] = []
    with held_folder("mlops-work-") as desk:
        (desk / "function").write_bytes(function)
        try:
            while True:
                while (numbered_item := queue.fitting(len(busy))) is not None:
                    try:
                        item = pack(numbered_item[1])
                    except Exception as error:  # noqa: BLE001 - pickling runs user code
                        problem = WorkerError.of(error, prefix="the item cannot be sent to a worker: ")
                        queue.done(numbered_item[0])
                        yield Outcome(numbered_item[0], None, problem, 0.0)
                        continue
                    busy.append(_reused(idle) or WorkerProcess(desk, settings.folders, settings.threads))
                    busy[-1].take(numbered_item[0], item)
                if not busy:
                    return
                for worker in _finished(busy):
                    outcome = worker.outcome()
                    queue.done(outcome.index)
                    busy.remove(worker)
                    if worker.died:
                        worker.end()
                    else:
                        idle.append(worker)
                    yield outcome
        finally:
            for worker in (*busy, *idle):
                worker.end()


class _Queue:
    """Items in their order, each when there is room for it; the next one waits in hand."""

    def __init__(self, pulled: Pulled, settings: ProcessSettings) -> None:
        self._pulled = pulled
        self._settings = settings
        self._taken: dict[int, float] = {}
        self._in_hand: tuple[int, Any] | None = None

    def fitting(self, in_flight: int) -> tuple[int, Any] | None:
        """The next item if there is room for it; one that needs more than there is runs alone."""
        if len(self._taken) >= self._settings.workers:
            return None
        self._in_hand = self._in_hand or self._pulled.next(in_flight)
        if self._in_hand is None:
            return None
        places = self._settings.places(self._in_hand[1])
        if self._taken and sum(self._taken.values()) + places > self._settings.workers:
            return None
        self._taken[self._in_hand[0]] = places
        numbered, self._in_hand = self._in_hand, None
        return numbered

    def done(self, index: int) -> None:
        del self._taken[index]


def _reused(idle: "list[WorkerProcess]") -> "WorkerProcess | None":
    """An idle worker, if one still lives; the death of another between two items is no item's error."""
    while idle:
        worker = idle.pop()
        if worker.lives:
            return worker
        worker.end()
    return None


def _finished(busy: "list[WorkerProcess]") -> "list[WorkerProcess]":
    """Wait for the workers that have answered or died; at least one."""
    while True:
        # The pause ends at news on a pipe. It is short because a process that died may have left the pipe open in a
        # child of its own, and then only asking for its exit code shows it.
        heard = multiprocessing.connection.wait([worker.pipe for worker in busy], timeout=0.5)
        finished = [worker for worker in busy if worker.hear(worker.pipe in heard)]
        if finished:
            return finished
