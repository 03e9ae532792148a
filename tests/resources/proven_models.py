"""Models of a project of their own in a store, with the rows and results of a run: what the verifier is asked about."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from partitions.schema import DataSchema
from resources.artifacts import Artifact, ArtifactStore
from resources.datasets import DatasetStore
from resources.models import dump_model
from resources.parquet import encode
from resources.proof import Question
from resources.verifier import Verifier
from tests.resources.model_files import SCALED, pipeline_text

PACKAGE = "proven_shops.parcels"
ROWS = pd.DataFrame({"id": [10, 11, 12], "weight": [1.0, 2.0, 4.0], "code": ["a", "b", None]}, index=[7, 8, 9])
EXPECTED = pd.DataFrame({"prediction": [2.0, 4.0, 8.0]})

IMPORTS = "import os, signal, sys, time\nVERSION = {version}"

SCHEMA = DataSchema(key="id", target="days", features=["weight"])

Store = Callable[..., Artifact]
Ask = Callable[..., Question]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: ArtifactStore) -> Iterator[Store]:
    """Writes the project's package anew, and stores a model of it. The package stays importable here."""
    folder = tmp_path / "code" / "proven_shops" / "parcels"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))

    def store_model(body: str = "pass", factor: float = 2.0, version: int = 1) -> Artifact:
        forget()
        (folder / "__init__.py").write_text("")
        (folder / "settings.py").write_text("FACTOR = 2.0\n")
        (folder / "pipeline.py").write_text(pipeline_text(f"{body}\n{SCALED}", IMPORTS.format(version=version)))
        pipeline: Any = importlib.import_module(f"{PACKAGE}.pipeline").Parcels()
        model = pipeline.build(sys.modules[f"{PACKAGE}.pipeline"].Params(factor=factor), 0)
        about = {"project": "parcels", "subproject": "AA", "run_id": f"run-{version}"}
        return store.put(dump_model(model, pipeline, PACKAGE, about), ".model")

    yield store_model
    forget()


@pytest.fixture
def asking(store: ArtifactStore) -> Ask:
    """A question about a model of a run that has stored these rows and, of these keys, these predictions."""

    def question(
        model: Artifact | str,
        expected: pd.DataFrame = EXPECTED,
        rows: pd.DataFrame = ROWS,
        most: int = 1000,
        **outcome: Any,
    ) -> Question:
        snapshot, _ = DatasetStore(store, b"secret").snapshot(rows.assign(days=1.0), SCHEMA, "parcels/AA")
        told = {"key": rows["id"].tolist(), "split": "test", "fold": 0, "truth": 1.0, **outcome}
        results = store.put(encode(expected.assign(**told)), ".parquet")
        uri = model if isinstance(model, str) else model.uri
        return Question(store, "parcels/AA", "run-1", snapshot.data_version, uri, results.uri, most)

    return question


def forget() -> None:
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.split(".")[0] == "proven_shops"]:
        del sys.modules[name]


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    with Verifier() as verifier:
        yield verifier
