"""Pickling by value: what a function may reach of the modules it names."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cloudpickle.cloudpickle
import pytest

from resources.model_pickle import imported_submodules, pickle_by_value

MODULES = ["concurrent.futures", "xml.etree.ElementTree", "xml.dom.minidom", "numpy.linalg", "os.path"]


def one(concurrent: Any, xml: Any) -> Any:
    return concurrent.futures.ThreadPoolExecutor, xml.etree.ElementTree


def another(np: Any) -> Any:
    return np.linalg.norm, np.random.default_rng, np.nothing


def none() -> int:
    return 1


@pytest.mark.parametrize("function", [one, another, none])
def test_submodules_are_those_that_cloudpickle_finds(function: Callable[..., Any]) -> None:
    loaded = [importlib.import_module(name) for name in MODULES]
    named: list[Any] = [*map(importlib.import_module, ("concurrent", "xml", "numpy", "os")), 3, "text", len]
    found = imported_submodules(function.__code__, named)
    expected = cloudpickle.cloudpickle._find_imported_submodules(function.__code__, named)
    assert loaded and {module.__name__ for module in found} == {module.__name__ for module in expected}
    assert all(isinstance(module, ModuleType) for module in found)


def test_a_module_imported_later_is_found_too() -> None:
    assert pickle_by_value(one, "").payload
    late = importlib.import_module("xml.sax.saxutils")
    assert late in imported_submodules((lambda xml: xml.sax.saxutils).__code__, [importlib.import_module("xml")])
