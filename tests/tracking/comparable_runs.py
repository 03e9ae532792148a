"""A project on disk whose code, rows and troubles can be changed between runs, opened in this process."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.opened_project import OpenedProject, open_project
from mlops_assets.tracking.compare.compared_runs import Sources
from mlops_assets.tracking.compare.comparison import Comparison, compare
from mlops_assets.tracking.record import RunRecord, new_run_id

PIPELINE = """
import os

import numpy as np
import pandas as pd
from mlops_assets import Config, DataSchema, Parameters, Pipeline, Window


class RiverConfig(Config):
    source: str = "rows.parquet"


class Params(Parameters):
    alpha: float = 1.0


class Ridge:
    def __init__(self, alpha):
        self.alpha = alpha

    def fit(self, X, y):
        if (X["level"] > 1e6).any():
            raise ValueError("the level cannot be that high")
        x = self._numbers(X)
        self.weights = np.linalg.solve(x.T @ x + self.alpha * np.eye(x.shape[1]), x.T @ y.to_numpy())
        return self

    def predict(self, X):
        return self._numbers(X) @ self.weights

    def _numbers(self, X):
        return np.column_stack([X[["level", "rain"]].to_numpy(dtype=float), np.ones(len(X))])


class Rivers(Pipeline[RiverConfig, Params]):
    schema = DataSchema(
        key="row", target="flow", time="time", features=("level", "rain", "region"), private=("owner",)
    )
    metrics = {"rmse": "min", "mae": "min", "r2": "max", "bias": "zero"}

    def ingest(self, config: RiverConfig, window: Window | None) -> pd.DataFrame:
        return pd.read_parquet(os.path.join(os.environ["RIVERS"], config.source))

    def build(self, params: Params, seed: int) -> Ridge:
        return Ridge(params.alpha)
"""
PROJECT = """
from mlops_assets import Project, Subproject

from rivers.pipeline import RiverConfig, Rivers

project = Project(
    name="rivers",
    pipeline=Rivers(),
    subprojects=[Subproject(key="a"), Subproject(key="b", config=RiverConfig(source="other.parquet"))],
    not_code=("*.md", "data/**"),
)
"""


def rows(number: int = 400, seed: int = 0) -> pd.DataFrame:
    """Flow follows level and rain; in the region "delta" twice as much as elsewhere."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "row": [f"r{at:05d}" for at in range(number)],
            "time": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(number), unit="h"),
            "level": random.uniform(0, 10, number),
            "rain": random.uniform(0, 5, number),
            "region": random.choice(["delta", "hills", "plain"], number),
            "owner": [f"secret-owner-{at}" for at in range(number)],
        }
    )
    slope = np.where(frame["region"] == "delta", 4.0, 2.0)
    frame["flow"] = slope * frame["level"] + frame["rain"] + random.normal(0, 0.5, number)
    return frame


@dataclass
class Rivers:
    """The project in its folder. ``open`` imports its files as they are now."""

    path: Path

    def write(self, file: str, text: str) -> None:
        (self.path / file).write_text(text)

    def code(self, *changes: tuple[str, str]) -> None:
        """The pipeline as above, with these texts replaced."""
        text = PIPELINE
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.write("rivers/pipeline.py", text)

    def data(self, frame: pd.DataFrame, file: str = "rows.parquet") -> None:
        frame.to_parquet(self.path / "source" / file)

    def open(self) -> OpenedProject:
        forget()
        return open_project("rivers.project", home=self.path / "home")

    def run(self, subproject: str = "a", **fields: Any) -> RunRecord:
        """One dev run of the code and, with ``fresh=True``, the data as they are now."""
        p = self.open()
        if fields.pop("fresh", False):
            return p.train([subproject], fields=fields)[0]
        return p.run(subproject, **{"seed": 1, **fields})[0]

    def compared(self, *records: RunRecord, **options: Any) -> Comparison:
        """Compared as records: what is not in the event log can be compared too."""
        p = self.open()
        return compare(records, Sources.of(p.home, p.project), **options)


def new_project(folder: Path) -> Rivers:
    """The project's files and rows in a folder; nothing is run yet."""
    made = Rivers(folder)
    for name in ("rivers", "source"):
        (folder / name).mkdir(parents=True)
    made.write("rivers/__init__.py", '"""Rivers."""\n')
    made.write("rivers/project.py", PROJECT)
    made.code()
    made.data(rows())
    made.data(rows(seed=1), "other.parquet")
    return made


@contextmanager
def at_work(folder: Path) -> Iterator[Rivers]:
    """The project in this folder, as it is used from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("MLOPS_BACKEND", "inline")
        patch.setenv("RIVERS", str(folder / "source"))
        for name in ("MLOPS_HOME", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        yield Rivers(folder)
        forget()


def run_once(folder: Path) -> RunRecord:
    """A project in this folder with one run of subproject a, seed 1: what most comparisons begin with.

    Copied for every test, it saves each the making of a home.
    """
    new_project(folder)
    with at_work(folder) as rivers:
        return rivers.run()


def forget() -> None:
    for name in [name for name in sys.modules if name == "rivers" or name.startswith("rivers.")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    folder = tmp_path_factory.mktemp("once") / "project"
    return folder, run_once(folder)


@pytest.fixture
def first(once: tuple[Path, RunRecord]) -> RunRecord:
    """The run that is there already: the code, the rows and the parameters as they are at first, seed 1."""
    return once[1]


@pytest.fixture
def rivers(once: tuple[Path, RunRecord], tmp_path: Path) -> Iterator[Rivers]:
    shutil.copytree(once[0], tmp_path / "project")
    with at_work(tmp_path / "project") as made:
        yield made


def lines(table: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(name): value for name, value in line.items()} for line in table.to_dict("records")]


def changed(table: pd.DataFrame) -> dict[str, str]:
    return {str(line["field"]): str(line["change"]) for line in lines(table) if line["change"] != "same"}


def again(record: RunRecord, **fields: object) -> RunRecord:
    return record.model_copy(update={"run_id": new_run_id(), **fields})
