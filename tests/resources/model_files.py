"""A package that is written for one test, the model files made of its pipeline, and their verification."""

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resources.models import dump_model, verify_model

PACKAGE = "model_shops.parcels"
ABOUT = {"project": "parcels", "subproject": "AA", "code_version": "c" * 64, "run_id": "0199"}
ROWS = pd.DataFrame({"id": [10, 11, 12], "weight": [1.0, 2.0, 4.0]}, index=[7, 8, 9])

PIPELINE = """
import numpy as np
import pandas as pd
from mlops_assets import Config, DataSchema, Parameters, Pipeline

{imports}

class ShopConfig(Config):
    shop: str = "north"

class Params(Parameters):
    factor: float = 2.0

class Parcels(Pipeline[ShopConfig, Params]):
    schema = DataSchema(key="id", target="days", features=["weight"])
    metrics = {{"mae": "min"}}

    def ingest(self, config, window):
        return pd.DataFrame({{"id": [1], "weight": [1.0], "days": [2.0]}})

    def build(self, params, seed):
        return Scale(params.factor)

class Scale:
    def __init__(self, factor):
        self.factor = factor

    def fit(self, X, y):
        return self

    def predict(self, X):
{body}
"""
SCALED = "return X['weight'].to_numpy() * self.factor"
FEATURES = """
SHIFT = 100.0

def f(X):
    return X["weight"].to_numpy() + SHIFT

def adder(shift):
    def add(X):
        return [weight for weight in (X["weight"] + shift)]
    return add
"""

Write = Callable[..., Any]


def pipeline_text(body: str = SCALED, imports: str = "") -> str:
    """The code of a pipeline whose model predicts by ``body``."""
    return PIPELINE.format(imports=imports, body=textwrap.indent(body, " " * 8))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the package into a folder that can be imported from, and gives its pipeline; all is undone afterwards."""
    folder = tmp_path / Path(*PACKAGE.split("."))
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_import(body: str = SCALED, imports: str = "", files: "dict[str, str] | None" = None) -> Any:
        for name, text in {"__init__.py": "", "pipeline.py": pipeline_text(body, imports), **(files or {})}.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(f"{PACKAGE}.pipeline").Parcels()

    yield write_and_import
    for name in [name for name in sys.modules if name.split(".")[0] == "model_shops"]:
        del sys.modules[name]


def model_file(pipeline: Any, factor: float = 2.0) -> bytes:
    return dump_model(trained(pipeline, factor), pipeline, PACKAGE, ABOUT)


def trained(pipeline: Any, factor: float = 2.0) -> Any:
    params = sys.modules[type(pipeline).__module__].Params(factor=factor)
    return pipeline.build(params, 0)


def verify(pipeline: Any) -> None:
    model = trained(pipeline)
    verify_model(model_file(pipeline), PACKAGE, ROWS, pipeline.predict(model, ROWS))
