"""The one place that runs Great Expectations: silent, in memory, nothing kept of the data afterwards."""

import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlops_assets.quality.declared import Declared
from mlops_assets.quality.plain import one_line
from partitions.errors import nearest

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext

_POSITION = "mlops_position"
# Great Expectations keeps its current project in a module, so two threads take turns.
_TURN = threading.Lock()


@dataclass(frozen=True)
class Look:
    """What was found, in the library's own values; ``reason`` is set where it could not look, ``kind`` is then the
    error's type if the reason is the library's text."""

    passed: bool
    observed: Any = None
    rows: int | None = None
    unexpected_count: int | None = None
    unexpected_percent: float | None = None
    examples: tuple[Any, ...] = ()
    reason: str | None = None
    kind: str | None = None


def look(frame: "pd.DataFrame", declared: Sequence[Declared], private: frozenset[str]) -> list[Look]:
    """Look at every expectation, in order. The frame is not changed and not kept."""
    columns = [str(column) for column in frame.columns]
    missing = {
        position: Look(passed=False, reason=_lacking(lacking[0], columns, private))
        for position, one in enumerate(declared)
        if (lacking := [column for column in one.needs if column not in columns])
    }
    there = [position for position in range(len(declared)) if position not in missing]
    found = _validate(frame, {position: declared[position] for position in there}) if there else {}
    nothing = Look(passed=False, reason="Great Expectations returned no result")
    return [missing.get(position) or found.get(position, nothing) for position in range(len(declared))]


def _lacking(column: str, columns: list[str], private: frozenset[str]) -> str:
    if column in private:
        return f"the private column {column!r} is dropped before the dataset is written"
    return nearest(column, columns, noun="column")


def _validate(frame: "pd.DataFrame", declared: Mapping[int, Declared]) -> dict[int, Look]:
    from great_expectations.core.expectation_suite import ExpectationSuite

    # Results come back in another order than declared, so each carries its position.
    marked = [one.expectation.copy(update={"meta": {_POSITION: position}}) for position, one in declared.items()]
    name = uuid4().hex
    with _TURN, warnings.catch_warnings():
        # The library's own deprecations are not the caller's.
        warnings.simplefilter("ignore")
        context = _context()
        source = context.data_sources.add_pandas(name)
        try:
            batches = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
            batch = batches.get_batch({"dataframe": frame.copy(deep=False)})
            outcome = batch.validate(ExpectationSuite(name=name, expectations=marked), result_format="SUMMARY")
        finally:
            # The source holds the frame.
            context.data_sources.delete(name)
    configured = ((result.expectation_config, result) for result in outcome.results)
    return {own.meta[_POSITION]: _look(result) for own, result in configured if own is not None and own.meta}


@cache
def _context() -> "EphemeralDataContext":
    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context


def _look(result: Any) -> Look:
    raised = _raised(result.exception_info)
    if raised is not None:
        return Look(passed=False, reason=raised[1], kind=raised[0])
    found: Mapping[str, Any] = result.result
    count, percent = found.get("unexpected_count"), found.get("unexpected_percent")
    rows = found.get("element_count")
    return Look(
        passed=bool(result.success),
        observed=found.get("observed_value"),
        rows=None if rows is None else int(rows),
        unexpected_count=None if count is None else int(count),
        unexpected_percent=None if percent is None else float(percent),
        examples=tuple(found.get("partial_unexpected_list") or ()),
    )


def _raised(info: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Type and message of the error that kept the library from looking; it may nest them by metric."""
    for part in (info, *(info or {}).values()):
        if isinstance(part, Mapping) and part.get("raised_exception"):
            last = str(part.get("exception_traceback") or "").strip().splitlines()
            kind = last[-1].partition(":")[0].rpartition(".")[2].strip() if last else ""
            return kind or "error", one_line(part.get("exception_message") or kind or "error")
    return None
