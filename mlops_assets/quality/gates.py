"""Judging a model by the gates declared for it: one verdict per gate, whatever happens on the way."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mlops_assets.quality.case import Case, Finding
from mlops_assets.quality.champion_gate import not_worse_than_champion
from mlops_assets.quality.judged import Champion as Champion
from mlops_assets.quality.judged import Judged as Judged
from mlops_assets.quality.metric_gates import better_than_baseline, slice_floor, stable_over_seeds, threshold
from mlops_assets.quality.own_gate import found, own_gate, source_digest
from mlops_assets.quality.plain import one_line
from mlops_assets.quality.prediction_gates import model_size, predict_latency, prediction_sanity
from mlops_assets.quality.verdicts import GateVerdict, Outcome, plain_evidence
from partitions.errors import CouldNotLook
from partitions.gates import (
    BetterThanBaseline,
    Check,
    Gate,
    ModelSize,
    NotWorseThanChampion,
    PredictionSanity,
    PredictLatency,
    SliceFloor,
    StableOverSeeds,
    Threshold,
)

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
    case = Case(judged)
    return [_verdict(gate, name, case) for gate, name in zip(gates, gate_names(gates), strict=True)]


def _verdict(gate: Gate, name: str, case: Case) -> GateVerdict:
    source: str | None = None
    try:
        if isinstance(gate, Check):
            source = source_digest(found(gate, case.judged.pipeline))
        finding = _find(gate, case)
    except CouldNotLook as error:
        finding = Finding(None, str(error))
    except Exception as error:  # noqa: BLE001 - no reason for a run to fail: whatever it met is why it could not look
        finding = Finding(None, one_line(f"{type(error).__name__}: {error}", 400))
    outcome: Outcome = "could_not_look" if finding.passed is None else "pass" if finding.passed else "fail"
    value = None if finding.value is None or not math.isfinite(finding.value) else float(finding.value)
    return GateVerdict(
        gate=name,
        title=gate.title,
        outcome=outcome,
        value=value,
        threshold=gate.model_dump(mode="json"),
        required=gate.required,
        reason=finding.reason,
        evidence=plain_evidence(finding.evidence),
        source=source,
    )


def _find(gate: Gate, case: Case) -> Finding:
    judges: dict[type, Callable[[Any, Case], Finding]] = {
        Threshold: threshold,
        SliceFloor: slice_floor,
        NotWorseThanChampion: not_worse_than_champion,
        BetterThanBaseline: better_than_baseline,
        StableOverSeeds: stable_over_seeds,
        PredictionSanity: prediction_sanity,
        PredictLatency: predict_latency,
        ModelSize: model_size,
        Check: own_gate,
    }
    return judges[type(gate)](gate, case)
