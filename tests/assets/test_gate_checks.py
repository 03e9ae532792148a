"""Gates as Dagster sees them: one check per gate of a project, and verdicts as evaluations of single subprojects."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from mlops_assets.checks import VERDICT_ENTRY, GateChecks
from mlops_assets.quality.verdicts import GateVerdict
from partitions.dynamic import add_keys, subproject_partitions
from partitions.gates import Check, ModelSize, PredictLatency, SliceFloor, Threshold
from partitions.stages import Stage
from resources.event_log import EventLog
from resources.event_storage.entries import RunStep
from tests.partitions.delays_declared import carrier, project, residual_bias

METRICS = dg.AssetKey(["delays", "metrics"])

PASSED = GateVerdict(
    gate="threshold_rmse",
    title="rmse at most 40",
    outcome="pass",
    value=12.5,
    threshold={"type": "threshold", "metric": "rmse", "max": 40.0},
    reason="rmse 12.5 is at most 40",
    evidence={"rows": 200, "interval": [0.25, 1.5], "worst": [{"slice": "a|b", "rows": 3}, {"slice": "c", "rows": 9}]},
    source="d" * 64,
)
WARNED = PASSED.model_copy(update={"outcome": "fail", "required": False, "gate": "model_size", "reason": "too large"})
UNSEEN = PASSED.model_copy(update={"outcome": "could_not_look", "value": None, "evidence": {}, "source": None})


def test_every_gate_of_any_subproject_at_any_stage_is_a_check_on_metrics() -> None:
    declared = project(
        gates=[Threshold("rmse", max=40), Check(residual_bias)],
        subprojects=[carrier("AA"), carrier("B6", gates=[Threshold("rmse", max=3), ModelSize(5)])],
        stages=[Stage("testing"), Stage("production", gates=[PredictLatency(5), SliceFloor("dest", "rmse", max=9)])],
    )
    checks = GateChecks(declared)
    assert [spec.name for spec in checks.specs] == [
        "threshold_rmse",
        "check_residual_bias",
        "model_size",
        "predict_latency",
        "slice_floor_dest_rmse",
    ]
    assert {spec.asset_key for spec in checks.specs} == {METRICS}
    assert {spec.partitions_def for spec in checks.specs} == {subproject_partitions("delays")}
    assert not any(spec.blocking for spec in checks.specs)


def test_a_stage_has_its_own_gates_or_the_subprojects() -> None:
    from partitions.catalogue import catalogue

    stages = [Stage("testing"), Stage("production", gates=[PredictLatency(5)])]
    found = catalogue(project(subprojects=[carrier("AA"), carrier("B6", gates=[ModelSize(5)])], stages=stages))
    assert [gate.type for gate in found["AA"].gates_at("testing")] == ["threshold", "check"]
    assert [gate.type for gate in found["B6"].gates_at("testing")] == ["model_size"]
    assert [gate.type for gate in found["B6"].gates_at("production")] == ["predict_latency"]
    assert found["B6"].gates_at("archive") == found["B6"].gates


def test_the_evaluation_holds_what_a_person_and_what_a_program_reads() -> None:
    evaluation = GateChecks(project()).evaluation(PASSED, "AA", {"run_id": "0199", "stage": "testing"})
    assert (evaluation.check_name, evaluation.partition, evaluation.passed) == ("threshold_rmse", "AA", True)
    assert evaluation.description == "rmse 12.5 is at most 40"
    said = {name: entry.value for name, entry in evaluation.metadata.items()}
    assert (said["run_id"], said["stage"], said["outcome"], said["value"]) == ("0199", "testing", "pass", 12.5)
    assert said["threshold"] == "rmse at most 40"
    assert said["evidence"] == (
        "| evidence | value |\n| --- | --- |\n| rows | 200 |\n| interval | 0.25, 1.5 |\n\n"
        "worst\n\n| slice | rows |\n| --- | --- |\n| a\\|b | 3 |\n| c | 9 |"
    )
    assert GateVerdict.model_validate(said[VERDICT_ENTRY]) == PASSED


@pytest.mark.parametrize(
    ("verdict", "passed", "severity"),
    [
        (PASSED, True, dg.AssetCheckSeverity.ERROR),
        (WARNED, False, dg.AssetCheckSeverity.WARN),
        (UNSEEN, False, dg.AssetCheckSeverity.ERROR),
    ],
)
def test_what_stops_is_an_error_and_what_does_not_is_a_warning(
    verdict: GateVerdict, passed: bool, severity: dg.AssetCheckSeverity
) -> None:
    evaluation = GateChecks(project()).evaluation(verdict, "AA")
    assert (evaluation.passed, evaluation.severity) == (passed, severity)


def lifecycle(checks: GateChecks, verdicts: list[GateVerdict], *, native: bool) -> dg.AssetsDefinition:
    """A multi-asset like the lifecycle that has these verdicts, handed to Dagster or logged by itself."""

    @dg.multi_asset(
        specs=[dg.AssetSpec(METRICS, skippable=True)],
        check_specs=checks.specs,
        can_subset=True,
        partitions_def=subproject_partitions("delays"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def judged(context: dg.AssetExecutionContext) -> Iterator[Any]:
        if native:
            yield dg.MaterializeResult(METRICS, check_results=checks.results(verdicts))
            return
        events = [checks.evaluation(verdict, key) for key in context.partition_keys for verdict in verdicts]
        EventLog(context.instance).store(events, RunStep.of(context.op_execution_context))

    return judged


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        add_keys(instance, "delays", ["AA", "B6"])
        yield instance


def test_a_run_of_one_subproject_hands_its_verdicts_to_dagster(instance: dg.DagsterInstance) -> None:
    checks = GateChecks(project())
    # Of check_residual_bias there is no verdict; "model_size" was registered later, and is no check here yet.
    done = dg.materialize([lifecycle(checks, [UNSEEN, WARNED], native=True)], instance=instance, partition_key="AA")
    assert done.success
    (evaluation,) = done.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed) == ("threshold_rmse", False)
    assert json.loads(json.dumps(evaluation.metadata[VERDICT_ENTRY].value))["outcome"] == "could_not_look"


def test_a_run_of_many_logs_an_evaluation_for_each(instance: dg.DagsterInstance) -> None:
    checks = GateChecks(project())
    done = dg.materialize(
        [lifecycle(checks, [PASSED], native=False)],
        instance=instance,
        tags={"dagster/asset_partition_range_start": "AA", "dagster/asset_partition_range_end": "B6"},
    )
    assert done.success
    key = dg.AssetCheckKey(METRICS, "threshold_rmse")
    found = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert {record.partition for record in found} == {"AA", "B6"}
