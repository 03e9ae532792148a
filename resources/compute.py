"""Where user code runs: ``Compute.map`` runs a function on items in this process, in others, or in Ray."""

import itertools
import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from resources.needs import LATER, Later, Needs, Pulled
from resources.outcomes import ComputeError, Outcome, WorkerError, WorkFailedError
from resources.ray_workers import RaySettings, connect, joined, machines, map_in_ray
from resources.subprocess_workers import ProcessSettings, map_in_processes
from resources.worker import call, inside_worker, local_folders, pack_function

__all__ = [
    "LATER",
    "Compute",
    "ComputeError",
    "Environment",
    "Later",
    "Needs",
    "Outcome",
    "WorkFailedError",
    "WorkerError",
]

T = TypeVar("T")
R = TypeVar("R")
Backend = Literal["auto", "inline", "processes", "ray"]


@dataclass(frozen=True)
class Environment:
    """Another code version than the imported one: its folder goes first on the search path of workers of their own.

    The function that is mapped, and what it imports of the project, is then that folder's.
    """

    archive_dir: Path

    def __post_init__(self) -> None:
        if not self.archive_dir.is_dir():
            raise ComputeError(f"no folder {self.archive_dir} with a code version; extract its archive first")


@dataclass(frozen=True)
class Compute:
    """How work is spread.

    ``auto`` does a single item in this process and several in Ray: on the cluster at ``address``, on the one this
    process has joined already, or on a local one, started once and stopped when the process ends. ``processes`` is the
    same on this machine without Ray. ``cpus`` bounds what runs at once (None: all there are), ``threads`` holds the
    numeric libraries of each worker.
    """

    backend: Backend = "auto"
    address: str | None = None
    cpus: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise ComputeError(f"compute backend '{self.backend}' is not one of {', '.join(get_args(Backend))}")
        if self.address is not None and self.backend in ("inline", "processes"):
            raise ComputeError(f"compute backend '{self.backend}' takes no address; '{self.address}' needs 'ray'")
        for name, value in (("cpus", self.cpus), ("threads", self.threads)):
            if value is not None and value < 1:
                raise ComputeError(f"compute {name} is {value}; at least 1 is needed")

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T | Later],
        *,
        environment: Environment | None = None,
        needs: Callable[[T], Needs] | None = None,
    ) -> Generator[Outcome[R], None, None]:
        """Outcomes as they complete; ``Outcome.index`` says which item each belongs to.

        Never raises for what one item does, not even when it kills its process (inline it is this process). Items are
        pulled one by one as places become free, so that a generator of items may decide by the outcomes so far: at
        most twice as many are in flight as there are CPUs, and no more than ``cpus`` where that is given. Closing the
        generator, or an interruption, ends what is in flight. Raises ``ComputeError`` where no work is possible.

        A generator that has nothing now yields ``LATER`` and is asked again after the next outcome. ``needs`` says what
        an item needs of its machine; ``refuse`` finds out beforehand whether there is such a machine.
        """
        backend = self.backend
        if backend == "auto":
            items, several = _peek(items)
            backend = "ray" if several and not inside_worker() else "inline"
        if environment is None and backend == "inline":
            return _inline(function, Pulled(items))
        packed = pack_function(function)
        remote = self._remote_address() if self.backend in ("auto", "ray") else None
        if backend == "ray" and (environment is None or remote):
            return map_in_ray(packed, items, replace(self._ray_settings(environment), needs=needs))
        # Without a cluster elsewhere, another code version needs no Ray: a process starts in a tenth of the time.
        return map_in_processes(packed, items, replace(self._process_settings(environment, backend), needs=needs))

    def for_many(self) -> "Compute":
        """The same for work of which nobody can say yet whether it is one item: ``auto`` is Ray then."""
        return replace(self, backend="ray") if self.backend == "auto" and not inside_worker() else self

    def cores(self) -> int:
        """How many CPUs the work of this process may use: of the cluster it has joined, else of this machine."""
        here = self.cpus or available_cpus()
        on_ray = self.backend in ("auto", "ray") and joined()
        return here if not on_ray else min(self.cpus or 2**31, max(1, int(sum(one.cpus for one in machines()))))

    def refuse(self, needs: Iterable[Needs], environment: Environment | None = None) -> None:
        """Raise ``ComputeError`` where some of this is needed and no machine has it: it would wait for ever."""
        asked = set(needs) - {Needs()}
        if not asked:
            return
        on_ray = self.backend == "ray" and (environment is None or self._remote_address())
        if on_ray:
            connect(self._ray_settings(environment))
        there = machines() if on_ray else [_this_machine()]
        for one in sorted(asked, key=str):
            lacking = one.lacking(there)
            if lacking is not None:
                raise ComputeError(f"{lacking}: ask for less, or give the address of a cluster that has it")

    def _remote_address(self) -> str | None:
        return self.address or os.environ.get("RAY_ADDRESS")

    def _ray_settings(self, environment: Environment | None) -> RaySettings:
        code = environment.archive_dir if environment else None
        return RaySettings(self.address, local_folders(), self.cpus, available_cpus(), self.threads, code)

    def _process_settings(self, environment: Environment | None, backend: str) -> ProcessSettings:
        code = [str(environment.archive_dir.resolve())] if environment else []
        workers = 1 if backend == "inline" else max(1, (self.cpus or available_cpus()) // self.threads)
        return ProcessSettings([*code, *local_folders()], workers, self.threads)


def _inline(function: Callable[[T], R], pulled: Pulled) -> Generator[Outcome[R], None, None]:
    while (numbered := pulled.next(0)) is not None:
        yield call(function, *numbered)


def _this_machine() -> Needs:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Needs(float(available_cpus()), 0.0, memory)


def available_cpus() -> int:
    """The CPUs this process may use: of the machine, of its affinity, and of its container's quota; at least 1."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cpus = os.cpu_count() or 1
    quota_file = Path("/sys/fs/cgroup/cpu.max")
    if quota_file.is_file():
        quota, period = quota_file.read_text().split()
        if quota != "max":
            cpus = min(cpus, int(quota) // int(period))
    return max(1, cpus)


def _peek(items: Iterable[Any]) -> tuple[Iterable[Any], bool]:
    """The same items, and whether there is more than one; only a sized collection is not touched for it."""
    try:
        return items, len(items) > 1  # type: ignore[arg-type]
    except TypeError:
        iterator = iter(items)
        first = list(itertools.islice(iterator, 2))
        return itertools.chain(first, iterator), len(first) > 1
