"""The border between the framework and a pipeline's own code."""

from collections.abc import Iterator
from contextlib import contextmanager

from partitions.errors import DataError, PipelineError

_LONGEST = 400


@contextmanager
def user_code(what: str, advice: str = "") -> Iterator[None]:
    """Turn anything raised inside into a one-line PipelineError that opens with ``what`` ("FlightDelays.build").

    The original, with its traceback, is the ``__cause__``. A DataError passes unchanged: it is about the rows, not the
    code. ``advice``, where given, ends the message.
    """
    try:
        yield
    except DataError:
        raise
    except PipelineError as error:
        # From our own defaults (the default evaluate): already a sentence, so only say where.
        raise PipelineError(f"{what}: {error}") from error
    # sys.exit() in a pipeline must not end the process that runs many of them.
    except (Exception, SystemExit) as error:
        raise PipelineError(f"{what} raised {_one_line(error)}{f'; {advice}' if advice else ''}") from error


def _one_line(error: BaseException) -> str:
    message = " ".join(str(error).split())
    if len(message) > _LONGEST:
        message = message[:_LONGEST] + " ..."
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
