"""Model files: what they hold, and what is loaded from them."""

import importlib
import pickle
import sys

import pandas as pd
import pytest

from resources.models import dump_model, environment_of, load_model, read_header
from tests.resources.model_files import ABOUT, FEATURES, PACKAGE, ROWS, Write, model_file, trained, verify
from tests.resources.model_files import write as write


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


FLAT = {"features.py": FEATURES}


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
