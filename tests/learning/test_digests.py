import pandas as pd
import pytest

from mlops_assets.learning.digests import predictions_digest, results_digests

RESULTS = pd.DataFrame(
    {
        "key": ["a", "b", "c"],
        "split": ["train", "train", "test"],
        "truth": [1.0, 2.0, 3.0],
        "prediction": [1.5, 0.0, 3.5],
        "probability_x": [0.1, 0.2, 0.3],
    }
)


@pytest.mark.parametrize(
    "same",
    [
        RESULTS.iloc[::-1],
        RESULTS.assign(truth=0.0),
        RESULTS.assign(split=RESULTS["split"].astype("category"), key=RESULTS["key"].astype("category")),
        RESULTS.assign(key=RESULTS["key"].astype(object), prediction=RESULTS["prediction"].astype("float32")),
        RESULTS.assign(key=pd.Categorical(["a", "b", "c"], categories=["c", "b", "a"])),
        RESULTS.assign(prediction=[1.5, -0.0, 3.5]),
    ],
)
def test_order_and_storage_do_not_change_the_digest(same: pd.DataFrame) -> None:
    assert predictions_digest(same) == predictions_digest(RESULTS)


@pytest.mark.parametrize(
    "other",
    [
        RESULTS.assign(prediction=[1.5, 0.0, 3.5 + 4e-16]),
        RESULTS.assign(probability_x=[0.1, 0.2, 0.4]),
        RESULTS.assign(key=["a", "b", "d"]),
        RESULTS.assign(split=["train", "test", "test"]),
        RESULTS.iloc[:2],
    ],
)
def test_one_changed_value_changes_the_digest(other: pd.DataFrame) -> None:
    assert predictions_digest(other) != predictions_digest(RESULTS)


def test_the_split_digest_sees_only_keys_and_their_part() -> None:
    assert results_digests(RESULTS.assign(prediction=0.0)).split == results_digests(RESULTS).split
    assert results_digests(RESULTS.assign(split="train")).split != results_digests(RESULTS).split


def test_text_keys_cannot_be_shifted_into_each_other() -> None:
    first = RESULTS.assign(key=['a","b', "c", "d"])
    second = RESULTS.assign(key=["a", 'b","c', "d"])

    assert results_digests(first).split != results_digests(second).split


def test_times_are_the_same_moment_in_every_zone_and_unit() -> None:
    times = pd.to_datetime(["2013-01-01", "2013-01-02", "2013-01-03"])
    utc = RESULTS.assign(key=times.tz_localize("UTC").as_unit("us"))
    elsewhere = RESULTS.assign(key=times.tz_localize("UTC").tz_convert("America/New_York").as_unit("ns"))

    assert results_digests(utc).split == results_digests(elsewhere).split
