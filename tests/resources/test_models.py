"""Model files: what they hold, what is refused before anything in them runs, and what the verifier finds out."""

import importlib
import pickle
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from partitions.errors import ArtifactError, PipelineError
from resources.models import (
    MAGIC,
    dump_model,
    environment_of,
    load_model,
    read_header,
    verify_model,
)

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

Write = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the package into a folder that can be imported from, and gives its pipeline; all is undone afterwards."""
    folder = tmp_path / Path(*PACKAGE.split("."))
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_import(body: str = SCALED, imports: str = "", files: "dict[str, str] | None" = None) -> Any:
        pipeline = PIPELINE.format(imports=imports, body=textwrap.indent(body, " " * 8))
        for name, text in {"__init__.py": "", "pipeline.py": pipeline, **(files or {})}.items():
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


def test_a_loaded_model_predicts_what_the_model_in_memory_does(write: Write) -> None:
    pipeline = write()
    loaded = load_model(model_file(pipeline, factor=3.0))
    pd.testing.assert_frame_equal(loaded.predict(ROWS), pipeline.predict(trained(pipeline, 3.0), ROWS))
    assert loaded.header.project == "parcels"
    assert loaded.header.code_version == "c" * 64


def test_the_header_is_read_without_running_anything_and_names_the_packages_used(write: Write) -> None:
    header = read_header(model_file(write(body="return np.asarray(X['weight'])")))
    assert header.about == ABOUT
    assert header.package == PACKAGE
    assert header.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert header.environment["numpy"] == importlib.import_module("numpy").__version__
    assert {"pandas", "cloudpickle"} <= header.environment.keys()
    assert "mlops-assets" not in header.environment
    assert "pytest" not in header.environment


def test_the_environment_of_a_model_is_what_its_pickle_refers_to() -> None:
    from sklearn.linear_model import LinearRegression

    environment = environment_of(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
    assert {"scikit-learn", "numpy"} <= environment.keys()
    assert "pandas" not in environment


def test_parameters_configuration_and_default_methods_work_in_the_loaded_pipeline(write: Write) -> None:
    pipeline = load_model(model_file(write())).pipeline
    module = sys.modules[f"{PACKAGE}.pipeline"]
    assert type(pipeline).__name__ == "Parcels"
    assert type(pipeline) is not module.Parcels
    assert pipeline.ingest(None, None)["days"].tolist() == [2.0]
    from partitions.errors import DeclarationError

    params = vars(type(pipeline))["__orig_bases__"][0].__args__[1]
    assert params(factor=4.0).model_dump() == {"split": {"method": "auto", "test_size": 0.25}, "factor": 4.0}
    with pytest.raises(DeclarationError, match="factor"):
        params(factor="much")


def test_loading_leaves_the_imported_package_as_it_is(write: Write) -> None:
    pipeline = write()
    data, before = model_file(pipeline), dict(vars(type(pipeline)))
    modules = {name: module for name, module in sys.modules.items() if name.startswith("model_shops")}
    load_model(data)
    verify(pipeline)
    assert dict(vars(type(pipeline))) == before
    assert {name: module for name, module in sys.modules.items() if name.startswith("model_shops")} == modules


def test_pickling_by_value_ends_with_the_dump(write: Write) -> None:
    import cloudpickle

    pipeline = write()
    model_file(pipeline)
    assert cloudpickle.list_registry_pickle_by_value() == set()
    assert b"model_shops.parcels.pipeline" in pickle.dumps(pipeline)


def test_a_loaded_model_can_be_stored_again(write: Write) -> None:
    loaded = load_model(model_file(write(*WAYS["module"][1::-1], FLAT)))
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]
    again = load_model(dump_model(loaded.model, loaded.pipeline, PACKAGE, ABOUT))
    assert again.predict(ROWS)["prediction"].tolist() == [101.0, 102.0, 104.0]


FEATURES = """
SHIFT = 100.0

def f(X):
    return X["weight"].to_numpy() + SHIFT

def adder(shift):
    def add(X):
        return [weight for weight in (X["weight"] + shift)]
    return add
