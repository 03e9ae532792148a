"""Not worse than the champion: on which rows, by how much, and how sure."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.quality.gates import Champion, Judged, judge
from mlops_assets.quality.resampling import by_evaluating, by_rows
from mlops_assets.quality.verdicts import GateVerdict
from partitions.gates import NotWorseThanChampion
from partitions.row_metrics import row_metric
from tests.learning.pipelines_for_runs import Params
from tests.quality.judged_models import Flights, LateFlights, champion, data, judged

GATE = NotWorseThanChampion("rmse", tolerance=0.02, min_rows=50)


@pytest.fixture(scope="module")
def model() -> Judged:
    return judged()


def against(model: Judged, rival: Champion, gate: NotWorseThanChampion = GATE) -> GateVerdict:
    (found,) = judge([gate], replace(model, champion=rival))
    return found


def predicting(change: Callable[[pd.DataFrame], Any], model: Judged, trained: frozenset[Any] = frozenset()) -> Champion:
    """A champion that predicts what the model does, changed; ``change`` is given the model's rows with results."""
    known = model.rows.set_index("id")

    def predict(rows: pd.DataFrame) -> pd.DataFrame:
        assert not {"delay", "truth", "prediction"} & set(rows.columns)
        return pd.DataFrame({"prediction": np.asarray(change(known.loc[rows["id"]]))}, index=rows.index)

    return Champion("0199-rival", None, predict, trained, "c" * 64)


def test_with_no_champion_yet_it_passes_and_says_so(model: Judged) -> None:
    (found,) = judge([GATE], model)
    assert found.outcome == "pass"
    assert found.reason.startswith("no champion yet")
    assert found.evidence == {"champion": None}


def test_a_champion_that_cannot_be_loaded_could_not_be_looked_at(model: Judged) -> None:
    (found,) = judge([GATE], replace(model, champion_lost="artifact sha256/ab is missing"))
    assert found.outcome == "could_not_look"
    assert "artifact sha256/ab is missing" in found.reason


def test_the_same_predictions_are_not_worse(model: Judged) -> None:
    found = against(model, predicting(lambda rows: rows["prediction"], model))
    assert found.outcome == "pass"
    assert found.reason.endswith("equal")
    assert found.evidence["worse_by"] == 0.0
    assert found.evidence["interval"] == [0.0, 0.0]
    assert found.evidence["champion"] == "0199-rival"


def test_a_clearly_better_champion_stops_and_the_interval_shows_it(model: Judged) -> None:
    found = against(model, predicting(lambda rows: rows["truth"] + 0.5 * (rows["prediction"] - rows["truth"]), model))
    assert found.outcome == "fail"
    low, high = found.evidence["interval"]
    assert 0 < low < found.evidence["worse_by"] < high
    assert found.evidence["champion_value"] == pytest.approx(model.metrics["rmse"] / 2)
    assert found.evidence["worse_by"] == pytest.approx(model.metrics["rmse"] / 2)
    assert found.evidence["allowed"] == pytest.approx(0.02 * model.metrics["rmse"] / 2)
    assert "lies above zero" in found.reason


def test_a_champion_better_by_less_than_the_tolerance_does_not_stop(model: Judged) -> None:
    rival = predicting(lambda rows: rows["truth"] + 0.99 * (rows["prediction"] - rows["truth"]), model)
    assert against(model, rival).outcome == "pass"
    exact = against(model, rival, NotWorseThanChampion("rmse", min_rows=50))
    assert exact.outcome == "fail"  # each row is a little worse, so there is no noise about it


