"""Workers that are processes of their own on this machine: another code version, or many items without a cluster."""

import contextlib
import json
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from resources.needs import Needs, Pulled
from resources.outcomes import ComputeError, Outcome, WorkerError
from resources.worker import FRAMEWORK_ROOT, pack, thread_settings, unpack_outcome

_LAST_WORDS = 4_000
_START = """
import json, sys
root, desk, folders = sys.argv[1:]
sys.path.insert(0, root)
from resources.worker import serve
sys.path.remove(root)
sys.path.append(root)
serve(desk, json.loads(folders))
"""


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
    idle: list[_Worker] = []
    busy: list[_Worker] = []
    with tempfile.TemporaryDirectory(prefix="mlops-work-") as desk:
        Path(desk, "function").write_bytes(function)
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
                    busy.append(_reused(idle) or _Worker(Path(desk), settings))
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


def _reused(idle: "list[_Worker]") -> "_Worker | None":
    """An idle worker, if one still lives; the death of another between two items is no item's error."""
    while idle:
        worker = idle.pop()
        if worker.lives:
            return worker
        worker.end()
    return None


def _finished(busy: "list[_Worker]") -> "list[_Worker]":
    """Wait for the workers that have answered or died; at least one."""
    while True:
        # The pause ends at news on a pipe. It is short because a process that died may have left the pipe open in a
        # child of its own, and then only asking for its exit code shows it.
        heard = multiprocessing.connection.wait([worker.pipe for worker in busy], timeout=0.5)
        finished = [worker for worker in busy if worker.hear(worker.pipe in heard)]
        if finished:
            return finished


class _Worker:
    """One process and the item it has in hand."""

    def __init__(self, desk: Path, settings: ProcessSettings) -> None:
        self.died = False
        self._desk = desk
        self._ready = False
        self._heard = b""
        self._index = -1
        self._since = 0.0
        with tempfile.NamedTemporaryFile(dir=desk, suffix=".log", delete=False) as log:
            self._log = Path(log.name)
        arguments = [sys.executable, "-P", "-c", _START, FRAMEWORK_ROOT, str(desk), json.dumps(list(settings.folders))]
        environment = {**os.environ, **thread_settings(settings.threads)}
        environment["PYTHONPATH"] = os.pathsep.join(settings.folders)
        with self._log.open("ab") as errors:
            # A session of its own keeps Ctrl-C from the worker: whoever started it decides, and ends all it started.
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asks, self.pipe = self._process.stdin.fileno(), self._process.stdout.fileno()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def take(self, index: int, item: bytes) -> None:
        """Hand over one item. A process that died meanwhile is noticed when its answer is waited for."""
        self._index, self._since = index, perf_counter()
        (self._desk / f"{index}.item").write_bytes(item)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._asks, f"{index}\n".encode())

    def hear(self, news: bool) -> bool:
        """Read what the process says, if there is ``news``; whether it has answered or died."""
        if news:
            said = os.read(self.pipe, 4096)
            self._heard += said
            self.died = not said
        elif not self.lives and not multiprocessing.connection.wait([self.pipe], timeout=0):
            self.died = True
        self._ready = self._ready or self._heard.startswith(b"ready\n")
        return self.died or self._heard.endswith(f"\n{self._index}\n".encode())

    def outcome(self) -> Outcome[Any]:
        """What became of the item in hand; its files are gone afterwards."""
        item, reply = (self._desk / f"{self._index}.{kind}" for kind in ("item", "reply"))
        if self.died:
            outcome = self._death()
        else:
            outcome = unpack_outcome(reply.read_bytes(), self._index)
            self._heard = b"\n"
        item.unlink()
        reply.unlink(missing_ok=True)
        return outcome

    def end(self) -> None:
        """Kill the process and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _death(self) -> Outcome[Any]:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on: of no use any more
            self._process.kill()
            code = self._process.wait()
        last_words = self._log.read_text(errors="replace")[-_LAST_WORDS:]
        if not self._ready:
            last_line = last_words.strip().rpartition("\n")[2]
            raise ComputeError(f"no worker process starts with {sys.executable} (exit code {code}): {last_line}")
        reason = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        message = f"the worker process died ({reason})"
        if code == -signal.SIGKILL:
            message += "; if nobody killed it, the machine ran out of memory"
        return Outcome(self._index, None, WorkerError("WorkerDied", message, last_words), perf_counter() - self._since)
