"""What every worker does, wherever it runs: find the code, do one item, answer in bytes.

Function, item and reply travel as pickled bytes, so that the search path is set before anything is unpickled, arrays
arrive writable, and what cannot be sent is one item's error.
"""

import contextvars
import faulthandler
import importlib
import os
import pickle
import queue
import shutil
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from resources.outcomes import ComputeError, Outcome, WorkerError

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
FRAMEWORK_ROOT = str(Path(__file__).resolve().parent.parent)

_working = contextvars.ContextVar("working", default=False)


def inside_worker() -> bool:
    """Whether the code that asks is itself the work on an item, which then must not start workers unasked."""
    return _working.get()


def pack_function(function: Callable[..., Any]) -> bytes:
    """The function as bytes: by reference where a worker can import it, by value where not (notebook, lambda)."""
    try:
        return pack(function)
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        reason = WorkerError.of(error)
        raise ComputeError(f"function {name} cannot be sent to workers ({reason}); define it in a module") from error


def pack(value: Any) -> bytes:
    """Pickled bytes of anything cloudpickle can handle."""
    import cloudpickle  # type: ignore[import-untyped, unused-ignore]

    packed: bytes = cloudpickle.dumps(value)
    return packed


def call(function: Callable[[Any], Any], index: int, item: Any) -> Outcome[Any]:
    """Do one item in this process. An error of the function is the outcome's; only an interruption goes through."""
    token = _working.set(True)
    started = perf_counter()
    try:
        value = function(item)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - user code: its error is the outcome
        return Outcome(index, None, WorkerError.of(error), perf_counter() - started)
    finally:
        _working.reset(token)
    return Outcome(index, value, None, perf_counter() - started)


def answer(function: bytes, index: int, item: bytes) -> bytes:
    """Do one packed item; the packed ``Outcome``. Never raises for what the function or its data do."""
    try:
        loaded, argument = pickle.loads(function), pickle.loads(item)
    except Exception as error:  # noqa: BLE001 - unpickling runs user code
        return pack(Outcome(index, None, WorkerError.of(error, prefix="could not be loaded in the worker: "), 0.0))
    outcome = call(loaded, index, argument)
    try:
        return pack(outcome)
    except Exception as error:  # noqa: BLE001 - pickling runs user code
        prefix = f"the result, a {type(outcome.value).__name__}, cannot be sent back: "
        return pack(Outcome(index, None, WorkerError.of(error, prefix=prefix), outcome.seconds))


def unpack_outcome(reply: bytes, index: int) -> Outcome[Any]:
    """The outcome in a worker's reply; a value that cannot be read here is an error like any other."""
    try:
        outcome: Outcome[Any] = pickle.loads(reply)
    except Exception as error:  # noqa: BLE001 - unpickling runs user code
        return Outcome(index, None, WorkerError.of(error, prefix="the result cannot be read here: "), 0.0)
    return outcome


def local_folders() -> list[str]:
    """The folders on this process's module search path that no bare interpreter has, in their order."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    common = [Path(folder).resolve() for name, folder in sysconfig.get_paths().items() if name in names]
    entries = [Path(entry or ".").resolve() for entry in sys.path]
    local = [entry for entry in entries if entry.is_dir() and not any(entry.is_relative_to(c) for c in common)]
    return list(dict.fromkeys(map(str, local)))


def search_first(folders: Iterable[str]) -> None:
    """Put the folders that exist here first on the module search path, in their order."""
    first = [folder for folder in folders if Path(folder).is_dir()]
    wanted = [*first, *(entry for entry in sys.path if entry not in first)]
    if wanted != sys.path:
        sys.path[:] = wanted
        importlib.invalidate_caches()


def thread_settings(threads: int) -> dict[str, str]:
    """Environment variables that hold the numeric libraries of a worker to ``threads`` threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def serve(desk: str, folders: Sequence[str]) -> None:
    """Be a worker process: do the items named on standard input, until it closes.

    ``desk`` is a folder that holds ``function`` and, for every item asked for, ``<index>.item``; ``<index>.reply``
    is put there before the index is written to what was standard output. All that user code prints goes to standard
    error. The process, and all that it started, ends when whoever started it is gone.
    """
    asked, told = os.fdopen(os.dup(0)), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    faulthandler.enable()
    search_first(folders)
    indices: queue.SimpleQueue[int] = queue.SimpleQueue()
    function = Path(desk, "function").read_bytes()
    gone = threading.Event()
    listener = threading.Thread(target=_listen, args=(asked, indices, desk, gone), daemon=True)
    listener.start()
    try:
        os.write(told, b"ready\n")
        while True:
            index = indices.get()
            os.ftruncate(2, 0)  # what earlier items printed explains nothing about this one
            reply = answer(function, index, Path(desk, f"{index}.item").read_bytes())
            Path(desk, f"{index}.reply").write_bytes(reply)
            os.write(told, f"{index}\n".encode())
    except OSError as error:
        if gone.is_set() or isinstance(error, BrokenPipeError):
            listener.join()  # whoever started this is gone: the listener clears up, and ends all
        raise


def _listen(asked: Iterable[str], indices: "queue.SimpleQueue[int]", desk: str, gone: threading.Event) -> None:
    for line in asked:
        indices.put(int(line))
    gone.set()
    shutil.rmtree(desk, ignore_errors=True)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
