"""Whatever a pipeline may get wrong: one line that names the class, the method, what is wrong and what is right."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.learning.run import RunInput, execute_run
from partitions.errors import DataError, PipelineError
from partitions.pipeline import Config, Pipeline, Split
from tests.learning.pipelines_for_runs import Delays, Late, Params, delays


def refusal(pipeline: Pipeline[Any, Any], kind: type[Exception] = PipelineError, **changes: Any) -> Exception:
    """The error of a run of ``pipeline``, which must be one line that opens with the name of the pipeline's class."""
    fields: dict[str, Any] = {"config": Config(), "params": Params(), "seed": 7, "data": delays(), **changes}
    with pytest.raises(kind) as raised:
        execute_run(RunInput(pipeline=pipeline, **fields))
    message = str(raised.value)
    assert "\n" not in message and message.startswith(type(pipeline).__name__), message
    return raised.value


def split_into(train: Any, test: Any) -> Pipeline[Any, Any]:
    """A pipeline whose split gives ``train(data)`` and ``test(data)``."""

    class Splits(Delays):
        def split(self, data: pd.DataFrame, params: Params, seed: int) -> Split:
            return Split(train(data), test(data))

    return Splits()


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (lambda d: d.iloc[:60], lambda d: d.iloc[50:], "Splits.split put 10 rows in train and in test"),
        (lambda d: d.iloc[:0], lambda d: d, "Splits.split left no train rows (of 200)"),
        (lambda d: d, lambda d: d.iloc[:0], "Splits.split left no test rows (of 200)"),
        (lambda d: d.iloc[:9].assign(id="new"), lambda d: d.iloc[9:], "Splits.split returned 9 train rows that it was"),
        (lambda d: pd.concat([d[:5], d[:2]]), lambda d: d[5:], "Splits.split returned 2 train rows twice"),
        (lambda d: d[:5].drop(columns="id"), lambda d: d[5:], "Splits.split lost column 'id' in the train rows"),
        (lambda d: d[:5].to_numpy(), lambda d: d[5:], "it must return Split(train, test), two DataFrames"),
    ],
)
def test_a_split_that_is_no_partition_is_refused(train: Any, test: Any, said: str) -> None:
    assert said in str(refusal(split_into(train, test)))


def test_a_split_may_leave_rows_out_and_renumber_them() -> None:
    pipeline = split_into(lambda d: d[:80].reset_index(drop=True), lambda d: d[120:].reset_index(drop=True))

    result = execute_run(RunInput(pipeline, Config(), Params(), 7, delays()))

    assert result.rows == {"train": 80, "test": 80}
    assert len(set(result.results["key"])) == 160


def test_a_split_that_returns_nothing_is_refused() -> None:
    class Silent(Delays):
        def split(self, data: pd.DataFrame, params: Params, seed: int) -> Any:
            return None

    assert "Silent.split returned None; it must return Split(train, test)" in str(refusal(Silent()))


def test_folds_must_be_as_many_as_asked_for_and_within_the_train_rows() -> None:
    class TooFew(Delays):
        def folds(self, data: pd.DataFrame, params: Params, seed: int, n: int) -> Sequence[Split]:
            return super().folds(data, params, seed, n)[:-1]

    class Peeking(Delays):
        def folds(self, data: pd.DataFrame, params: Params, seed: int, n: int) -> Sequence[Split]:
            everything = delays()
            return [Split(data, everything[~everything["id"].isin(data["id"])])] * n

    assert str(refusal(TooFew(), folds=3, fold=0)) == "TooFew.folds returned 2 folds; asked for 3"
    assert "Peeking.folds (fold 1 of 3) returned 50 test rows that it was not given" in str(
        refusal(Peeking(), folds=3, fold=1)
    )
    assert "Delays.folds raised ValueError: " in str(refusal(Delays(), data=delays(8), folds=7, fold=0))


@pytest.mark.parametrize(
    ("built", "said"),
    [
        (None, "returned None, which has no fit and no predict"),
        (object(), "returned a object, which has no fit and no predict"),
        (dict, "returned the class dict; return an object: dict(...)"),
        ({"fit": 1}, "return an unfitted estimator with fit and predict"),
    ],
)
def test_what_build_returns_must_have_fit_and_predict(built: Any, said: str) -> None:
    class Builds(Delays):
        def build(self, params: Params, seed: int) -> Any:
            return built

    assert said in str(refusal(Builds()))


def predicting(answer: Any, base: type[Delays] = Delays) -> Pipeline[Any, Any]:
    """A pipeline whose predict gives ``answer(the right predictions)``."""

    class Predicts(base):  # type: ignore[misc,valid-type]
        def predict(self, model: Any, rows: pd.DataFrame) -> Any:
            return answer(super().predict(model, rows))

    return Predicts()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda p: p.iloc[:-1], "returned 149 predictions for 150 rows"),
        (lambda p: pd.concat([p, p]), "returned 300 predictions for 150 rows"),
        (lambda p: p.set_index(p.index + 1), "returned another index than its rows have"),
        (lambda p: p.iloc[::-1], "returned another index than its rows have"),
        (
            lambda p: p.assign(prediction=p["prediction"].where(np.arange(len(p)) % 3 > 0)),
            "returned NaN for 50 of 150 rows",
        ),
        (lambda p: p.assign(prediction=np.inf), "returned infinite predictions for 150 of 150 rows"),
        (lambda p: p.astype(str), "returned predictions of type str; regression needs numbers"),
        (lambda p: p.rename(columns={"prediction": "delay"}), "returned no column 'prediction' (columns: delay)"),
        (lambda p: p["prediction"].to_numpy(), "returned a ndarray; it must return a DataFrame"),
        (lambda p: None, "returned None; it must return a DataFrame"),
        (lambda p: pd.concat([p, p], axis=1), "two columns of one name"),
    ],
)
def test_predictions_that_do_not_fit_their_rows_are_refused(answer: Any, said: str) -> None:
    message = str(refusal(predicting(answer)))

    assert message.startswith("Predicts.predict on the train rows returned") and said in message