"""
FLAT = {"features.py": FEATURES}
LATE = {"late.py": FEATURES}
DEEP = {
    "features/lags.py": "from . import base\n\ndef f(X):\n    return base.shift(X)\n",
    "features/base.py": "from . import lags\n\ndef shift(X):\n    return lags.f and X['weight'].to_numpy() + 100.0\n",
}
CACHED = "import functools\n@functools.cache\ndef shift(n):\n    return 0.0 if n == 0 else shift(n - 1) + 50.0"
ENUM = "import enum\nclass Shift(enum.Enum):\n    FAR = 100.0"
DATACLASS = "from dataclasses import dataclass, replace\n@dataclass(frozen=True)\nclass Shift:\n    by: float = 1.0"
ADDED = "return X['weight'].to_numpy() + "
WAYS: dict[str, tuple[str, str, dict[str, str]]] = {
    "function": ("from .features import f", "return f(X)", FLAT),
    "module": ("from . import features", "return features.f(X)", FLAT),
    "dotted name": (f"import {PACKAGE}.features", f"return {PACKAGE}.features.f(X)", FLAT),
    "renamed module": (f"import {PACKAGE}.features as renamed", "return renamed.f(X)", FLAT),
    "nested modules that know each other": ("from .features import lags", "return lags.f(X)", DEEP),
    "module of a package": (
        "from . import features",
        "return features.lags.f(X)",
        {"features/__init__.py": "from . import lags", **DEEP},
    ),
    "star": ("from .features import *", "return f(X)", {"features/__init__.py": "from .lags import f", **DEEP}),
    "lambda": ("shift = 100.0\nadd = lambda X: X['weight'].to_numpy() + shift", "return add(X)", {}),
    "closure": ("from .features import adder", "return adder(100.0)(X)", FLAT),
    "cached function": (CACHED, f"{ADDED} shift(2)", {}),
    "enum": (ENUM, f"assert Shift(100.0) is Shift.FAR\n{ADDED} Shift.FAR.value", {}),
    "dataclass": (DATACLASS, f"{ADDED} replace(Shift(), by=100.0).by", {}),
}


@pytest.mark.parametrize(("imports", "body", "files"), WAYS.values(), ids=WAYS)
def test_whatever_way_code_is_imported_at_module_level_it_is_in_the_file(
    write: Write, imports: str, body: str, files: dict[str, str]
) -> None:
    pipeline = write(imports=imports, body=body, files=files)
    verify(pipeline)
    assert load_model(model_file(pipeline)).predict(ROWS)["prediction"].tolist() == [101.0, 102.0, 104.0]


def test_the_file_holds_only_the_modules_that_predicting_needs(write: Write) -> None:
    pipeline = write(
        imports=f"import {PACKAGE}.features",
        body=f"return {PACKAGE}.features.f(X)",
        files={**FLAT, "project.py": "SUBPROJECTS = 'only known to the project file'"},
    )
    importlib.import_module(f"{PACKAGE}.project")
    assert b"only known to the project file" not in model_file(pipeline)


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


NAMED = """
class Any:
    def __reduce__(self):
        return "ANY"

