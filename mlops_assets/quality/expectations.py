"""What a pipeline expects of its data, looked at with Great Expectations: a verdict of plain values, nothing written.

Great Expectations loads inside the functions that use it: importing it takes seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.quality.declared import Declared, declare
from mlops_assets.quality.engine import Look, look
from mlops_assets.quality.plain import cell, one_line, plain

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning"]

EXAMPLES = 5
COULD_NOT_LOOK = "could not look: "


@dataclass(frozen=True)
class ExpectationResult:
    """What looking at one expectation found.

    name: the expectation with its columns, ``expect_column_values_to_be_between(distance)``; no two in a verdict are
        the same.
    looked: False where it could not be judged at all (a missing column, values that cannot be compared): it then counts
        as not passed, and ``detail`` says why.
    observed: what was measured, for expectations of a whole column or table.
    unexpected_percent: of the values that are not missing.
    unexpected_examples: some of them, at most five; like ``observed`` never of a private column.
    """

    name: str
    column: str | None
    severity: Severity
    passed: bool
    looked: bool
    observed: str | int | float | bool | None
    unexpected_count: int | None
    unexpected_percent: float | None
    unexpected_examples: tuple[str | int | float | bool | None, ...]
    detail: str

    @property
    def outcome(self) -> Literal["passed", "failed", "could not look"]:
        if not self.looked:
            return "could not look"
        return "passed" if self.passed else "failed"


@dataclass(frozen=True)
class DataVerdict:
    """The results in the order in which the pipeline declares its expectations."""

    results: tuple[ExpectationResult, ...]

    @property
    def passed(self) -> bool:
        """Whether training may go on: no expectation of severity error failed or could not be looked at."""
        return not self.failed

    @property
    def failed(self) -> tuple[ExpectationResult, ...]:
        """Those of severity error that did not pass."""
        return tuple(result for result in self.results if not result.passed and result.severity == "error")

    @property
    def warned(self) -> tuple[ExpectationResult, ...]:
        """Those of severity warning that did not pass."""
        return tuple(result for result in self.results if not result.passed and result.severity == "warning")

    def table(self) -> str:
        """A markdown table, a row per expectation."""
        lines = ["| expectation | severity | verdict | detail |", "| --- | --- | --- | --- |"]
        for result in self.results:
            cells = (result.name, result.severity, result.outcome, result.detail.removeprefix(COULD_NOT_LOOK))
            lines.append("| " + " | ".join(cell(text) for text in cells) + " |")
        return "\n".join(lines)


def validate(
    frame: "pd.DataFrame", expectations: Sequence[Any], where: str, private: Iterable[str] = ()
) -> DataVerdict:
    """Judge ``frame`` by ``expectations``: Great Expectations objects, or ``{"type", "kwargs", "severity"}``.

    ``where`` ("project/subproject") begins every error. Of ``private`` columns no value is shown, only counts.
    Raises PipelineError where a declaration itself is not valid; what cannot be judged on this data is a result.
    """
    hidden = frozenset(private)
    declared = declare(expectations, where)
    looks = look(frame, declared, hidden) if declared else []
    return DataVerdict(tuple(_result(one, seen, hidden) for one, seen in zip(declared, looks, strict=True)))


def _result(declared: Declared, seen: Look, private: frozenset[str]) -> ExpectationResult:
    secret = _may_show_private(declared, private)
    examples = () if secret else tuple(plain(value) for value in seen.examples[:EXAMPLES])
    observed = None if secret else plain(seen.observed)
    return ExpectationResult(
        name=declared.name,
        column=", ".join(declared.columns) or None,
        severity=declared.severity,
        passed=seen.passed,
        looked=seen.reason is None,
        observed=observed,
        unexpected_count=seen.unexpected_count,
        unexpected_percent=seen.unexpected_percent,
        unexpected_examples=examples,
        detail=_detail(declared, seen, secret),
    )


def _may_show_private(declared: Declared, private: frozenset[str]) -> bool:
    """Whether what was found may hold private values: of such a column, or of rows an expectation picks itself."""
    if declared.columns:
        return not private.isdisjoint(declared.columns)
    return bool(private) and not declared.about_shape


def _detail(declared: Declared, seen: Look, secret: bool) -> str:
    if seen.reason is not None:
        # A message of the engine may quote a value; ours name columns only.
        return f"{COULD_NOT_LOOK}{seen.kind if secret and seen.kind else seen.reason}"
    parts = []
    if seen.unexpected_count is not None and seen.rows is not None:
        percent = f" ({seen.unexpected_percent:.3g} %)" if seen.unexpected_percent else ""
        parts.append(f"{seen.unexpected_count} of {seen.rows} unexpected{percent}")
    elif seen.unexpected_count:
        parts.append(f"{seen.unexpected_count} unexpected")
    if secret:
        return "; ".join([*parts, "values are private"])
    if seen.observed is not None:
        parts.append(f"observed {one_line(plain(seen.observed))}")
    examples = [plain(value) for value in seen.examples[:EXAMPLES]]
    shown = [one_line(value, 40) for value in examples if value not in (None, "nan", "NaT", "<NA>")]
    if not seen.passed and shown:
        parts.append("such as " + ", ".join(shown))
    if not seen.passed and declared.wanted:
        parts.append(f"wanted {declared.wanted}")
    return "; ".join(parts) or ("as expected" if seen.passed else "not as expected")
