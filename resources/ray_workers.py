"""Workers that are Ray tasks: on a local cluster started when first needed, or on one that runs already."""

import hashlib
import io
import logging
import os
import signal
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from resources.needs import Needs, Pulled
from resources.outcomes import ComputeError, Outcome, WorkerError, one_line
from resources.temporary import new_folder
from resources.worker import (
    FRAMEWORK_ROOT,
    THREAD_VARIABLES,
    answer,
    pack,
    search_first,
    thread_settings,
    unpack_outcome,
)

Place = tuple[str, tuple[str, ...]]  # the framework's own folder, and those that go first on the search path

HEARD_WITHIN = 1.0
_starting = threading.Lock()
_local = threading.Event()
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # With `uv run`, Ray would otherwise upload the whole working folder to each worker.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


@dataclass(frozen=True)
class RaySettings:
    """Where and how Ray tasks run: ``cpus`` bounds what is in flight (None: twice what the cluster has).

    ``code``, a folder on this machine, goes first on the search path of workers kept for exactly that content.
    ``needs`` says what an item needs (None: as many CPUs as a worker has threads).
    """

    address: str | None
    folders: Sequence[str]
    cpus: int | None
    available: int
    threads: int
    code: Path | None = None
    needs: Callable[[Any], Needs] | None = None


def map_in_ray(function: bytes, items: Iterable[Any], settings: RaySettings) -> Generator[Outcome[Any], None, None]:
    """Outcomes in completion order; items are pulled only as places become free; closing cancels what is in flight."""
    import ray

    connect(settings)
    slots = _slots(settings)
    code = zipped(settings.code) if settings.code else b""
    workers = {"runtime_env": _runtime_env(settings, code)}
    task = _task().options(num_cpus=min(settings.threads, _largest_node()), **workers)
    tasks: dict[Needs, Any] = {}
    # Large things travel once through the object store and not with each task.
    shared = ray.put(function), ray.put(code)
    place = FRAMEWORK_ROOT, tuple(settings.folders)
    pulled = Pulled(items)
    pending: dict[Any, tuple[int, float]] = {}
    try:
        while True:
            while len(pending) < slots and (numbered_item := pulled.next(len(pending))) is not None:
                index, item = numbered_item
                if settings.needs is not None:
                    needs = settings.needs(item)
                    task = tasks[needs] = tasks.get(needs) or _task().options(**_options(needs), **workers)
                try:
                    packed = pack(item)
                except Exception as error:  # noqa: BLE001 - pickling runs user code
                    yield Outcome(index, None, WorkerError.of(error, prefix="the item cannot be sent: "), 0.0)
                    continue
                reference = task.remote(place, *shared, index, packed)
                pending[reference] = index, perf_counter()
            if not pending:
                return
            # Waiting in pieces, so that an interruption is heard.
            done, _ = ray.wait(list(pending), num_returns=1, timeout=HEARD_WITHIN)
            if done:
                yield _outcome(done[0], *pending.pop(done[0]))
    finally:
        if ray.is_initialized():
            for reference in pending:
                ray.cancel(reference, force=True)


def connect(settings: RaySettings) -> None:
    """Join the cluster this process already has, the one at the address, or a new local one that ends with us."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    with _starting:
        if ray.is_initialized():
            _refuse_another(settings.address)
            return
        address = settings.address or os.environ.get("RAY_ADDRESS")
        quiet = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
        _local.clear()
        if not address:
            _local.set()
            quiet(address="local", num_cpus=max(settings.available, settings.cpus or 0), include_dashboard=False)
            return
        _knock(address)
        try:
            quiet(address=address)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ComputeError(f"the Ray cluster at {address} cannot be used: {one_line(str(error))}") from error


def _refuse_another(address: str | None) -> None:
    """Work meant for a cluster must not quietly run on the local one that earlier work started."""
    import ray

    here = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", here) and _local.is_set():
        raise ComputeError(
            f"this process already works on a local Ray cluster and cannot also join {address}; "
            "set RAY_ADDRESS, or the address everywhere, before the first work"
        )


def _knock(address: str) -> None:
    """Find out in seconds, not in Ray's minutes, that nobody answers at the address."""
    place = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        host, port = place.hostname, place.port
    except ValueError as error:
        raise ComputeError(f"'{address}' is not the address of a Ray cluster, such as host:6379: {error}") from error
    if not host or not port:
        return  # "auto" and the like: Ray finds the place, and says at once where there is none
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        hint = "start it, give another address, or leave the address out for a local cluster"
        raise ComputeError(f"no Ray cluster answers at {address} ({error}); {hint}") from error


