"""What comes back from a worker: a value, or the error with the traceback it had there. Plain data, easily sent."""

import traceback as tracebacks
from dataclasses import dataclass
from typing import Generic, TypeVar

from partitions.errors import MlopsError

R = TypeVar("R")

DIED = "WorkerDied"
_LONGEST_MESSAGE = 2_000
_LONGEST_TRACEBACK = 20_000


class ComputeError(MlopsError):
    """Work cannot be given out at all: no cluster, no worker that starts, a function that cannot be sent."""


class WorkFailedError(MlopsError):
    """The work on one item failed; raised only by ``Outcome.get``."""

    def __init__(self, error: "WorkerError") -> None:
        super().__init__(str(error))
        self.error = error
        self.add_note(error.traceback)


@dataclass(frozen=True)
class WorkerError:
    """Why one item has no value.

    ``kind`` is the name of the exception's class, or ``WorkerDied`` where the process ended without an answer.
    ``message`` is one line. ``traceback`` is the worker's, or the last it printed before it died; it may be empty.
    ``actionable`` says that the message is an ``MlopsError``'s and is enough for a person without the traceback.
    """

    kind: str
    message: str
    traceback: str
    actionable: bool = False

    def __str__(self) -> str:
        return self.message if self.actionable or self.kind == DIED else f"{self.kind}: {self.message}"

    @staticmethod
    def of(error: BaseException, *, own_frames: int = 1, prefix: str = "") -> "WorkerError":
        """Describe ``error``, leaving out the first ``own_frames`` frames: those of the worker's own machinery."""
        frames = error.__traceback__
        for _ in range(own_frames):
            frames = frames.tb_next if frames is not None else None
        text = "".join(tracebacks.format_exception(type(error), error, frames))
        return WorkerError(
            kind=type(error).__name__,
            message=prefix + _message(error),
            traceback=text[-_LONGEST_TRACEBACK:],
            actionable=isinstance(error, MlopsError),
        )


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """The outcome for the item at position ``index`` of what was mapped; ``value`` counts only without an ``error``.

    ``seconds`` is the time the function took; for a worker that died, the time since the item was handed over.
    """

    index: int
    value: R | None
    error: WorkerError | None
    seconds: float

    def get(self) -> R:
        """The value; raises ``WorkFailedError``, with the worker's traceback as a note, where there is an error."""
        if self.error is not None:
            raise WorkFailedError(self.error)
        return self.value  # type: ignore[return-value]  # None is a value too


def one_line(text: str) -> str:
    """``text`` on one line, cut where it would flood a terminal or an event."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) was called"
    try:
        text = one_line(str(error))
    except Exception as unprintable:  # noqa: BLE001 - __str__ is user code
        return f"(its text cannot be made: {type(unprintable).__name__})"
    return text or "(no message)"
