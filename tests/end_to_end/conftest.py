"""A small project on disk, used as a person would: by the command line and Dagster, in processes of their own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PIPELINE = '''
"""Rows that are made: y = slope * x + noise. A subproject's trouble travels with its rows to where it strikes."""

import os

import numpy as np
import pandas as pd
from mlops_assets import Config, DataSchema, Parameters, Pipeline, Window

TROUBLES = {"": 0, "fit": 1, "exit": 2}


class LineConfig(Config):
    slope: float = 1.0
    trouble: str = ""


class Params(Parameters):
    alpha: float = 1.0


class Ridge:
    """Ridge regression in four lines: a project that imports little starts fast."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def fit(self, X, y):
        if (X["trouble"] == 1).any():
            raise ValueError("this subproject cannot be fitted")
        if (X["trouble"] == 2).any():
            os._exit(3)
        x = X.to_numpy(dtype=float)
        self.weights = np.linalg.solve(x.T @ x + self.alpha * np.eye(x.shape[1]), x.T @ y.to_numpy())
        return self

    def predict(self, X):
        return X.to_numpy(dtype=float) @ self.weights


class Lines(Pipeline[LineConfig, Params]):
    schema = DataSchema(key="row", target="y", features=("x", "z", "trouble"), private=("owner",))
    metrics = {"rmse": "min", "mae": "min"}

    def ingest(self, config: LineConfig, window: Window | None) -> pd.DataFrame:
        if config.trouble == "ingest":
            raise RuntimeError("the source is not there")
        random = np.random.default_rng(0)
        x, z = random.normal(size=(2, 120))
        y = config.slope * x + 0.1 * random.normal(size=120)
        owner = [f"secret-owner-{number}" for number in range(120)]
        rows = pd.DataFrame({"row": [f"r{i}" for i in range(120)], "x": x, "z": z, "y": y, "owner": owner})
        return rows.assign(trouble=TROUBLES.get(config.trouble, 0))

    def expectations(self, config: LineConfig) -> list[object]:
        if config.trouble != "expectation":
            return []
        limits = {"column": "x", "min_value": 0.0}
        return [{"type": "expect_column_values_to_be_between", "kwargs": limits, "severity": "error"}]

    def build(self, params: Params, seed: int) -> Ridge:
        return Ridge(alpha=params.alpha)

    def baseline(self, params: Params, seed: int) -> Ridge:
        return Ridge(alpha=1e9)
'''

PROJECT = """
from mlops_assets import Float, Project, SearchSpace, Subproject

from lines.pipeline import LineConfig, Lines

SLOPES = {slopes}
TROUBLES = {troubles}

project = Project(
    name="lines",
    pipeline=Lines(),
    subprojects=[
        Subproject(key=key, config=LineConfig(slope=slope, trouble=TROUBLES.get(key, "")), tags={{"kind": key[0]}})
        for key, slope in SLOPES.items()
    ],
    search_space=SearchSpace(alpha=Float(0.01, 10.0, log=True)),
)
"""

DEFINITIONS = """
from mlops_assets import build_definitions

from lines.project import project

defs = build_definitions(project)
"""


@dataclass
class ProjectFolder:
    """A project in a folder of its own with a home of its own."""

    path: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.path / ".mlops"

    @property
    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
        own = {"MLOPS_HOME": str(self.home), "DAGSTER_HOME": str(self.home / "dagster"), "COLUMNS": "250"}
        batches = {"DAGSTER_EVENT_BATCH_SIZE": "1000", "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true"}
        return {**clean, **own, **batches, "MLOPS_BACKEND": "processes", **self.settings}

    def write(self, file: str, text: str) -> None:
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def declare(self, slopes: dict[str, float], troubles: dict[str, str] | None = None) -> None:
        self.write("lines/project.py", PROJECT.format(slopes=slopes, troubles=troubles or {}))

    def python(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def mlops(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "mlops_assets.cli.app", *arguments, check=check)

    def json(self, *arguments: str, check: bool = True) -> Any:
        return json.loads(self.mlops(*arguments, "--json", check=check).stdout)

    def refused(self, *arguments: str) -> str:
        """The one line that a refused command prints; exit code 1 and nothing on stdout's side of tracebacks."""
        done = self.mlops(*arguments, check=False)
        assert done.returncode == 1, f"{arguments} ended with {done.returncode}: {done.stdout} {done.stderr}"
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
        return lines[0]

    def materialize(self, select: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ("-m", "dagster", "asset", "materialize", "-m", "lines.definitions", "--select", select)
        return self.python(*command, *arguments, check=check)


@pytest.fixture
def folder(tmp_path: Path) -> ProjectFolder:
    """The project ``lines`` with subprojects a and b, not applied yet."""
    made = ProjectFolder(tmp_path)
    made.write("workspace.yaml", "load_from:\n  - python_module:\n      module_name: lines.definitions\n")
    made.write("lines/__init__.py", '"""Lines."""\n')
    made.write("lines/pipeline.py", PIPELINE)
    made.write("lines/definitions.py", DEFINITIONS)
    made.declare({"a": 1.0, "b": -2.0})
    return made