def _slots(settings: RaySettings) -> int:
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    ahead = 2 * max(1, int(resources.get("CPU", 1)) // settings.threads)
    return ahead if settings.cpus is None else min(ahead, max(1, settings.cpus // settings.threads))


def _options(needs: Needs) -> dict[str, Any]:
    return {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": needs.memory or 0}


def _largest_node() -> int:
    """A task that asks for more than the largest machine has would wait for ever."""
    return max((int(machine.cpus) for machine in machines()), default=1) or 1


def joined() -> bool:
    """Whether this process works on a cluster already; asking loads nothing."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def machines() -> list[Needs]:
    """What each machine of the cluster has that this process works on."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    there = [node["Resources"] for node in nodes if node["Alive"]]
    return [Needs(r.get("CPU", 1.0), r.get("GPU", 0.0), int(r.get("memory", 0))) for r in there]


def _runtime_env(settings: RaySettings, code: bytes) -> dict[str, Any]:
    """What makes Ray keep workers apart; nothing where its ready-made workers will do, as each kind takes seconds.

    Ray itself sets OMP_NUM_THREADS to the CPUs of a task where it is not set, and the others follow it.
    """
    variables: dict[str, str] = {}
    wanted = thread_settings(settings.threads)
    if settings.threads != 1 or any(os.environ.get(name, "1") != "1" for name in THREAD_VARIABLES):
        variables |= wanted
    if code:
        variables["MLOPS_CODE"] = hashlib.sha256(code).hexdigest()
    return {"env_vars": variables} if variables else {}


def _outcome(reference: Any, index: int, since: float) -> Outcome[Any]:
    import ray

    try:
        reply = ray.get(reference)
    except ray.exceptions.WorkerCrashedError as error:
        reason = "exit code not known to Ray: killed, out of memory or os._exit"
        problem = WorkerError("WorkerDied", f"the worker process died ({reason})", str(error))
    except ray.exceptions.OutOfMemoryError as error:
        reason = "stopped by Ray, as the machine ran out of memory; fewer cpus would leave more for each"
        problem = WorkerError("WorkerDied", f"the worker process died ({reason})", str(error))
    except ray.exceptions.RayError as error:
        problem = WorkerError.of(error)
    else:
        return unpack_outcome(reply, index)
    return Outcome(index, None, problem, perf_counter() - since)


@cache
def _task() -> Any:
    import ray

    def perform(place: Place, function: bytes, code: bytes, index: int, item: bytes) -> bytes:
        # Sent by value, and ours looked up in our own folder first: a project may have a `resources` package too.
        import sys

        if "resources.worker" not in sys.modules:
            sys.path.insert(0, place[0])
        from resources.ray_workers import perform_here

        return perform_here(place, function, code, index, item)

    return ray.remote(max_retries=0)(perform)


def perform_here(place: Place, function: bytes, code: bytes, index: int, item: bytes) -> bytes:
    """In the Ray worker: set the search path, then do the item."""
    _end_when_told()
    search_first([unpacked(code), *place[1]] if code else place[1])
    return answer(function, index, item)


@cache
def _end_when_told() -> None:
    """SIGTERM, which Ray sends when the driver is gone, ends this process.

    Ray's own handler raises SystemExit in whatever runs. There it would be taken for an error of the pipeline's code,
    and the run, which nobody waits for any more, would be kept as one that failed.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@cache
def unpacked(code: bytes) -> str:
    """The code's folder in this worker, which is kept for this code alone.

    Ray kills its workers, so none can clear up after itself: each removes what dead ones left. A worker holds a lock
    on its folder as long as it lives.
    """
    folder, _ = new_folder("mlops-code-")
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        archive.extractall(folder)
    return str(folder)


def zipped(folder: Path) -> bytes:
    """A folder's files as a zip that depends on names and content only."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes())
    return target.getvalue()
