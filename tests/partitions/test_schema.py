"""Which columns of rows are features, wherever they stand."""

import pandas as pd
import pytest

from mlops_assets import DataSchema
from partitions.pipeline import Folds, Split

ROWS = pd.DataFrame({"id": [1, 2], "a": [0.5, 1.5], "b": ["x", "y"], "y": [3.0, 4.0]})


@pytest.mark.parametrize(
    ("features", "columns", "taken"),
    [
        ([], ["id", "a", "b", "y"], ["a", "b"]),
        ([], ["a", "id", "b", "y"], ["a", "b"]),
        (["a", "b"], ["id", "a", "b"], ["a", "b"]),
        (["b", "a"], ["id", "a", "b"], ["b", "a"]),
        (["a", "b"], ["a", "y", "b"], ["a", "b"]),
    ],
)
def test_features_are_taken_in_declared_order(features: list[str], columns: list[str], taken: list[str]) -> None:
    schema = DataSchema(key="id", target="y", features=features)
    pd.testing.assert_frame_equal(schema.features_of(ROWS[columns]), ROWS[taken])


def test_a_feature_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="b"):
        DataSchema(key="id", target="y", features=["a", "b"]).features_of(ROWS[["id", "a"]])


def test_folds_are_a_sequence() -> None:
    folds = Folds(ROWS, [([0], [1]), ([1], [0])])
    assert isinstance(folds[0], Split) and len(folds) == 2
    assert [fold.test["id"].tolist() for fold in folds] == [[2], [1]]
    assert [fold.train["id"].tolist() for fold in folds[1:]] == [[2]]
