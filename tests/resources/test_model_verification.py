"""What verifying a model file finds out: late imports, other predictions, state outside of the model."""

import importlib
import sys

import pandas as pd
import pytest

from partitions.errors import PipelineError
from resources.models import dump_model, load_model, verify_model
from tests.resources.model_files import ABOUT, FEATURES, PACKAGE, ROWS, SCALED, Write, model_file, trained, verify
from tests.resources.model_files import write as write

LATE = {"late.py": FEATURES}


@pytest.mark.parametrize(
    "late",
    [
        "from . import late",
        "from .late import f",
        f"import {PACKAGE}.late",
        f"from {PACKAGE} import late",
        "from model_shops import parcels",
        f"import importlib; importlib.import_module('{PACKAGE}.late')",
        "[__import__('model_shops.parcels.late') for _ in range(1)]",
    ],
)
@pytest.mark.parametrize("already_imported", [True, False])
def test_a_late_import_is_caught_and_named(write: Write, late: str, already_imported: bool) -> None:
    pipeline = write(body=f"{late}\n{SCALED}", files=LATE)
    if already_imported:
        importlib.import_module(f"{PACKAGE}.late")
    with pytest.raises(PipelineError, match="inside a function") as caught:
        verify(pipeline)
    assert PACKAGE in str(caught.value)
    assert "at the top of the module" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sys.modules[f"{PACKAGE}.pipeline"].Parcels is type(pipeline)


def test_a_late_import_whose_failure_the_code_hides_is_caught_too(write: Write) -> None:
    body = f"try:\n    from .late import f\nexcept ImportError:\n    pass\n{SCALED}"
    with pytest.raises(PipelineError, match=r"model_shops\.parcels\.late"):
        verify(write(body=body, files=LATE))


def test_a_late_import_of_other_packages_is_allowed(write: Write) -> None:
    verify(write(body="import json, scipy.special\nreturn scipy.special.expit(X['weight'])"))


@pytest.mark.parametrize(
    "late",
    [
        "from .late import f",
        "def f(X):\n    from . import late\n    return late.f(X)",
        "f = lambda X: __import__('model_shops.parcels.late', fromlist=['f']).f(X)",
    ],
)
def test_a_served_model_never_takes_a_late_import_from_another_version(write: Write, late: str) -> None:
    pipeline = write(body=f"{late}\nreturn f(X)", files=LATE)
    loaded = load_model(model_file(pipeline))
    assert pipeline.predict(trained(pipeline), ROWS)["prediction"].tolist() == [101.0, 102.0, 104.0]
    with pytest.raises(ModuleNotFoundError, match="inside a function"):
        loaded.predict(ROWS)


def test_other_predictions_than_in_memory_are_told(write: Write) -> None:
    pipeline = write()
    expected = pipeline.predict(trained(pipeline), ROWS)
    data = model_file(pipeline, factor=2.0 + 1e-15 * 4)
    with pytest.raises(PipelineError, match="'prediction' differs in 3 of 3 rows"):
        verify_model(data, PACKAGE, ROWS, expected)
    with pytest.raises(PipelineError, match="is float64 instead of float32"):
        verify_model(data, PACKAGE, ROWS, expected.astype("float32"))
    with pytest.raises(PipelineError, match="another index"):
        verify_model(data, PACKAGE, ROWS, expected.reset_index(drop=True))
    with pytest.raises(PipelineError, match="columns"):
        verify_model(data, PACKAGE, ROWS, expected.assign(probability_1=0.5))


def test_state_that_the_code_keeps_outside_the_model_is_found_out(write: Write) -> None:
    pipeline = write(imports="SEEN = {}", body="return X['weight'].to_numpy() + SEEN['shift']")
    data = model_file(pipeline)
    sys.modules[f"{PACKAGE}.pipeline"].SEEN["shift"] = 1.0
    with pytest.raises(PipelineError, match="parcels/AA .*raised KeyError.*though the model in memory"):
        verify_model(data, PACKAGE, ROWS, pipeline.predict(trained(pipeline), ROWS))


CARELESS = """
from .pipeline import Parcels

class Careless(Parcels):
    def predict(self, model, rows):
        rows["weight"] = 1.0
        return rows
"""


def test_rows_are_not_changed_by_verifying(write: Write) -> None:
    write(files={"careless.py": CARELESS})
    pipeline = importlib.import_module(f"{PACKAGE}.careless").Careless()
    data = dump_model(None, pipeline, PACKAGE, ABOUT)
    rows = ROWS.copy()
    verify_model(data, PACKAGE, rows, ROWS.assign(weight=1.0))
    pd.testing.assert_frame_equal(rows, ROWS)
