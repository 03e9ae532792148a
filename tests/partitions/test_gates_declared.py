from typing import Any

import pytest
from pydantic import TypeAdapter

from partitions.errors import DeclarationError
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
    Verdict,
)
from tests.partitions.delays_declared import Delays, residual_bias

EVERY_GATE = (
    Threshold("rmse", max=40),
    NotWorseThanChampion("rmse", tolerance=0.02),
    BetterThanBaseline("rmse", by=0.1, required=False),
    StableOverSeeds("rmse", 2.5),
    SliceFloor("origin", "rmse", max=60.0, min_rows=50),
    PredictionSanity(low=-60, high=1500),
    PredictLatency(20, rows=10),
    ModelSize(50),
    Check(residual_bias),
)


def test_every_gate_comes_back_from_json_as_what_it_was() -> None:
    gates: TypeAdapter[tuple[Gate, ...]] = TypeAdapter(tuple[Gate, ...])
    assert gates.validate_json(gates.dump_json(EVERY_GATE)) == EVERY_GATE
    assert [type(gate) for gate in gates.validate_python(gates.dump_python(EVERY_GATE))] == [
        type(g) for g in EVERY_GATE
    ]


def test_every_gate_says_in_one_line_what_must_hold() -> None:
    assert [gate.title for gate in EVERY_GATE] == [
        "rmse at most 40",
        "rmse not worse than the champion's by more than 0.02 of it",
        "rmse better than the baseline's by 0.1 of it",
        "rmse spreads by at most 2.5 over 3 seeds",
        "rmse at most 60 for every origin with 50 rows or more",
        "predictions between -60 and 1500, at most 90% of them equal",
        "predicts 10 rows in at most 20 ms",
        "model file of at most 50 MB",
        "residual bias",
    ]


def test_a_gate_is_required_unless_said_otherwise() -> None:
    assert [gate.required for gate in EVERY_GATE].count(False) == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Threshold("rmse"), "Threshold 'rmse': needs min, max or both"),
        (lambda: Threshold("rmse", min=2, max=1), "bounds reversed: min 2 is above max 1"),
        (lambda: Threshold("rmse", max=float("nan")), "max: expected a finite number"),
        (lambda: SliceFloor("origin", "rmse"), "needs min, max or both"),
        (lambda: SliceFloor("origin", "rmse", max=1, min_rows=0), "min_rows: expected"),
        (lambda: NotWorseThanChampion("rmse", tolerance=-0.1), "tolerance: expected greater than or equal to 0"),
        (lambda: StableOverSeeds("rmse", 1, seeds=1), "seeds: expected greater than or equal to 2"),
        (lambda: PredictionSanity(low=3, high=3), "bounds reversed"),
        (lambda: PredictionSanity(max_missing=1.2), "max_missing: expected less than or equal to 1"),
        (lambda: PredictLatency(0), "max_ms: expected greater than 0"),
        (lambda: ModelSize(-1), "max_mb: expected greater than 0"),
        (lambda: Check("a b"), "expected 'module:function' or the name of a method"),
        (lambda: Check(lambda results: True), "cannot be found again by name"),
        (lambda: Check(Delays.no_large_bias), "a method of the pipeline is given by its name: Check('no_large_bias')"),
        (lambda: Check(3), "expected a function or its name, not 3"),  # type: ignore[arg-type]
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(make: Any, says: str) -> None:
    with pytest.raises(DeclarationError) as error:
        make()
    assert says in str(error.value)


def test_a_function_is_kept_by_its_name() -> None:
    assert Check(residual_bias).function == "tests.partitions.delays_declared:residual_bias"
    assert Check("no_large_bias").function == "no_large_bias"


def test_a_verdict_of_ones_own_takes_numpys_values_and_refuses_what_is_none() -> None:
    import numpy as np

    found = Verdict(np.bool_(True), reason="fine", value=np.float32(0.5), evidence={"rows": 3})  # type: ignore[arg-type]
    assert (found.passed, found.value) == (True, 0.5)
    assert Verdict(None, reason="no rows").passed is None
    wrong: list[dict[str, Any]] = [{"passed": "maybe"}, {"passed": True, "value": float("nan")}]
    for fields in wrong:
        with pytest.raises(DeclarationError):
            Verdict(**fields)
