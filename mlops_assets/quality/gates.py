"""Judging a model by the gates declared for it: one verdict per gate, whatever happens on the way."""

import re
from collections.abc import Iterable, Sequence

from mlops_assets.quality.judged import Champion as Champion
from mlops_assets.quality.judged import Judged as Judged
from mlops_assets.quality.verdicts import GateVerdict
from partitions.gates import Check, Gate, SliceFloor

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]+")


def gate_names(gates: Sequence[Gate]) -> list[str]:
    """A name for each gate, in order: unique in the list, legal as a Dagster check, the same for the same gates.

    What is measured makes the name, not the bounds: a subproject with another threshold has a gate of the same name.
    """
    names: list[str] = []
    for gate in gates:
        base = _ILLEGAL.sub("_", "_".join(_parts(gate))).strip("_")
        name, count = base, 1
        while name in names:
            count += 1
            name = f"{base}_{count}"
        names.append(name)
    return names


def all_gate_names(lists: Iterable[Sequence[Gate]]) -> dict[str, Gate]:
    """Every name in these lists, in order, with the first gate that has it."""
    found: dict[str, Gate] = {}
    for gates in lists:
        for name, gate in zip(gate_names(gates), gates, strict=True):
            found.setdefault(name, gate)
    return found


def _parts(gate: Gate) -> tuple[str, ...]:
    if isinstance(gate, Check):
        return "check", gate.function.rpartition(":")[2]
    column = (gate.column,) if isinstance(gate, SliceFloor) else ()
    metric = getattr(gate, "metric", None)
    return gate.type, *column, *(() if metric is None else (metric,))


def judge(gates: Sequence[Gate], judged: Judged) -> list[GateVerdict]:
    """The verdict of every gate, in their order. Never raises for what a gate or the pipeline does: an error is a
    verdict "could not look" with the reason. The same model, rows and champion have the same verdicts, but for measured
    times."""
    raise NotImplementedError
