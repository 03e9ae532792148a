from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from partitions.errors import PipelineError
from partitions.metrics import CLASSIFICATION, REGRESSION, default_metrics


def results(truth: Any, prediction: Any, **probabilities: Any) -> pd.DataFrame:
    named = {f"probability_{label}": values for label, values in probabilities.items()}
    return pd.DataFrame({"truth": truth, "prediction": prediction, **named})


def test_regression_metrics_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=50)
    prediction = truth + random.normal(0.3, 0.5, size=50)

    computed = default_metrics(results(truth, prediction), list(REGRESSION), "regression")

    assert computed == pytest.approx(
        {
            "mae": reference.mean_absolute_error(truth, prediction),
            "rmse": reference.root_mean_squared_error(truth, prediction),
            "r2": reference.r2_score(truth, prediction),
            "bias": float(np.mean(prediction - truth)),
            "median_ae": reference.median_absolute_error(truth, prediction),
        }
    )
    assert all(type(value) is float for value in computed.values())


@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["0", "1"]])
def test_binary_metrics_agree_with_scikit_learn(labels: list[Any]) -> None:
    random = np.random.default_rng(1)
    chance = random.uniform(0.02, 0.98, size=80)
    truth = (random.uniform(size=80) < chance).astype(int)
    guess = (chance > 0.4).astype(int)
    frame = results(
        [labels[t] for t in truth], [labels[g] for g in guess], **{str(labels[0]): 1 - chance, str(labels[1]): chance}
    )

    assert default_metrics(frame, list(CLASSIFICATION), "classification") == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, guess),
            "balanced_accuracy": reference.balanced_accuracy_score(truth, guess),
            "f1": reference.f1_score(truth, guess),
            "log_loss": reference.log_loss(truth, chance),
            "roc_auc": reference.roc_auc_score(truth, chance),
            "brier": reference.brier_score_loss(truth, chance),
        }
    )


def test_metrics_of_several_classes_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(2)
    names = np.array(["a", "b", "c"])
    likely = random.dirichlet(np.ones(3), size=120)
    truth = np.array([random.choice(names, p=row) for row in likely])
    guess = names[likely.argmax(axis=1)]
    frame = results(truth, guess, **{name: likely[:, position] for position, name in enumerate(names)})

    assert default_metrics(frame, list(CLASSIFICATION), "classification") == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, guess),
            "balanced_accuracy": reference.balanced_accuracy_score(truth, guess),
            "f1": reference.f1_score(truth, guess, average="macro"),
            "log_loss": reference.log_loss(truth, likely, labels=names),
            "roc_auc": reference.roc_auc_score(truth, likely, multi_class="ovr"),
            "brier": float(((likely - (truth[:, None] == names)) ** 2).sum(axis=1).mean()),
        }
    )


def test_a_class_is_the_same_as_number_and_in_the_name_of_its_probability() -> None:
    frame = results([0.0, 1.0], pd.array([0, 1], dtype="Int64"), **{"0": [0.9, 0.2], "1": [0.1, 0.8]})

    computed = default_metrics(frame, ["accuracy", "log_loss"], "classification")

    assert computed == pytest.approx({"accuracy": 1.0, "log_loss": -(np.log(0.9) + np.log(0.8)) / 2})


def test_one_probability_column_is_enough_for_two_classes() -> None:
    both = results(["no", "yes"], ["no", "yes"], no=[0.7, 0.4], yes=[0.3, 0.6])
    names = ["log_loss", "roc_auc", "brier"]

    alone = default_metrics(both.drop(columns="probability_no"), names, "classification")

    assert alone == pytest.approx(default_metrics(both, names, "classification"))


def test_a_class_the_estimator_never_saw_costs_much_but_stays_finite() -> None:
    frame = results(["a", "new"], ["a", "b"], a=[0.9, 0.5], b=[0.1, 0.5])

    assert 10 < default_metrics(frame, ["log_loss"], "classification")["log_loss"] < 40


def test_f1_of_rows_without_the_positive_class_is_zero_not_an_error() -> None:
    assert default_metrics(results([0, 0], [0, 0]), ["f1"], "classification") == {"f1": 0.0}


def test_only_the_named_metrics_are_computed_in_the_order_asked_for() -> None:
    computed = default_metrics(results([1.0, 1.0], [2.0, 2.0]), ["bias", "mae"], "regression")

    assert list(computed.items()) == [("bias", 1.0), ("mae", 1.0)]


@pytest.mark.parametrize(
    ("frame", "name", "task", "said"),
    [
        (results([1.0], [1.0]), "rmsle", "regression", "'rmsle'; nearest: rmse, mae (the default evaluate for regr"),
        (results([1.0], [1.0]), "accuracy", "regression", "override evaluate"),
        (results(["a"], ["a"]), "mae", "classification", "computes accuracy, balanced_accuracy, f1, log_loss"),
        (results([], []), "mae", "regression", "no rows to evaluate"),
        (results([1.0, 1.0], [1.0, 2.0]), "r2", "regression", "r2 needs rows whose truth differs"),
        (results(["a"], ["a"]), "log_loss", "classification", "log_loss needs probabilities: build an estimator with"),
        (results(["a"], ["a"], a=[0.5], b=[0.5]), "roc_auc", "classification", "roc_auc needs rows of at least two"),
    ],
)
def test_a_metric_that_cannot_be_computed_says_why(frame: pd.DataFrame, name: str, task: Any, said: str) -> None:
    with pytest.raises(PipelineError) as raised:
        default_metrics(frame, [name], task)

    assert said in str(raised.value) and "\n" not in str(raised.value)
