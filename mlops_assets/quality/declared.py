"""Expectations as a pipeline declares them, read into one form; a wrong declaration is refused with its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.quality.library import load
from mlops_assets.quality.plain import one_line
from partitions.errors import PipelineError, nearest

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

# Ours on the left of each pair, and the words of Great Expectations, which has three.
SEVERITIES: dict[str, Literal["error", "warning"]] = {
    "error": "error",
    "warning": "warning",
    "critical": "error",
    "info": "warning",
}
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")
_NOT_A_WISH = {*_COLUMN_ARGUMENTS, "row_condition", "condition_parser", "unexpected_rows_query"}


@dataclass(frozen=True)
class Declared:
    """One valid expectation: ``columns`` are those it looks at, ``wanted`` its bounds as text for people."""

    name: str
    type: str
    columns: tuple[str, ...]
    severity: Literal["error", "warning"]
    wanted: str
    expectation: "Expectation"

    @property
    def about_shape(self) -> bool:
        """Whether it looks at the number of rows or the names of columns only, at no value."""
        theirs = type(self.expectation).__module__.startswith("great_expectations.")
        return theirs and self.type.startswith("expect_table_")

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns without which it cannot be looked at."""
        return () if self.type == "expect_column_to_exist" else self.columns


def declare(expectations: Sequence[Any], where: str) -> list[Declared]:
    """The expectations in one form. Raises PipelineError that names the first wrong one by its position."""
    if not isinstance(expectations, list | tuple):
        raise PipelineError(f"{where}: expectations must return a list, not {type(expectations).__name__}")
    if expectations:
        load()
    declared: list[Declared] = []
    taken: set[str] = set()
    for position, given in enumerate(expectations):
        one = _declared(given, f"{where}: expectations[{position}]", taken)
        taken.add(one.name)
        declared.append(one)
    return declared


def _declared(given: Any, place: str, taken: set[str]) -> Declared:
    from great_expectations.expectations.expectation import Expectation

    severity: str | None = None
    if isinstance(given, Mapping):
        expectation, severity = _from_mapping(given, place)
    elif isinstance(given, Expectation):
        expectation = given
    else:
        form = '{"type": ..., "kwargs": {...}, "severity": "error"}'
        raise PipelineError(f"{place}: a {type(given).__name__}, where a Great Expectations object or {form} is wanted")
    if severity is None:
        severity = expectation.severity.value
    configuration = expectation.configuration
    columns = _columns(expectation)
    base = f"{configuration.type}({', '.join(columns)})" if columns else configuration.type
    wishes = {name: wish for name, wish in configuration.kwargs.items() if name not in _NOT_A_WISH and wish is not None}
    return Declared(
        name=_unused(base, taken),
        type=configuration.type,
        columns=columns,
        severity=SEVERITIES[severity],
        wanted=", ".join(f"{name}={one_line(wish, 80)}" for name, wish in wishes.items()),
        expectation=expectation,
    )


def _from_mapping(given: Mapping[Any, Any], place: str) -> tuple["Expectation", str]:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    unknown = [name for name in given if name not in ("type", "kwargs", "severity")]
    if unknown:
        raise PipelineError(f"{place}: unknown entry {unknown[0]!r}; known: type, kwargs, severity")
    kind, kwargs, severity = given.get("type"), given.get("kwargs", {}), given.get("severity", "error")
    if kind not in _known_types():
        raise PipelineError(f"{place}: {nearest(str(kind), _known_types(), noun='expectation')}")
    if not isinstance(kwargs, Mapping):
        raise PipelineError(f"{place} ({kind}): kwargs must be a mapping, not {type(kwargs).__name__}")
    if not isinstance(severity, str) or severity not in SEVERITIES:
        raise PipelineError(f"{place} ({kind}): severity {severity!r}; known: error, warning")
    try:
        return ExpectationConfiguration(type=kind, kwargs=dict(kwargs)).to_domain_obj(), severity
    # The library checks arguments with its own family of errors; each is the declaration's fault.
    except Exception as error:
        raise PipelineError(f"{place} ({kind}): {_reason(error)}") from error


@cache
def _known_types() -> tuple[str, ...]:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    return tuple(sorted(list_registered_expectation_implementations()))


def _reason(error: Exception) -> str:
    """The first line of a validation error per argument, without the union members it went through."""
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return one_line(error)
    reasons: dict[str, str] = {}
    for problem in errors():
        argument = ".".join(str(part) for part in problem["loc"] if part != "__root__")
        reasons.setdefault(argument, problem["msg"])
    # What is wrong with the whole only follows from what is wrong with its arguments.
    named = {argument: reason for argument, reason in reasons.items() if argument} or reasons
    return one_line("; ".join(f"{argument}: {reason}" if argument else reason for argument, reason in named.items()))


def _columns(expectation: "Expectation") -> tuple[str, ...]:
    """The columns an expectation looks at, also where its class sets them and the declaration does not."""
    found: list[str] = []
    for argument in _COLUMN_ARGUMENTS:
        value = getattr(expectation, argument, None)
        if value is not None:
            found += [str(name) for name in value] if isinstance(value, list | tuple) else [str(value)]
    return tuple(dict.fromkeys(found))


def _unused(base: str, taken: set[str]) -> str:
    if base not in taken:
        return base
    count = 2
    while f"{base} #{count}" in taken:
        count += 1
    return f"{base} #{count}"