def test_a_difference_inside_the_noise_does_not_stop_and_says_so(model: Judged) -> None:
    noise = np.random.default_rng(3).normal(0, 5, len(model.rows))
    places = pd.Series(np.arange(len(model.rows)), index=model.rows["id"])

    def other(rows: pd.DataFrame) -> Any:
        return rows["truth"] + noise[places.loc[rows.index]] * 0.98

    rows = model.rows.assign(prediction=model.rows["truth"] + np.random.default_rng(4).normal(0, 5, len(model.rows)))
    worse = replace(model, rows=rows, metrics=model.pipeline.evaluate(rows))
    gate = NotWorseThanChampion("rmse", min_rows=50)
    found = against(worse, predicting(other, worse), gate)
    swapped = worse.rows.assign(prediction=worse.rows["truth"] + noise * 0.98)
    back = replace(worse, rows=swapped, metrics=worse.pipeline.evaluate(swapped))
    rival = predicting(lambda rows: worse.rows.set_index("id").loc[rows.index, "prediction"], back)
    outcomes = {found.outcome, against(back, rival, gate).outcome}
    assert outcomes == {"pass"}  # one of the two is worse, neither for sure
    reasons = found.reason + against(back, rival, gate).reason
    assert "inside the noise" in reasons
    assert "better" in reasons


def test_only_rows_the_champion_was_not_trained_on_count(model: Judged) -> None:
    keys = model.rows["id"].tolist()
    known = frozenset(keys[:80])
    # Perfect on what it has seen; as the model elsewhere.
    rival = predicting(lambda rows: rows["truth"].where(rows.index.isin(known), rows["prediction"]), model, known)
    found = against(model, rival)
    assert found.outcome == "pass"
    assert found.evidence["rows"] == len(keys) - 80
    assert found.evidence["rows_champion_was_trained_on"] == 80
    fresh = model.rows[~model.rows["id"].isin(known)]
    assert found.value == pytest.approx(model.pipeline.evaluate(fresh)["rmse"])
    few = against(model, replace(rival, trained_keys=frozenset(keys[:160])))
    assert few.outcome == "could_not_look"
    assert few.reason == (
        "40 of 200 test rows are new to the champion, at least 50 are needed (it was trained on the other 160)"
    )


@pytest.mark.parametrize(
    ("metric", "worse"),
    [("mae", 1.3), ("rmse", 1.3), ("r2", 1.3), ("bias", 6.0)],
)
def test_each_direction_knows_what_is_worse(model: Judged, metric: str, worse: float) -> None:
    rows = model.rows.assign(prediction=model.rows["truth"] + worse * (model.rows["prediction"] - model.rows["truth"]))
    if metric == "bias":
        rows = model.rows.assign(prediction=model.rows["prediction"] - worse)
    bad = replace(model, rows=rows, metrics=model.pipeline.evaluate(rows))
    good = predicting(lambda asked: model.rows.set_index("id").loc[asked.index, "prediction"], bad)
    gate = NotWorseThanChampion(metric, tolerance=0.02, min_rows=50)
    assert against(bad, good, gate).outcome == "fail"
    back = predicting(lambda asked: rows.set_index("id").loc[asked.index, "prediction"], model)
    assert against(model, back, gate).outcome == "pass"


def test_the_interval_by_rows_is_that_of_evaluating_drawn_rows(model: Judged) -> None:
    random = np.random.default_rng(0)
    rival = model.rows.assign(prediction=model.rows["truth"] + random.normal(1, 4, len(model.rows)))
    for metric in ("mae", "rmse", "r2", "bias"):
        ours, theirs = (row_metric(metric, rows, "regression") for rows in (model.rows, rival))
        assert ours is not None
        assert theirs is not None
        assert ours.value == pytest.approx(model.metrics[metric])
        short = by_rows(ours, theirs, lambda one, other: one - other)

        def evaluate(drawn: Any, metric: str = metric) -> tuple[float, float]:
            one, other = (model.pipeline.evaluate(rows.iloc[drawn])[metric] for rows in (model.rows, rival))
            return one, other

        long = by_evaluating(len(rival), evaluate, lambda one, other: one - other)
        width = long.high - long.low
        assert short.low == pytest.approx(long.low, abs=0.2 * width)
        assert short.high == pytest.approx(long.high, abs=0.2 * width)


