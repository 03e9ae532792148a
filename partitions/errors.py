"""The family of errors a person can act on: one line that says what is wrong, where, and what would be right."""

import difflib
from collections.abc import Iterable


class MlopsError(Exception):
    """Something a person can put right. ``str(error)`` is one line; the command line prints it and exits with 1."""


class DeclarationError(MlopsError):
    """A declaration (project, subproject, search space, stage ...) is not valid."""


class UnknownName(MlopsError):
    """A name (subproject, run, parameter, stage ...) is not known; the message offers the nearest ones."""


class PipelineError(MlopsError):
    """Code of a pipeline raised, or broke the pipeline contract. The message names the method."""


class DataError(MlopsError):
    """Rows that cannot be used: no rows, no target, repeated row keys, missing columns."""


class ArtifactError(MlopsError):
    """A stored artifact is missing, or is not what its digest says."""


class CodeVersionError(MlopsError):
    """A code version cannot be found, rebuilt or run."""


def nearest(name: str, known: Iterable[str], *, noun: str) -> str:
    """A sentence that offers the known names nearest to ``name``: ``unknown subproject 'AB'; nearest: AA, B6``.

    With nothing near, the first few known names are listed; with none known at all, it says so.
    """
    names = list(known)
    if not names:
        return f"unknown {noun} {name!r}: there are none yet"
    lowered = {candidate.lower(): candidate for candidate in names}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    if close:
        return f"unknown {noun} {name!r}; nearest: {', '.join(close)}"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"unknown {noun} {name!r}; known: {', '.join(names[:8])}{more}"
