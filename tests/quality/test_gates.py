"""Each kind of gate: passes, fails, could not look; with what a person needs to see why."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.quality.gates import Judged, judge
from partitions.errors import PipelineError
from partitions.gates import (
    BetterThanBaseline,
    ModelSize,
    PredictionSanity,
    PredictLatency,
    SliceFloor,
    StableOverSeeds,
    Threshold,
)
from tests.quality.judged_models import Flights, data, predicting, verdict


def evaluating(one: Judged, evaluate: Any) -> Judged:
    """The same, of a pipeline whose evaluate is another."""
    pipeline = type("Own", (Flights,), {"evaluate": lambda self, results: evaluate(results)})()
    return replace(one, pipeline=pipeline, metrics=evaluate(one.rows))


# ---- threshold


@pytest.mark.parametrize(
    ("prediction", "outcome"), [(30.0, "pass"), (30.0 + 1e-9, "fail"), (25.0, "pass"), (24.9, "fail")]
)
def test_the_bounds_of_a_threshold_themselves_pass(model: Judged, prediction: float, outcome: str) -> None:
    rows = model.rows.assign(truth=0.0)
    one = predicting(replace(model, rows=rows, pipeline=NoR2()), prediction)
    assert verdict(Threshold("mae", min=25.0, max=30.0), one).outcome == outcome


class NoR2(Flights):
    metrics = {"mae": "min", "rmse": "min", "bias": "zero"}


def test_a_metric_that_the_code_version_does_not_return_could_not_be_looked_at(model: Judged) -> None:
    older = replace(model, pipeline=NoR2(), metrics={"mae": 1.0, "rmse": 2.0, "bias": 0.0})
    found = verdict(Threshold("r2", min=0.1), older)
    assert found.outcome == "could_not_look"
    assert found.reason == "NoR2.evaluate of this code version returns no 'r2' (mae, rmse, bias)"


# ---- slices


def test_a_slice_below_the_floor_fails_and_the_worst_comes_first(model: Judged) -> None:
    worse = predicting(model, np.where(model.rows["region"] == "south", 1000.0, model.rows["prediction"]))
    found = verdict(SliceFloor("region", "mae", max=20.0, min_rows=20), worse)
    assert found.outcome == "fail"
    worst = found.evidence["worst"]
    assert worst[0]["slice"] == "south"
    assert [row["passed"] for row in worst] == [False, True, True]
    assert {row["slice"] for row in worst} == {"north", "south", "missing"}
    assert found.value == worst[0]["value"]
    south = worse.rows[worse.rows["region"] == "south"]
    assert found.value == pytest.approx(worse.pipeline.evaluate(south)["mae"], rel=1e-12)
    assert "for region south" in found.reason
    assert verdict(SliceFloor("region", "mae", max=20.0, min_rows=20), model).outcome == "pass"


def test_slices_are_judged_by_the_pipelines_own_evaluate_where_that_is_no_mean_over_rows(model: Judged) -> None:
    own = evaluating(model, lambda results: {"mae": float(results["prediction"].max() - results["prediction"].min())})
    found = verdict(SliceFloor("region", "mae", min=0.0, min_rows=20), own)
    expected = {
        "missing" if pd.isna(name) else name: float(part["prediction"].max() - part["prediction"].min())
        for name, part in own.rows.groupby("region", dropna=False)
    }
    assert {row["slice"]: row["value"] for row in found.evidence["worst"]} == expected


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2", "bias"])
def test_the_short_way_over_slices_gives_what_evaluate_gives(model: Judged, metric: str) -> None:
    found = verdict(SliceFloor("region", metric, min=-1e9, min_rows=20), model)
    groups = model.rows["region"].astype(object).where(model.rows["region"].notna(), "missing")
    for row in found.evidence["worst"]:
        exact = model.pipeline.evaluate(model.rows[groups == row["slice"]])[metric]
        assert row["value"] == pytest.approx(exact, rel=1e-9)


def test_small_groups_are_left_out_and_with_none_large_enough_it_could_not_look(model: Judged) -> None:
    found = verdict(SliceFloor("region", "mae", max=100.0, min_rows=80), model)
    assert found.evidence["groups_left_out"] == 2
    assert [row["slice"] for row in found.evidence["worst"]] == ["south"]
    none = verdict(SliceFloor("id", "mae", max=100.0, min_rows=2), model)
    assert none.outcome == "could_not_look"
    assert none.reason == "no id has 2 test rows or more (the largest has 1)"


def test_a_column_that_is_not_there_or_private_could_not_be_looked_at(model: Judged) -> None:
    lost = verdict(SliceFloor("regoin", "mae", max=1.0), model)
    assert lost.outcome == "could_not_look"
    assert lost.reason.startswith("unknown column 'regoin'; nearest: region")
    hidden = type("Hidden", (Flights,), {"schema": Flights.schema.model_copy(update={"private": ("region",)})})()
    found = verdict(SliceFloor("region", "mae", max=1.0), replace(model, pipeline=hidden))
    assert found.outcome == "could_not_look"
    assert "private" in found.reason
    assert "north" not in found.model_dump_json()


# ---- baseline


def test_better_than_the_baseline_by_a_share_of_it(model: Judged) -> None:
    assert verdict(BetterThanBaseline("rmse"), model).outcome == "pass"
    assert verdict(BetterThanBaseline("r2", by=0.5), model).outcome == "pass"
    greedy = verdict(BetterThanBaseline("rmse", by=0.9), model)
    assert greedy.outcome == "fail"
    assert "less than the 0.9 of it that is asked" in greedy.reason
    assert greedy.evidence["wanted"] == pytest.approx(0.9 * model.baseline["rmse"])


def test_as_good_as_the_baseline_is_not_better(model: Judged) -> None:
    found = verdict(BetterThanBaseline("rmse"), replace(model, baseline=model.metrics))
    assert found.outcome == "fail"
    assert "no better than the baseline's" in found.reason


def test_a_bias_is_better_the_nearer_to_zero(model: Judged) -> None:
    near = replace(model, metrics={**model.metrics, "bias": -0.5}, baseline={"bias": 1.0})
    assert verdict(BetterThanBaseline("bias", by=0.5), near).outcome == "pass"
    far = replace(model, metrics={**model.metrics, "bias": -1.5}, baseline={"bias": 1.0})
    assert verdict(BetterThanBaseline("bias"), far).outcome == "fail"


def test_without_a_baseline_it_could_not_look(model: Judged) -> None:
    found = verdict(BetterThanBaseline("rmse"), replace(model, baseline={}))
    assert found.outcome == "could_not_look"
    assert found.reason == "Flights.baseline returns none: return an estimator, or leave this gate out"


# ---- seeds


def test_the_spread_over_seeds_is_that_of_trainings_with_the_seeds_that_follow(model: Judged) -> None:
    asked: list[int] = []

    def retrain(seed: int) -> dict[str, float]:
        asked.append(seed)
        return {"rmse": 10.0 + seed, "mae": 3.0}

    one = replace(model, metrics={"rmse": 11.0, "mae": 3.0}, retrain=retrain)
    tight, wide, other = judge(
        [StableOverSeeds("rmse", 1.5), StableOverSeeds("rmse", 2.0), StableOverSeeds("mae", 0.1)], one
    )
    assert (tight.outcome, wide.outcome, other.outcome) == ("fail", "pass", "pass")
    assert tight.value == 2.0
    assert tight.evidence == {"by_seed": {"1": 11.0, "2": 12.0, "3": 13.0}}
    assert asked == [2, 3]


def test_seeds_really_train(model: Judged) -> None:
    found = verdict(StableOverSeeds("rmse", 50.0, seeds=2), model)
    assert found.outcome == "pass"
    assert found.value is not None
    assert found.value > 0


def test_seeds_that_cannot_be_trained_could_not_be_looked_at(model: Judged) -> None:
    def broken(seed: int) -> dict[str, float]:
        raise PipelineError("Flights.build raised ValueError: no")

    assert verdict(StableOverSeeds("rmse", 1.0), replace(model, retrain=broken)).reason == (
        "Flights.build raised ValueError: no"
    )
    assert verdict(StableOverSeeds("rmse", 1.0), replace(model, retrain=None)).outcome == "could_not_look"


# ---- predictions


def test_predictions_out_of_range_constant_or_missing_fail(model: Judged) -> None:
    sane = verdict(PredictionSanity(low=-60, high=1500), model)
    assert (sane.outcome, sane.value) == ("pass", 0.0)
    first = np.arange(len(model.rows)) == 0
    out = verdict(PredictionSanity(low=0, high=70), predicting(model, np.where(first, 71.0, model.rows["prediction"])))
    assert out.outcome == "fail"
    assert "1 of 200 are out of range" in out.reason
    assert out.evidence["highest"] == 71.0
    flat = verdict(PredictionSanity(), predicting(model, 5.0))
    assert flat.outcome == "fail"
    assert "100.0% of them are one and the same value" in flat.reason
    holes = replace(model, rows=model.rows.assign(prediction=model.rows["prediction"].where(~first)))
    missing = verdict(PredictionSanity(low=0, high=100), holes)
    assert missing.outcome == "fail"
    assert missing.reason == "predictions: 1 of 200 are missing, more than 0.0%"
    assert verdict(PredictionSanity(max_missing=0.01), holes).outcome == "pass"


def test_a_range_of_predictions_that_are_texts_could_not_be_looked_at(model: Judged) -> None:
    texts = replace(model, rows=model.rows.assign(prediction="late"))
    assert verdict(PredictionSanity(low=0, high=60), texts).outcome == "could_not_look"
    assert verdict(PredictionSanity(), texts).outcome == "fail"


class Slow(Flights):
    def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        import time

        assert not {"delay", "truth", "prediction"} & set(rows.columns)
        time.sleep(0.02)
        return super().predict(model, rows)


class Broken(Flights):
    def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        raise SystemExit("gone")


def test_a_slow_predict_fails_only_after_several_calls(model: Judged) -> None:
    slow = verdict(PredictLatency(1.0, rows=3), replace(model, pipeline=Slow()))
    assert slow.outcome == "fail"
    assert len(slow.evidence["calls_ms"]) == 10
    assert slow.value == min(slow.evidence["calls_ms"])
    quick = verdict(PredictLatency(60_000.0, rows=1000), model)
    assert quick.outcome == "pass"
    assert len(quick.evidence["calls_ms"]) == 1


def test_a_predict_that_raises_could_not_be_timed(model: Judged) -> None:
    found = verdict(PredictLatency(1.0), replace(model, pipeline=Broken()))
    assert found.outcome == "could_not_look"
    assert found.reason == "Broken.predict raised SystemExit: gone"


def test_the_size_of_the_model_file(model: Judged) -> None:
    assert verdict(ModelSize(1.5), model).outcome == "pass"
    large = verdict(ModelSize(1.49), model)
    assert (large.outcome, large.value) == ("fail", 1.5)
    assert large.reason == "the model file has 1.5 MB, more than 1.49 MB"


# ---- whatever else


def test_what_nobody_thought_of_is_a_gate_that_could_not_look(model: Judged) -> None:
    lists = replace(model, rows=model.rows.assign(region=pd.Series([[1]] * len(model.rows), dtype=object)))
    found = verdict(SliceFloor("region", "mae", max=1.0), lists)
    assert found.outcome == "could_not_look"
    assert "TypeError" in found.reason


def test_rows_of_a_whole_model_are_as_evaluate_got_them(model: Judged) -> None:
    frame = data()
    assert model.pipeline.evaluate(model.rows) == pytest.approx(model.metrics)
    assert set(frame.columns) < set(model.rows.columns)