def test_many_rows_are_drawn_in_blocks_and_the_interval_is_as_wide_as_it_should_be() -> None:
    random = np.random.default_rng(1)
    truth = pd.Series(np.zeros(20_000))
    frames = [pd.DataFrame({"truth": truth, "prediction": random.normal(0, 1, 20_000)}) for _ in range(2)]
    ours, theirs = (row_metric("bias", frame, "regression") for frame in frames)
    assert ours is not None
    assert theirs is not None
    found = by_rows(ours, theirs, lambda one, other: one - other)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(2 / 20_000), rel=0.15)


def test_a_metric_of_ranks_is_resampled_with_evaluate_and_only_where_it_decides() -> None:
    frame = data(1200)
    pipeline = LateFlights()
    good, bad = judged(pipeline, frame, Params(max_depth=6)), judged(pipeline, frame, Params(max_depth=1))
    gate = NotWorseThanChampion("roc_auc", min_rows=50)
    strong = champion(pipeline, frame, Params(max_depth=6))
    stopped = against(bad, strong, gate)
    assert stopped.outcome == "fail"
    assert stopped.evidence["resampled"] == "evaluate on drawn rows"
    passed = against(good, strong, gate)
    assert passed.outcome == "pass"
    assert passed.evidence["interval"] is None
    for metric in ("log_loss", "brier", "accuracy"):
        found = against(bad, strong, NotWorseThanChampion(metric, min_rows=50))
        assert found.evidence["resampled"] == "losses of rows"
        assert found.value == pytest.approx(bad.metrics[metric])


def test_a_pipeline_that_means_something_else_by_mae_is_taken_at_its_word(model: Judged) -> None:
    class Squared(Flights):
        metrics = {"mae": "min"}

        def evaluate(self, results: pd.DataFrame) -> dict[str, float]:
            return {"mae": float(((results["prediction"] - results["truth"]) ** 2).mean())}

    one = replace(model, pipeline=Squared(), metrics=Squared().evaluate(model.rows))
    rival = predicting(lambda rows: rows["truth"] + 0.5 * (rows["prediction"] - rows["truth"]), one)
    found = against(one, rival, NotWorseThanChampion("mae", min_rows=50))
    assert found.outcome == "fail"
    assert found.evidence["champion_value"] == pytest.approx(one.metrics["mae"] / 4)
    assert found.evidence["resampled"] == "evaluate on drawn rows"


def broken(rows: pd.DataFrame) -> pd.DataFrame:
    raise KeyError("gate_number")


@pytest.mark.parametrize(
    ("predict", "says"),
    [
        (broken, "predict of the champion (run 0199) raised KeyError: 'gate_number'"),
        (lambda rows: rows[["id"]], "returned no frame with a column 'prediction'"),
        (lambda rows: rows.assign(prediction=1.0).iloc[1:], "returned other rows than it was given"),
        (lambda rows: rows.assign(prediction=np.nan), "returned no prediction for 200 of 200 rows"),
    ],
)
def test_a_champion_that_cannot_predict_these_rows_could_not_be_looked_at(
    model: Judged, predict: Any, says: str
) -> None:
    found = against(model, Champion("0199", None, predict, frozenset()))
    assert found.outcome == "could_not_look"
    assert says in found.reason


def test_the_same_is_judged_the_same_again(model: Judged) -> None:
    rival = champion(Flights(), data(400), Params(max_depth=1))
    gates = [GATE, NotWorseThanChampion("bias", min_rows=50)]
    first, second = (judge(gates, replace(model, champion=rival)) for _ in range(2))
    assert first == second


def test_the_champion_predicts_once_however_many_gates_ask(model: Judged) -> None:
    calls: list[int] = []

    def counted(rows: pd.DataFrame) -> pd.DataFrame:
        calls.append(len(rows))
        return rows.assign(prediction=0.0)[["prediction"]]

    judge(
        [GATE, NotWorseThanChampion("mae"), NotWorseThanChampion("r2")],
        replace(model, champion=Champion("0199", None, counted, frozenset())),
    )
    assert calls == [len(model.rows)]
