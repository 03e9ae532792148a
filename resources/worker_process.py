"""One worker process on this machine: started, handed items, heard, and ended with all that it started."""

import contextlib
import json
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from resources.outcomes import DIED, ComputeError, Outcome, WorkerError
from resources.worker import FRAMEWORK_ROOT, thread_settings, unpack_outcome

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


class WorkerProcess:
    """One process and the items it has in hand, which it does in the order in which it was given them.

    ``desk``: a folder with a packed ``function``, where items and replies are put (see ``resources.worker.serve``).
    ``folders`` go first on its search path, and nothing else of this process's path or PYTHONPATH does. The process
    ends with this one, however this one ends.
    """

    def __init__(self, desk: Path, folders: Sequence[str], threads: int) -> None:
        self.died = False
        self._desk = desk
        self._ready = False
        self._heard = b""
        self._in_hand: deque[int] = deque()
        self._since = 0.0
        with tempfile.NamedTemporaryFile(dir=desk, suffix=".log", delete=False) as log:
            self._log = Path(log.name)
        arguments = [sys.executable, "-P", "-c", _START, FRAMEWORK_ROOT, str(desk), json.dumps(list(folders))]
        environment = {**os.environ, **thread_settings(threads)}
        environment["PYTHONPATH"] = os.pathsep.join(folders)
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

    @property
    def pid(self) -> int:
        return self._process.pid

    def take(self, index: int, item: bytes) -> None:
        """Hand over an item. A process that died meanwhile is noticed when its answer is waited for."""
        if not self._in_hand:
            self._since = perf_counter()
        self._in_hand.append(index)
        (self._desk / f"{index}.item").write_bytes(item)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._asks, f"{index}\n".encode())

    @property
    def answered(self) -> bool:
        """Whether the answer to the first item in hand has been heard."""
        return bool(self._in_hand) and f"\n{self._in_hand[0]}\n".encode() in self._heard

    def hear(self, news: bool) -> bool:
        """Read what the process says, if there is ``news``; whether it has answered the first item in hand or died."""
        if news:
            said = os.read(self.pipe, 4096)
            self._heard += said
            self.died = not said
        elif not self.lives and not multiprocessing.connection.wait([self.pipe], timeout=0):
            self.died = True
        self._ready = self._ready or self._heard.startswith(b"ready\n")
        return self.died or self.answered

    def outcome(self) -> Outcome[Any]:
        """What became of the first item in hand; its files are gone afterwards."""
        index, answered = self._in_hand[0], self.answered
        item, reply = (self._desk / f"{index}.{kind}" for kind in ("item", "reply"))
        if answered:
            outcome = unpack_outcome(reply.read_bytes(), index)
            self._heard = b"\n" + self._heard.partition(f"\n{index}\n".encode())[2]
        else:
            outcome = self._death(index)
        self._in_hand.popleft()
        self._since = perf_counter()
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

    def _death(self, index: int) -> Outcome[Any]:
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
        return Outcome(index, None, WorkerError(DIED, message, last_words), perf_counter() - self._since)
