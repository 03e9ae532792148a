"""The frame after every step of a fitted model."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion
from sklearn.pipeline import Pipeline as Steps
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mlops_assets.learning.steps import walk
from partitions.errors import PipelineError
from partitions.pipeline import Config, Parameters, Pipeline
from partitions.schema import DataSchema

ROWS = pd.DataFrame(
    {"row": list("abcd"), "x": [1.0, 2.0, 3.0, 4.0], "c": ["u", "v", "u", "v"], "y": [1.0, 2.0, 3.0, 4.5]},
    index=[10, 20, 30, 40],
)


class Plain(Pipeline[Config, Parameters]):
    schema = DataSchema(key="row", target="y", features=("x", "c"))
    metrics = {"rmse": "min"}

    def ingest(self, config: Config, window: Any) -> pd.DataFrame:
        return ROWS

    def build(self, params: Parameters, seed: int) -> Any:
        return None


class Doubling(Plain):
    """Its predict makes something of the rows first."""

    def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        doubled = rows.assign(x=2 * rows["x"])
        return pd.DataFrame({"prediction": model.predict(doubled[["x", "c"]]) + 100.0}, index=rows.index)


def columns() -> ColumnTransformer:
    return ColumnTransformer([("one", OneHotEncoder(sparse_output=False), ["c"]), ("scale", StandardScaler(), ["x"])])


def fitted(*steps: tuple[str, Any]) -> Steps:
    model = Steps(list(steps))
    model.fit(ROWS[["x", "c"]], ROWS["y"])
    return model


def given() -> pd.DataFrame:
    return ROWS.drop(columns="y")


def test_every_step_has_its_frame_with_names_and_the_index_of_the_rows() -> None:
    model = fitted(("columns", columns()), ("scale", StandardScaler()), ("nothing", "passthrough"), ("ridge", Ridge()))
    walked = walk(Plain(), model, given())
    assert list(walked.steps) == ["columns", "scale", "nothing", "ridge"]
    assert list(walked.given.columns) == ["x", "c"]
    assert list(walked.steps["columns"].columns) == ["one__c_u", "one__c_v", "scale__x"]
    # The scaler was fitted on an array, and names what it is given by the names of the step before.
    assert list(walked.steps["scale"].columns) == list(walked.steps["columns"].columns)
    assert all(frame.index.equals(ROWS.index) for frame in walked.steps.values())
    expected = model.predict(ROWS[["x", "c"]])
    assert (walked.steps["ridge"]["prediction"].to_numpy() == expected).all()
    pd.testing.assert_frame_equal(walked.steps["nothing"], walked.steps["scale"])


def test_a_step_that_works_in_place_does_not_change_the_frames_before_it() -> None:
    wide = FunctionTransformer(lambda rows: rows[["x"]].to_numpy())
    model = fitted(("numbers", wide), ("scale", StandardScaler(copy=False)), ("ridge", Ridge()))
    rows = given()
    walked = walk(Plain(), model, rows)
    assert walked.steps["numbers"].iloc[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert rows["x"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_unions_sparse_matrices_and_names_are_shown() -> None:
    text = Steps([("pick", FunctionTransformer(lambda rows: rows["c"])), ("count", CountVectorizer(analyzer="char"))])
    number = FunctionTransformer(lambda rows: rows[["x"]], feature_names_out=lambda self, names: ["x"])
    model = fitted(("union", FeatureUnion([("text", text), ("number", number)])), ("ridge", Ridge()))
    frame = walk(Plain(), model, given()).steps["union"]
    assert frame.shape == (4, 3)
    assert frame.astype("float64").to_numpy()[:, 2].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_the_way_is_the_one_that_predict_takes() -> None:
    model = fitted(("columns", columns()), ("ridge", Ridge()))
    walked = walk(Doubling(), model, given())
    assert walked.given["x"].tolist() == [2.0, 4.0, 6.0, 8.0]
    expected = Doubling().predict(model, given())
    assert walked.steps["ridge"].equals(expected)
    plain = walk(Plain(), model, given()).steps["columns"]
    assert (walked.steps["columns"]["scale__x"] > plain["scale__x"]).all()


class Slots:
    """An estimator that takes no attributes."""

    __slots__ = ()

    def predict(self, X: pd.DataFrame) -> Any:
        return X["x"].to_numpy()


def test_an_estimator_that_is_no_pipeline_is_one_step() -> None:
    for model in (Ridge().fit(ROWS[["x"]], ROWS["y"]), Slots()):
        pipeline = type("OnlyX", (Plain,), {"schema": DataSchema(key="row", target="y", features=("x",))})()
        walked = walk(pipeline, model, given())
        assert list(walked.steps) == ["model"] and list(walked.given.columns) == ["x"]
        assert (walked.steps["model"]["prediction"].to_numpy() == model.predict(ROWS[["x"]])).all()


def test_classes_come_with_their_probabilities() -> None:
    schema = DataSchema(key="row", target="c", features=("x",), task="classification")
    pipeline = type("Classes", (Plain,), {"schema": schema})()
    model = Steps([("scale", StandardScaler()), ("classes", LogisticRegression())]).fit(ROWS[["x"]], ROWS["c"])
    walked = walk(pipeline, model, ROWS.drop(columns="c"))
    assert list(walked.steps["classes"].columns) == ["prediction", "probability_u", "probability_v"]
    assert list(walked.steps["scale"].columns) == ["x"]
    assert np.allclose(walked.steps["classes"].iloc[:, 1:].sum(axis=1), 1.0)


def test_a_predict_that_breaks_the_contract_is_refused() -> None:
    class Short(Plain):
        def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
            return super().predict(model, rows).head(1)

    with pytest.raises(PipelineError, match="1 predictions for 4 rows"):
        walk(Short(), fitted(("columns", columns()), ("ridge", Ridge())), given())
