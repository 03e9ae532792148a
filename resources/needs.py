"""What one item of work needs of a machine, and items that are not there yet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from resources.outcomes import ComputeError


@dataclass(frozen=True)
class Needs:
    """CPUs, GPUs and memory (bytes; None: not said) of one item. Parts of a CPU or GPU are shared with others."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int | None = None

    def lacking(self, machines: Iterable["Needs"]) -> str | None:
        """What none of the machines has, in words; None where one of them has all of it."""
        there = list(machines)
        if any(machine.holds(self) for machine in there):
            return None
        most = Needs(
            max((machine.cpus for machine in there), default=0.0),
            max((machine.gpus for machine in there), default=0.0),
            max((machine.memory or 0 for machine in there), default=0),
        )
        return f"one run needs {self}; the largest machine has {most}"

    def holds(self, other: "Needs") -> bool:
        """Whether a machine of this size has what ``other`` needs."""
        enough = other.memory is None or (self.memory or 0) >= other.memory
        return enough and self.cpus >= other.cpus and self.gpus >= other.gpus

    def __str__(self) -> str:
        said = [f"{self.cpus:g} CPUs", f"{self.gpus:g} GPUs"]
        if self.memory is not None:
            said.append(f"{self.memory / 2**30:.1f} GiB of memory")
        return ", ".join(said)


class Later:
    """Stands among items for: nothing to do now; ask again when something of what is in flight has come back."""

    def __repr__(self) -> str:
        return "LATER"


LATER: Final = Later()


class Pulled:
    """Items as places become free for them, numbered. ``source`` may say LATER as long as something is in flight."""

    def __init__(self, source: Iterable[Any]) -> None:
        self._source: Iterator[Any] = iter(source)
        self._count = 0
        self._ended = False

    def next(self, in_flight: int) -> tuple[int, Any] | None:
        """The next item and its number; None where there is none, now or ever."""
        item = LATER if self._ended else next(self._source, self)
        if item is self:
            self._ended = True
            return None
        if isinstance(item, Later):
            if not in_flight and not self._ended:
                raise ComputeError("the items wait for an outcome, and nothing is in flight that could bring one")
            return None
        self._count += 1
        return self._count - 1, item
