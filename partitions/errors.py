"""The family of errors a person can act on: one line that says what is wrong, where, and what would be right."""

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class MlopsError(Exception):
    """Something a person can put right. ``str(error)`` is one line; the command line prints it and exits with 1."""


class Problem(NamedTuple):
    """One thing wrong in a declaration: where (``stages[1].name``; empty for the whole), and what would be right."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def below(self, path: str) -> "Problem":
        """The same problem, seen from where this declaration is ``path`` of a larger one."""
        joined = path + self.path if self.path.startswith("[") else ".".join(part for part in (path, self.path) if part)
        return Problem(joined, self.message)


class DeclarationError(MlopsError, ValueError):
    """A declaration (project, subproject, search space, stage ...) is not valid.

    ``problems`` holds each of them; the text has one line for each, led by ``what`` is being declared. It is a
    ValueError so that a declaration inside another one reports through pydantic like any other wrong field.
    """

    shown = 20

    def __init__(self, what: str, problems: "Sequence[Problem] | str") -> None:
        self.what = what
        self.problems = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        lines = [f"{what}: {problem}" if what else str(problem) for problem in self.problems[: self.shown]]
        if len(self.problems) > self.shown:
            lines.append(f"{what}: and {len(self.problems) - self.shown} more problems")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> "tuple[type[DeclarationError], tuple[str, tuple[Problem, ...]]]":
        return type(self), (self.what, self.problems)


class UnknownName(MlopsError):
    """A name (subproject, run, parameter, stage ...) is not known; the message offers the nearest ones."""


class PipelineError(MlopsError):
    """Code of a pipeline raised, or broke the pipeline contract. The message names the method."""


class DataError(MlopsError):
    """Rows that cannot be used: no rows, no target, repeated row keys, missing columns."""


class CouldNotLook(MlopsError):
    """A gate cannot judge this model (too few rows of a kind, a column that is not there): neither a yes nor a no.

    A gate of one's own may raise it with the reason. The model is not deployed, and the verdict says why.
    """


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
