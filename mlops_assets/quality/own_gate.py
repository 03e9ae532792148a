"""Gates of one's own: found by name at the code version that runs, asked, and their answer read."""

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from mlops_assets.quality.case import Case, Finding, asked
from mlops_assets.quality.plain import one_line
from partitions.errors import CouldNotLook
from partitions.gates import Check, Verdict
from partitions.pipeline import Pipeline

_RIGHT = "return True or False, (True or False, reason), or a Verdict"
_CONSTANTS = (bool, int, float, str, bytes, tuple, list, dict, set, frozenset, type(None))


def own_gate(gate: Check, case: Case) -> Finding:
    function = found(gate, case.judged.pipeline)
    answer = asked(gate.title, lambda: function(case.judged.rows.copy(deep=False)))
    return _read(answer, gate.title)


def found(gate: Check, pipeline: Pipeline[Any, Any]) -> Callable[..., Any]:
    """The function, or the method of this pipeline; CouldNotLook where the code version has none of that name."""
    module, colon, name = gate.function.rpartition(":")
    if not colon:
        method = getattr(pipeline, name, None)
        if not callable(method):
            raise CouldNotLook(f"{type(pipeline).__name__} of this code version has no method {name!r}")
        return method  # type: ignore[no-any-return]  # looked up by name: it is what it is
    imported = asked(f"import of {module}", lambda: importlib.import_module(module))
    function = getattr(imported, name, None)
    if not callable(function):
        raise CouldNotLook(f"{module} of this code version has no function {name!r}")
    return function  # type: ignore[no-any-return]


def source_digest(function: Callable[..., Any]) -> str | None:
    """sha256 over the function's source, that of functions of its module it names, and the constants it names; None
    where there is no source (made by exec, or written in C)."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    try:
        texts = list(_texts(plain, set()))
    except (OSError, TypeError):
        return None
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _texts(function: Any, seen: set[str]) -> Iterator[str]:
    yield inspect.getsource(function)
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    for name in sorted(code.co_names) if code is not None else ():
        value = names.get(name)
        if name in seen or name not in names:
            continue
        seen.add(name)
        if inspect.isfunction(value) and value.__module__ == function.__module__:
            yield from _texts(value, seen)
        elif isinstance(value, _CONSTANTS):
            yield f"{name} = {value!r}"


def _read(answer: Any, title: str) -> Finding:
    if isinstance(answer, Verdict):
        default = {True: f"{title}: yes", False: f"{title}: no", None: f"{title}: could not look"}[answer.passed]
        return Finding(answer.passed, one_line(answer.reason or default, 400), answer.value, answer.evidence)
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], str):
        return Finding(_yes_or_no(answer[0]), one_line(answer[1], 400))
    passed = _yes_or_no(answer)
    return Finding(passed, f"{title}: {'yes' if passed else 'no'}")


def _yes_or_no(answer: Any) -> bool:
    plain = answer.item() if getattr(answer, "ndim", None) == 0 else answer  # numpy's True is not Python's
    if not isinstance(plain, bool):
        raise CouldNotLook(f"it returned {_kind(answer)}; {_RIGHT}")
    return plain


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
