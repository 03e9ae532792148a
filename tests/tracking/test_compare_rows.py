"""Losses, paired intervals and slices: against plain ways of computing them, and against what was planted."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_assets.tracking.compare.data_difference import changed_rows
from mlops_assets.tracking.compare.losses import disagreement, is_regression, loss_for, losses
from mlops_assets.tracking.compare.paired import paired_means
from mlops_assets.tracking.compare.row_keys import row_keys, union_of
from mlops_assets.tracking.compare.slicing import Groups, groups_of
from partitions.metrics import default_metrics

BIG = 2**60  # a floating number does not tell it from the next one


def results(number: int = 300, seed: int = 0) -> pd.DataFrame:
    """Of two classes with probabilities, some of them certain."""
    random = np.random.default_rng(seed)
    likely = np.clip(random.uniform(-0.05, 1.05, number), 0.0, 1.0)
    truth = random.uniform(size=number) < 0.5
    return pd.DataFrame(
        {
            "truth": np.where(truth, "yes", "no"),
            "prediction": np.where(likely > 0.5, "yes", "no"),
            "probability_no": 1.0 - likely,
            "probability_yes": likely,
        }
    )


def test_the_mean_of_a_loss_is_the_metric_it_goes_with() -> None:
    frame = results()
    metrics = default_metrics(frame, ["log_loss", "brier", "accuracy"], "classification")
    assert losses("log loss", frame).mean() == pytest.approx(metrics["log_loss"])
    assert losses("brier", frame).mean() == pytest.approx(metrics["brier"])
    assert losses("wrong class", frame).mean() == pytest.approx(1.0 - metrics["accuracy"])
    numbers = pd.DataFrame({"truth": [1.0, 2.0, 4.0], "prediction": [1.5, 2.0, 1.0]})
    metrics = default_metrics(numbers, ["mae", "rmse"], "regression")
    assert losses("absolute error", numbers).mean() == pytest.approx(metrics["mae"])
    assert losses("squared error", numbers).mean() == pytest.approx(metrics["rmse"] ** 2)


def test_the_mean_of_a_loss_is_the_metric_with_three_classes_and_with_one_column() -> None:
    random = np.random.default_rng(1)
    likely = random.dirichlet([1.0, 1.0, 1.0], 200)
    frame = pd.DataFrame(likely, columns=[f"probability_{label}" for label in (1, 2, 3)])
    frame = frame.assign(truth=random.integers(1, 4, 200).astype(float), prediction=likely.argmax(axis=1) + 1)
    metrics = default_metrics(frame, ["log_loss", "brier", "accuracy"], "classification")
    assert losses("log loss", frame).mean() == pytest.approx(metrics["log_loss"])
    assert losses("brier", frame).mean() == pytest.approx(metrics["brier"])
    assert losses("wrong class", frame).mean() == pytest.approx(1.0 - metrics["accuracy"])

    one = results().drop(columns="probability_no")
    assert losses("log loss", one) == pytest.approx(losses("log loss", results()))
    assert losses("brier", one) == pytest.approx(losses("brier", results()))


def test_the_loss_follows_the_first_metric_that_has_one() -> None:
    likely, plain = results(), results()[["truth", "prediction"]]
    assert loss_for(["roc_auc", "accuracy"], [likely], regression=False) == "log loss"
    assert loss_for(["log_loss", "accuracy"], [likely, plain], regression=False) == "wrong class"
    assert loss_for(["bias", "rmse", "mae"], [plain], regression=True) == "squared error"
    assert loss_for(["profit"], [plain], regression=True) == "absolute error"
    assert loss_for(["profit"], [plain], regression=False) == "wrong class"
    numbers = pd.DataFrame({"truth": [0, 1], "prediction": [0, 1]})
    assert is_regression("regression", [numbers]) and not is_regression("classification", [numbers])
    assert not is_regression("regression", [numbers, plain])


def test_disagreement_of_classes_is_between_nothing_and_one() -> None:
    first, second = results(seed=0), results(seed=1)
    apart = disagreement(first, second, regression=False)
    assert apart == pytest.approx(np.abs(first["probability_yes"].to_numpy() - second["probability_yes"].to_numpy()))
    plain = [frame[["truth", "prediction"]] for frame in (first, second)]
    assert set(disagreement(plain[0], plain[1], regression=False)) == {0.0, 1.0}
    narrow = [frame[["truth", "prediction", "probability_yes"]] for frame in (first, second)]
    assert disagreement(narrow[0], narrow[1], regression=False) == pytest.approx(apart)


def test_paired_means_are_students_interval_of_each_group() -> None:
    random = np.random.default_rng(0)
    base, groups = random.exponential(size=500), random.integers(0, 4, 500)
    other = base + random.normal(0.1, 0.3, 500)
    found = paired_means((base, other), groups)
    for group in range(4):
        apart = (other - base)[groups == group]
        # Four intervals, so each at 1 - 0.05 / 4.
        low, high = stats.ttest_1samp(apart, 0.0).confidence_interval(1.0 - 0.05 / 4)
        assert (found.low[group], found.high[group]) == pytest.approx((low, high))
        assert found.rows[group] == len(apart) and found.difference[group] == pytest.approx(apart.mean())


def test_verdicts_name_who_is_better_noise_equals_and_few_rows() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(5), [100, 100, 100, 100, 5])
    noise = random.normal(0, 1, 405)
    shift = np.repeat([-2.0, 2.0, 0.0, 0.0, -50.0], [100, 100, 100, 100, 5])
    base = np.full(405, 10.0)
    other = np.where(groups == 3, base, base + shift + noise)
    found = paired_means((base, other), groups)
    assert found.verdicts("a", "b") == ["b better", "a better", "noise", "equal", "few rows"]
    assert np.isnan(found.low[4]) and found.low[3] == found.high[3] == 0.0


def test_models_that_differ_by_chance_alone_have_hardly_a_slice_that_stands_out() -> None:
    called = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        losses_of = np.abs(random.normal(size=(2, 2_000)))
        found = paired_means((losses_of[0], losses_of[1]), random.integers(0, 40, 2_000))
        called += any(word.endswith("better") for word in found.verdicts("a", "b"))
    # 5 % of 40 comparisons is 2; without the correction nearly all 40 would have one.
    assert called <= 6


def groups(column: Any) -> Groups:
    found = groups_of(column)
    assert found is not None
    return found


def members(column: Any) -> dict[str, int]:
    found = groups(column)
    counts = np.bincount(found.codes, minlength=len(found.names))
    return dict(zip(found.names, counts.tolist(), strict=True))


def test_numbers_are_parted_into_quantiles_and_missing_ones_stand_apart() -> None:
    values = pd.Series(np.arange(1000, dtype=float))
    assert list(members(values).values()) == pytest.approx([200] * 5, abs=1)
    values[::10] = np.nan
    assert members(values)["missing"] == 100 and sum(members(values).values()) == 1000
    skewed = pd.Series([0.0] * 900 + list(range(1, 101)))
    assert members(skewed)["0"] == 900 and list(members(skewed).values())[1:] == pytest.approx([25] * 4, abs=1)
    peak = members(pd.Series([*range(20), *[7] * 900]))
    assert peak["7"] == 901 and sum(peak.values()) == 920
    assert set(members(pd.Series([1, 2, 3] * 50, dtype="Int64"))) == {"1", "2", "3"}
    assert sum(members(pd.Series([np.inf, -np.inf, *range(100)])).values()) == 102


def test_categories_keep_their_most_frequent_values() -> None:
    assert members(pd.Series(["x", "y", None, "x"], dtype="str")) == {"x": 2, "y": 1, "missing": 1}
    assert members(pd.Series(pd.Categorical(["x", "y", "x"], categories=["z", "y", "x"]))) == {"x": 2, "y": 1}
    assert members(pd.Series([True, False, True])) == {"True": 2, "False": 1}
    many = members(pd.Series([f"v{at % 100:02d}" for at in range(1000)] + ["often"] * 50))
    assert len(many) == 21 and many["often"] == 50 and many["others (81 values)"] == 810


def test_times_are_parted_into_calendar_periods() -> None:
    days = pd.Series(pd.date_range("2026-01-01", periods=400, freq="D", tz="Europe/Berlin"))
    assert list(members(days))[:3] == ["2025-12", "2026-01", "2026-02"]
    hours = pd.Series(pd.date_range("2026-01-01", periods=10, freq="h"))
    assert next(iter(members(hours))) == "2026-01-01 00:00"
    gaps = members(hours.where(hours.index != 3))
    assert gaps["missing"] == 1 and len(gaps) == 10 and sum(gaps.values()) == 10
    centuries = pd.Series(pd.date_range("1900-01-01", periods=100, freq="YS"))
    assert members(centuries) == {f"{decade}0s": 10 for decade in range(190, 200)}


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.0] * 50),
        pd.Series([None] * 50, dtype="str"),
        pd.Series([f"own {at}" for at in range(50)]),
        pd.Series([[at] for at in range(50)]),
    ],
    ids=["constant", "missing", "unique", "lists"],
)
def test_a_column_that_makes_no_groups_is_left_out(column: Any) -> None:
    assert groups_of(column) is None


def test_keys_of_different_types_find_each_other() -> None:
    keys = row_keys({"a": pd.Series([1, 2, 3]), "b": pd.Series(["2", "3", "4"])})
    assert list(union_of(keys)) == ["1", "2", "3", "4"]
    keys = row_keys({"a": pd.Series([1, 2]), "b": pd.Series([2.0, 3.0])})
    assert list(union_of(keys)) == [1, 2, 3]
    categorical = pd.Series(["x", "y"], dtype="category")
    assert list(union_of(row_keys({"a": categorical, "b": pd.Series(["y", "z"], dtype="str")}))) == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        ([1.0, np.nan, 3.0, np.nan], [1.0, np.nan, np.nan, 4.0], [False, False, True, True]),
        (
            pd.array([1, None, 2**60], dtype="Int64"),
            pd.array([1, None, 2**60 + 1], dtype="Int64"),
            [False, False, True],
        ),
        (pd.array(["x", None, "z"], dtype="str"), pd.array(["x", None, "y"], dtype="str"), [False, False, True]),
        (pd.Categorical(["x", "y"]), pd.Categorical(["x", "y"], categories=["y", "x"]), [False, False]),
        ([1, 2], [1.0, 2.5], [False, True]),
        ([[1, 2], [3]], [[1, 2], [4]], [False, True]),
        (pd.to_datetime(["2026-01-01"]), pd.to_datetime(["2026-01-01"]).tz_localize("UTC"), [False]),
        (["1", "2"], [1, 3], [False, True]),
        (pd.array([True, False]), pd.array([True, True]), [False, True]),
        (np.array([2**63 + 1, 5], dtype="uint64"), np.array([2**63 + 2, 5], dtype="uint64"), [True, False]),
    ],
)
def test_changed_values_are_found_in_every_type(before: Any, after: Any, differ: list[bool]) -> None:
    first, second = (pd.DataFrame({"id": range(len(differ)), "x": pd.Series(side)}) for side in (before, after))
    assert changed_rows(first, second, ("id", "id")).cells["x"].tolist() == differ
    # In another order, with rows of their own.
    extra = pd.concat([second.iloc[::-1], second.iloc[[0]].assign(id=99)], ignore_index=True)
    found = changed_rows(first, extra, ("id", "id"))
    assert found.cells["x"].tolist() == differ and list(found.added) == [99] and len(found.removed) == 0
