"""What projects, subprojects and stages may be called."""

import re
from collections.abc import Iterable

from partitions.errors import DeclarationError, Problem

MAX_KEY = 128
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_subproject_key(key: str) -> str:
    """The key itself. Dagster would take any text, but commas break its backfills and slashes its paths."""
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise DeclarationError(
            "",
            f"illegal subproject key {key!r}: begin with a letter or digit, then only letters, digits, '.', '_', '-'",
        )
    if len(key) > MAX_KEY:
        raise DeclarationError("", f"subproject key {key[:20] + '...'!r} has {len(key)} characters; at most {MAX_KEY}")
    return key


def check_project_name(name: str) -> str:
    """The name itself; it begins asset keys and paths of the API."""
    return _checked(name, "project name")


def check_stage_name(name: str) -> str:
    """The name itself. ``archive`` is taken: replaced models of the last stage are served there."""
    if name == "archive":
        raise DeclarationError("", "the stage name 'archive' is reserved: replaced models of the last stage move there")
    return _checked(name, "stage name")


def clashes(keys: Iterable[str]) -> list[Problem]:
    """A problem for every key that is there twice, or that differs from an earlier one only by case."""
    problems: list[Problem] = []
    first: dict[str, tuple[int, str]] = {}
    for position, key in enumerate(keys):
        where, earlier = first.setdefault(key.lower(), (position, key))
        if where == position:
            continue
        path = f"[{position}].key"
        if earlier == key:
            problems.append(Problem(path, f"{key!r} is already the key of [{where}]; keys must be unique"))
        else:
            problems.append(Problem(path, f"{key!r} differs only by case from {earlier!r} of [{where}]; rename one"))
    return problems


def _checked(name: str, noun: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > MAX_KEY:
        raise DeclarationError(
            "", f"illegal {noun} {name!r}: a lower-case letter, then lower-case letters, digits and '_'"
        )
    return name
