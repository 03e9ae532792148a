"""Verdicts of gates: what they say, what they are called, which of them stop, and that evidence is plain."""

import json

import numpy as np
import pandas as pd

from mlops_assets.quality.gates import Judged, gate_names, judge
from mlops_assets.quality.verdicts import GateVerdict, plain_evidence, stops
from partitions.gates import (
    Check,
    Gate,
    ModelSize,
    PredictLatency,
    SliceFloor,
    StableOverSeeds,
    Threshold,
)
from tests.quality.judged_models import verdict


def test_a_verdict_says_what_was_declared_and_what_was_found(model: Judged) -> None:
    gate = Threshold("rmse", max=25, required=False)
    found = verdict(gate, model)
    assert found.gate == "threshold_rmse"
    assert found.title == "rmse at most 25"
    assert found.outcome == "pass"
    assert found.value == model.metrics["rmse"]
    assert found.threshold == gate.model_dump(mode="json")
    assert found.required is False
    assert found.reason == f"rmse {model.metrics['rmse']:.6g} is at most 25"
    assert GateVerdict.model_validate_json(found.model_dump_json()) == found


def test_names_are_unique_and_legal_and_do_not_depend_on_the_bounds() -> None:
    gates: list[Gate] = [
        Threshold("rmse", max=25),
        Threshold("rmse", min=1),
        SliceFloor("dest. airport", "mae", max=3),
        PredictLatency(5),
        PredictLatency(50, rows=100),
        Check("tests.quality.test_own_gates:small"),
        Check("small"),
        StableOverSeeds("rmse", 1.0),
    ]
    assert gate_names(gates) == [
        "threshold_rmse",
        "threshold_rmse_2",
        "slice_floor_dest_airport_mae",
        "predict_latency",
        "predict_latency_2",
        "check_small",
        "check_small_2",
        "stable_over_seeds_rmse",
    ]
    assert gate_names([Threshold("rmse", max=7)]) == ["threshold_rmse"]


def test_only_required_gates_stop_and_one_that_could_not_look_does(model: Judged) -> None:
    gates: list[Gate] = [
        Threshold("rmse", max=0.1),
        Threshold("mae", max=0.1, required=False),
        SliceFloor("nowhere", "mae", max=3),
        ModelSize(5),
    ]
    verdicts = judge(gates, model)
    assert [found.outcome for found in verdicts] == ["fail", "fail", "could_not_look", "pass"]
    assert [found.gate for found in stops(verdicts)] == ["threshold_rmse", "slice_floor_nowhere_mae"]


def test_evidence_is_plain_data_whatever_it_is_made_of() -> None:
    evidence = {"a": np.float32(1.5), "b": np.bool_(True), "c": [np.int64(3), float("nan")], 4: {"t": pd.Timestamp(0)}}
    assert json.dumps(plain_evidence(evidence), allow_nan=False) == (
        '{"a": 1.5, "b": true, "c": [3, "nan"], "4": {"t": "1970-01-01 00:00:00"}}'
    )


def test_evidence_of_thousands_is_cut() -> None:
    cut = plain_evidence({"rows": list(range(5000)), "array": np.zeros(5000)})
    assert cut["rows"] == [*range(100), "… and 4900 more"]
    assert len(cut["array"]) <= 200
