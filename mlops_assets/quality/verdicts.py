"""What judging a model by its gates found, as plain values: stored with the run, the check and the deployment."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from mlops_assets.quality.plain import cell, one_line
from partitions.values import Value

Outcome = Literal["pass", "fail", "could_not_look"]

# Evidence is stored with every check and deployment: enough to see why, not the data.
MOST_PARTS = 100


class GateVerdict(Value):
    """One gate's verdict on one model.

    gate: its name, unique among the gates of a list and legal as the name of a Dagster check ("threshold_rmse").
    title: what must hold, one line. threshold: the gate as it was declared, as plain data.
    outcome: "could_not_look" where it could not be judged, which stops a deployment as a "fail" does.
    value: the number that was judged, where there is one. reason: one line for people, whatever the outcome.
    evidence: the numbers that let a person see why. source: digest of the code of a gate of one's own.
    """

    gate: str
    title: str
    outcome: Outcome
    value: float | None = None
    threshold: dict[str, Any] = {}
    required: bool = True
    reason: str
    evidence: dict[str, Any] = {}
    source: str | None = None

    @property
    def passed(self) -> bool:
        return self.outcome == "pass"

    @property
    def stops(self) -> bool:
        """Whether this verdict alone keeps the model from being deployed."""
        return self.required and not self.passed

    def table(self) -> str:
        """The evidence as markdown: a row per number, and a table of its own for what are rows already."""
        plain = {name: part for name, part in self.evidence.items() if not _is_rows(part)}
        texts = [_markdown(["evidence", "value"], list(plain.items()))] if plain else []
        for name, rows in self.evidence.items():
            if _is_rows(rows):
                texts.append(f"{name}\n\n{_markdown(list(rows[0]), [list(row.values()) for row in rows])}")
        return "\n\n".join(texts)


def _is_rows(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(row, dict) and row for row in part)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(part) for part in value)
    return cell("" if value is None else one_line(value))


def stops(verdicts: Iterable[GateVerdict]) -> list[GateVerdict]:
    """Those that keep the model from being deployed: required ones that did not pass."""
    return [verdict for verdict in verdicts if verdict.stops]


def plain_evidence(value: Any) -> Any:
    """``value`` as JSON can hold it: numpy's numbers as Python's, NaN and infinities and the rest as text."""
    if isinstance(value, Mapping):
        return {str(name): plain_evidence(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        parts = [plain_evidence(part) for part in itertools.islice(value, MOST_PARTS)]
        return parts if len(value) <= MOST_PARTS else [*parts, f"… and {len(value) - MOST_PARTS} more"]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a number of numpy's, without importing numpy
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return one_line(value)