def test_probabilities_outside_0_to_1_are_refused() -> None:
    too_large = predicting(lambda p: p.assign(probability_yes=1.5), Late)
    text = predicting(lambda p: p.assign(probability_yes="sure"), Late)

    assert "'probability_yes' outside 0 to 1, or NaN, in 150 of 150 rows" in str(refusal(too_large))
    assert "'probability_yes' of type str; probabilities are numbers" in str(refusal(text))


def test_an_estimator_that_predicts_the_wrong_number_of_rows_is_named_with_the_method() -> None:
    class Short:
        def fit(self, X: Any, y: Any) -> None: ...

        def predict(self, X: Any) -> Any:
            return np.zeros(len(X) - 1)

    class Shorter(Delays):
        def build(self, params: Params, seed: int) -> Any:
            return Short()

    message = str(refusal(Shorter()))
    assert message.startswith("Shorter.predict on the train rows raised ValueError: ") and "149" in message


def test_a_predict_that_reads_the_target_fails_in_training_already() -> None:
    class Peeks(Delays):
        def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"prediction": rows["delay"]})

    assert str(refusal(Peeks())) == "Peeks.predict on the train rows raised KeyError: 'delay'"


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"mae": float("nan")}, "returned mae = nan; a metric is a finite number"),
        ({"mae": float("inf")}, "returned mae = inf; a metric is a finite number"),
        ({"mae": "3.5"}, "returned mae = '3.5' (str); a metric is a number"),
        ({"mae": True}, "returned mae = True (bool); a metric is a number"),
        ({"mae": None}, "returned mae = None (NoneType); a metric is a number"),
        ({}, "returned no mae; it must return exactly mae (declared in metrics)"),
        ({"mae": 1.0, "mse": 1.0}, "returned mse, not declared in metrics; it must return exactly mae"),
        (3.5, "returned a float; it must return a dict of mae"),
        (None, "returned None; it must return a dict of mae"),
    ],
)
def test_metrics_other_than_the_declared_finite_numbers_are_refused(returned: Any, said: str) -> None:
    class Evaluates(Delays):
        metrics = {"mae": "min"}

        def evaluate(self, results: pd.DataFrame) -> Any:
            return returned

    message = str(refusal(Evaluates()))
    assert message.startswith("Evaluates.evaluate on the test rows returned") or "train rows returned" in message
    assert said in message


def test_a_metric_the_default_evaluate_does_not_know_says_to_override_it() -> None:
    class Unknown(Delays):
        metrics = {"rmsle": "min"}

    message = str(refusal(Unknown()))
    assert "unknown metric 'rmsle'; nearest: rmse" in message and "override evaluate" in message


@pytest.mark.parametrize("method", ["split", "build", "predict", "evaluate", "baseline"])
def test_what_user_code_raises_is_told_in_one_line_and_kept_as_the_cause(method: str) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("first line\nsecond line")

    pipeline = type("Failing", (Delays,), {method: fail})()

    error = refusal(pipeline)
    assert str(error).startswith(f"Failing.{method}") and "raised ValueError: first line second line" in str(error)
    assert isinstance(error.__cause__, ValueError) and error.__cause__.__traceback__ is not None


def test_what_fit_raises_names_the_estimator() -> None:
    class Gaps(Delays):
        def build(self, params: Params, seed: int) -> Any:
            from sklearn.linear_model import LinearRegression

            return LinearRegression()

    message = str(refusal(Gaps(), data=delays().assign(hour=float("nan"))))
    assert message.startswith("Gaps.build: fit of LinearRegression raised ValueError: Input X contains NaN")


def test_a_pipeline_that_calls_exit_stops_only_its_run() -> None:
    class Exits(Delays):
        def build(self, params: Params, seed: int) -> Any:
            sys.exit(3)

    assert str(refusal(Exits())) == "Exits.build raised SystemExit: 3"


def test_an_interrupt_is_not_taken_for_an_error_of_the_pipeline() -> None:
    class Interrupted(Delays):
        def build(self, params: Params, seed: int) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_run(RunInput(Interrupted(), Config(), Params(), 7, delays()))


def test_a_predict_that_the_default_baseline_cannot_follow_says_what_to_do() -> None:
    class Particular(Delays):
        def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
            assert len(model.estimators_) == 5
            return super().predict(model, rows)

    message = str(refusal(Particular()))
    assert "predict with the baseline DummyRegressor raised AttributeError" in message
    assert message.endswith("or None for no baseline")


def test_rows_that_cannot_be_trained_on_are_refused_before_any_code_runs() -> None:
    class Untouched(Delays):
        def split(self, data: pd.DataFrame, params: Params, seed: int) -> Split:
            raise AssertionError("split was called")

    assert "ingest returned no rows" in str(refusal(Untouched(), DataError, data=delays().iloc[:0]))
    assert "left no test rows (of 1)" in str(refusal(Delays(), data=delays().iloc[:1]))
