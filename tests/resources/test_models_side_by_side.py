"""Models of two code versions of one package, each made in its own process, served by one without that package."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INIT = '"""Delays."""\n'
FEATURES = """
from . import shapes

SHIFT = {shift}

def derived(frame):
    return frame.assign(level=shapes.bent(frame["distance"]) + SHIFT)
"""
SHAPES = """
import numpy as np

def bent(values):
    return np.{bend}(values)
"""
TRANSFORMER = """
from sklearn.base import BaseEstimator, TransformerMixin

from .features.derived import derived

class Derive(TransformerMixin, BaseEstimator):
    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y=None):
        self.columns_ = list(X.columns)
        return self

    def transform(self, X):
        return derived(X)[["level"]] * self.scale
"""
PIPELINE = """
import pandas as pd
from mlops_assets import Config, DataSchema, Parameters, Pipeline
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

import delay_shop.delays.transformer

VERSION = {version!r}

class Delays(Pipeline[Config, Parameters]):
    schema = DataSchema(key="id", target="delay", features=["distance"])
    metrics = {{"mae": "min"}}

    def ingest(self, config, window):
        distance = [float(n) for n in range(1, 30)]
        return pd.DataFrame({{"id": range(29), "distance": distance, "delay": [d ** 1.5 for d in distance]}})

    def build(self, params, seed):
        return make_pipeline(delay_shop.delays.transformer.Derive(scale=2.0), LinearRegression())

    def predict(self, model, rows):
        return super().predict(model, rows).assign(made_by=VERSION)
"""
TRAIN = """
import sys
from delay_shop.delays.pipeline import Delays
from resources.models import dump_model, verify_model

pipeline = Delays()
rows = pipeline.ingest(None, None)
model = pipeline.build(None, 0).fit(rows[["distance"]], rows["delay"])
data = dump_model(model, pipeline, "delay_shop.delays", {"project": "delays", "code_version": sys.argv[2]})
verify_model(data, "delay_shop.delays", rows, pipeline.predict(model, rows))
open(sys.argv[1], "wb").write(data)
print(pipeline.predict(model, rows).to_json(double_precision=15))
"""
SERVE = """
import json, sys
from pathlib import Path
import pandas as pd
from resources.models import load_model

rows = pd.DataFrame({"id": range(29), "distance": [float(n) for n in range(1, 30)]})
answers = {}

def answer(when, models):
    for version, model in models.items():
        answers[f"{version} {when}"] = json.loads(model.predict(rows).to_json(double_precision=15))

try:
    import delay_shop.delays
    raise SystemExit("this process can import the project")
except ImportError:
    pass
files = {version: Path(sys.argv[1], version).read_bytes() for version in ("one", "two")}
models = {version: load_model(data) for version, data in files.items()}
answer("without the project", models)
assert not [name for name in sys.modules if name.startswith("delay_shop")]

sys.path.insert(0, sys.argv[2])
import delay_shop.delays.pipeline
assert delay_shop.delays.pipeline.VERSION == "three"
answer("beside a third version", models)
answer("loaded beside a third version", {version: load_model(data) for version, data in files.items()})
assert delay_shop.delays.pipeline.VERSION == "three"
print(json.dumps(answers))
"""


def write_version(root: Path, version: str, shift: float, bend: str) -> Path:
    package = root / version / "delay_shop" / "delays"
    (package / "features").mkdir(parents=True)
    for name, text in {
        "__init__.py": INIT,
        "pipeline.py": PIPELINE.format(version=version),
        "transformer.py": TRANSFORMER,
        "features/__init__.py": INIT,
        "features/derived.py": FEATURES.format(shift=shift),
        "features/shapes.py": SHAPES.format(bend=bend),
    }.items():
        (package / name).write_text(text)
    return root / version


def run_python(code: str, *arguments: object, folder: Path, search: Path | None = None) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    framework = Path(__file__).resolve().parents[2]
    environment["PYTHONPATH"] = os.pathsep.join(str(path) for path in (search, framework) if path is not None)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(180)
def test_two_code_versions_predict_side_by_side_where_the_project_is_not_or_is_another(tmp_path: Path) -> None:
    trained = {}
    for version, shift, bend in (("one", 0.0, "sqrt"), ("two", 5.0, "log")):
        code = write_version(tmp_path, version, shift, bend)
        models = tmp_path / "models"
        models.mkdir(exist_ok=True)
        trained[version] = run_python(TRAIN, models / version, version, folder=tmp_path, search=code)
    third = write_version(tmp_path, "three", -7.0, "square")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    served = run_python(SERVE, models, third, folder=elsewhere)

    assert trained["one"]["prediction"] != trained["two"]["prediction"]
    assert set(trained["one"]["made_by"].values()) == {"one"}
    assert set(trained["two"]["made_by"].values()) == {"two"}
    assert len(served) == 6
    for situation, predictions in served.items():
        assert predictions == trained[situation.split()[0]], situation