ANY = Any()
"""


def test_an_object_stored_by_its_name_only_is_refused(write: Write) -> None:
    data = model_file(write(imports=NAMED, body="return X['weight'].to_numpy() if ANY else None"))
    with pytest.raises(ArtifactError, match=r"model_shops\.parcels\.pipeline\.ANY is stored by its name only"):
        load_model(data)


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


def test_what_cannot_be_stored_is_said_in_one_line(write: Write) -> None:
    pipeline = write(imports="import threading\nLOCK = threading.Lock()", body="return LOCK and X['weight'].to_numpy()")
    with pytest.raises(PipelineError, match="Parcels: the model cannot be stored .*lock") as caught:
        model_file(pipeline)
    assert "\n" not in str(caught.value)


def test_a_pipeline_from_outside_the_package_is_refused(write: Write) -> None:
    pipeline = write()
    with pytest.raises(PipelineError, match=r"model_shops\.parcels\.pipeline, outside the package other"):
        dump_model(trained(pipeline), pipeline, "other", ABOUT)


class Bomb:
    """Unpickling this would be noticed."""

    exploded = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode, ()


def _explode() -> None:
    Bomb.exploded = True


def assert_refused_before_unpickling(data: bytes, match: str) -> None:
    Bomb.exploded = False
    with pytest.raises(ArtifactError, match=match) as caught:
        load_model(data)
    assert "\n" not in str(caught.value)
    assert not Bomb.exploded


@pytest.fixture
def armed(write: Write) -> bytes:
    """A good model file in which unpickling leaves a trace."""
    pipeline = write()
    data = dump_model(Bomb(), pipeline, PACKAGE, ABOUT)
    Bomb.exploded = False
    load_model(data)
    assert Bomb.exploded
    return data


def test_a_tampered_byte_is_refused_wherever_it_is(armed: bytes) -> None:
    places = [*range(0, 200, 7), *range(200, len(armed), max(1, len(armed) // 60)), len(armed) - 1]
    for place in places:
        tampered = armed[:place] + bytes([armed[place] ^ 1]) + armed[place + 1 :]
        assert_refused_before_unpickling(tampered, "damaged|not a model file|format")


def test_a_file_cut_off_or_with_more_at_its_end_is_refused(armed: bytes) -> None:
    for length in (0, 5, len(MAGIC), 60, 85, 300, len(armed) // 2, len(armed) - 1):
        assert_refused_before_unpickling(armed[:length], "cut off|not a model file")
    assert_refused_before_unpickling(armed + b"x", "cut off or damaged")


def test_another_file_is_refused() -> None:
    assert_refused_before_unpickling(pickle.dumps(Bomb()), "not a model file")


def test_another_format_is_refused(armed: bytes) -> None:
    later = armed.replace(MAGIC + b"1 ", MAGIC + b"2 ", 1)
    assert_refused_before_unpickling(later, "format 2: this version of mlops-assets reads format 1")


def test_another_python_minor_version_is_refused(armed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.models._python", lambda: "3.12")
    assert_refused_before_unpickling(armed, r"parcels/AA \(run 0199\) was made with Python 3\.\d+, this is 3\.12")


@contextmanager
def installed(versions: dict[str, str | None]) -> Iterator[None]:
    """As in a process in which these packages are installed in these versions, or not at all."""
    from importlib import metadata

    from resources import models

    real = metadata.version

    def version(name: str) -> str:
        found = versions[name] if name in versions else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    models._version.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as elsewhere:
            elsewhere.setattr(metadata, "version", version)
            yield
    finally:
        models._version.cache_clear()


def test_another_version_of_a_package_is_refused(write: Write) -> None:
    from importlib import metadata

    pipeline = write(body="return np.asarray(X['weight'])")
    with installed({"numpy": "1.0.0", "pandas": "0.1"}):
        data = dump_model([Bomb(), trained(pipeline)], pipeline, PACKAGE, ABOUT)
    here = metadata.version("numpy")
    assert_refused_before_unpickling(data, rf"made with numpy 1\.0\.0 \(here {here}\), pandas 0\.1 \(here ")


def test_a_package_that_is_not_installed_is_refused(armed: bytes) -> None:
    with installed({"pandas": None}):
        assert_refused_before_unpickling(armed, r"pandas \S+ \(here not installed\): install")


def test_code_that_is_neither_in_the_file_nor_here_is_said(write: Write, tmp_path: Path) -> None:
    (tmp_path / "model_neighbours.py").write_text("def f(X):\n    return X['weight'].to_numpy()\n")
    data = model_file(write(imports="from model_neighbours import f", body="return f(X)"))
    (tmp_path / "model_neighbours.py").unlink()
    del sys.modules["model_neighbours"]
    importlib.invalidate_caches()
    with pytest.raises(ArtifactError, match="parcels/AA .*cannot be loaded here: .*'model_neighbours'"):
        load_model(data)
