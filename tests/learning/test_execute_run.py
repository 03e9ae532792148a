"""One run of a pipeline: its results, metrics and baseline, for any estimator, over folds too."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.learning.run import execute_run
from partitions.errors import DeclarationError
from partitions.pipeline import Config, Parameters, Pipeline, SplitSettings, Window
from partitions.schema import DataSchema
from tests.learning.pipelines_for_runs import Delays, Late, NearestHour, Params, delays, run_of


def test_a_regression_run_beats_its_baseline_and_keeps_every_row() -> None:
    result = execute_run(run_of(Delays()))

    assert list(result.results.columns) == ["key", "split", "fold", "truth", "prediction"]
    assert result.results["key"].tolist() == sorted(delays()["id"])
    assert result.rows == {"train": 150, "test": 50} == result.results["split"].value_counts().to_dict()
    assert result.results["fold"].isna().all() and result.results["fold"].dtype == "Int64"
    assert list(result.metrics) == list(result.train_metrics) == list(result.baseline) == list(Delays.metrics)
    assert result.metrics["mae"] < 0.5 * result.baseline["mae"]
    assert {"split", "build", "fit", "predict", "evaluate", "baseline", "total"} == set(result.timings)
    assert result.timings["total"] >= result.timings["fit"] > 0


def test_metrics_are_of_the_test_rows_and_train_metrics_of_the_train_rows() -> None:
    result = execute_run(run_of(Delays()))

    for part, metrics in (("test", result.metrics), ("train", result.train_metrics)):
        rows = result.results[result.results["split"] == part]
        assert metrics["mae"] == pytest.approx(float((rows["prediction"] - rows["truth"]).abs().mean()))


def test_results_carry_the_truth_of_their_row() -> None:
    result = execute_run(run_of(Delays()))

    truth = delays().set_index("id")["delay"]
    assert (result.results.set_index("key")["truth"] == truth.sort_index()).all()


def test_a_classification_run_gives_probabilities_of_its_classes() -> None:
    result = execute_run(run_of(Late()))

    assert list(result.results.columns)[-2:] == ["probability_no", "probability_yes"]
    assert np.allclose(result.results[["probability_no", "probability_yes"]].sum(axis=1), 1.0)
    assert result.metrics["accuracy"] > 0.8 and result.metrics["roc_auc"] > 0.9
    assert result.metrics["log_loss"] < result.baseline["log_loss"]


def test_lightgbm_runs_as_it_is() -> None:
    class Boosted(Delays):
        def build(self, params: Params, seed: int) -> Any:
            from lightgbm import LGBMRegressor

            return LGBMRegressor(n_estimators=30, max_depth=params.max_depth, random_state=seed, verbose=-1, n_jobs=1)

    first, second = execute_run(run_of(Boosted())), execute_run(run_of(Boosted()))

    assert first.metrics["mae"] < first.baseline["mae"]
    assert first.predictions_digest == second.predictions_digest


def test_a_plain_object_with_fit_and_predict_is_an_estimator() -> None:
    class Plain(Delays):
        def build(self, params: Params, seed: int) -> Any:
            return NearestHour()

    result = execute_run(run_of(Plain()))

    assert isinstance(result.model, NearestHour)
    assert result.metrics["mae"] < result.baseline["mae"]


class Smallest(Pipeline[Config, Parameters]):
    schema = DataSchema(key="id", target="y")
    metrics = {"mae": "min"}

    def ingest(self, config: Config, window: Window | None) -> pd.DataFrame:
        return pd.DataFrame({"id": range(40), "x": range(40), "y": [2.0 * number for number in range(40)]})

    def build(self, params: Parameters, seed: int) -> Any:
        from sklearn.linear_model import LinearRegression

        return LinearRegression()


def test_the_smallest_pipeline_is_a_schema_metrics_ingest_and_build() -> None:
    pipeline = Smallest()
    result = execute_run(run_of(pipeline, pipeline.ingest(Config(), None), params=Parameters()))

    assert result.metrics["mae"] == pytest.approx(0.0, abs=1e-9)
    assert result.rows == {"train": 30, "test": 10}


def test_folds_part_the_train_rows_and_never_touch_the_test_rows() -> None:
    whole = execute_run(run_of(Delays()))
    test_keys = set(whole.results.loc[whole.results["split"] == "test", "key"])
    params = Params(split=SplitSettings(method="random"))
    whole_random = execute_run(run_of(Delays(), params=params))
    random_test_keys = set(whole_random.results.loc[whole_random.results["split"] == "test", "key"])

    by_time = [execute_run(run_of(Delays(), folds=3, fold=fold)) for fold in range(3)]
    shuffled = [execute_run(run_of(Delays(), params=params, folds=3, fold=fold)) for fold in range(3)]

    for fold, result in enumerate(by_time):
        assert not test_keys & set(result.results["key"])
        assert (result.results["fold"] == fold).all()
    judged = [key for r in shuffled for key in r.results.loc[r.results["split"] == "test", "key"]]
    assert len(judged) == len(set(judged)) == whole_random.rows["train"]
    assert not random_test_keys & set(judged)


def test_predict_is_not_shown_the_target() -> None:
    columns: list[list[str]] = []

    class Recording(Delays):
        def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
            columns.append(list(rows.columns))
            return super().predict(model, rows)

    execute_run(run_of(Recording()))

    assert columns and all("delay" not in seen and "id" in seen for seen in columns)


def test_evaluate_is_given_the_rows_own_columns_with_truth_and_prediction() -> None:
    class Weighted(Delays):
        metrics = {"weighted": "min"}

        def evaluate(self, results: pd.DataFrame) -> dict[str, float]:
            error = (results["prediction"] - results["truth"]).abs()
            return {"weighted": np.average(error, weights=results["distance"])}

    result = execute_run(run_of(Weighted()))

    assert type(result.metrics["weighted"]) is float and result.metrics["weighted"] > 0


def test_a_pipeline_without_a_baseline_has_no_baseline_metrics() -> None:
    class Alone(Delays):
        def baseline(self, params: Params, seed: int) -> None:
            return None

    assert execute_run(run_of(Alone())).baseline == {}


def test_a_feature_named_like_a_probability_is_fine_in_a_regression() -> None:
    class Rainy(Delays):
        schema = DataSchema(key="id", target="delay", features=("distance", "probability_of_rain"))

    data = delays().assign(probability_of_rain=50.0)

    assert "probability_of_rain" not in execute_run(run_of(Rainy(), data)).results.columns


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": -1}, "-1 is not a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "is not a whole number from 0"),
        ({"folds": 3}, "folds=3 and fold=None; give both"),
        ({"fold": 0}, "folds=None and fold=0; give both"),
        ({"folds": 3, "fold": 3}, "3 of 3"),
        ({"folds": 1, "fold": 0}, "folds is at least 2"),
    ],
)
def test_a_seed_or_fold_out_of_range_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        replace(run_of(Delays()), **changes)
