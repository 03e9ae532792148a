"""The state of a run: time to open, to the first part, to the first prediction; where two runs part; a replay.

    python bench/state.py [--short]

A project of one subproject with a scikit-learn pipeline of four steps, made in a folder of its own; real runs. Times
from a new process are taken with everything imported that ``open_project`` imports, and nothing else: the first
prediction pays for pandas and scikit-learn. Floors: the same file read by the bare library in a process of its own.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = '''
"""Rows that are made."""

from typing import Any

from mlops_assets import Config, DataSchema, Parameters, Pipeline

ROWS = {rows}


class Params(Parameters):
    max_iter: int = 50
    scaled: bool = True


class Waves(Pipeline[Config, Params]):
    schema = DataSchema(key="row", target="y", features=("a", "b", "c", "d", "e", "f", "g", "kind"))
    metrics = {{"rmse": "min", "mae": "min"}}

    def ingest(self, config: Config, window: Any) -> Any:
        import numpy as np
        import pandas as pd

        random = np.random.default_rng(0)
        rows = pd.DataFrame(random.normal(size=(ROWS, 7)), columns=list("abcdefg"))
        rows["kind"] = random.choice(["x", "y", "z"], ROWS)
        rows["y"] = rows["a"] * 2 + rows["b"] ** 2 + random.normal(size=ROWS)
        return rows.assign(row=[f"r{{i:07d}}" for i in range(ROWS)])

    def build(self, params: Params, seed: int) -> Any:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.pipeline import Pipeline as Steps
        from sklearn.preprocessing import OrdinalEncoder, StandardScaler

        columns = ColumnTransformer([("kind", OrdinalEncoder(), ["kind"]), ("n", "passthrough", list("abcdefg"))])
        scale = StandardScaler() if params.scaled else "passthrough"
        model = HistGradientBoostingRegressor(max_iter=params.max_iter, random_state=seed)
        return Steps([("columns", columns), ("scale", scale), ("model", model)])
'''
PROJECT = """
from mlops_assets import Project, Subproject

from waves.pipeline import Waves

project = Project(name="waves", pipeline=Waves(), subprojects=[Subproject(key="all")])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="10,000 rows, 3 processes")
    parser.add_argument("--part", choices=["make", "measure", "floor"], help="(in a process of its own)")
    parser.add_argument("--runs", nargs="*")
    asked = parser.parse_args()
    if asked.part:
        print(json.dumps({"make": make, "measure": measure, "floor": floor}[asked.part](*(asked.runs or []))))
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-state-"))
    try:
        for rows in [10_000] if asked.short else [10_000, 100_000]:
            compare(folder / str(rows), rows, 3 if asked.short else 5)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(folder: Path, rows: int, times: int) -> None:
    (folder / "waves").mkdir(parents=True)
    (folder / "waves" / "__init__.py").write_text("")
    (folder / "waves" / "pipeline.py").write_text(PIPELINE.format(rows=rows))
    (folder / "waves" / "project.py").write_text(PROJECT)
    made = child("make", folder, [])
    measured = [child("measure", folder, made["runs"]) for _ in range(times)]
    floors = [child("floor", folder, made["files"]) for _ in range(times)]
    targets = {"open": 1.0}
    for name in measured[0]:
        value = statistics.median(one[name] for one in measured) * 1000
        least = statistics.median(one[name] for one in floors) * 1000 if name in floors[0] else None
        report(f"{rows} rows: {name}", value, least, targets.get(name))


def report(case: str, value: float, least: float | None, target: float | None) -> None:
    ratio = round(value / least, 3) if least else None
    shown = round(least, 4) if least else None
    line = {"bench": "state", "case": case, "value": round(value, 4), "unit": "ms", "floor": shown}
    print(json.dumps({**line, "ratio": ratio, "target": target}), flush=True)


def child(part: str, folder: Path, arguments: list[str]) -> dict[str, Any]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    own = {"MLOPS_HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, __file__, "--part", part, "--runs", *arguments]
    done = subprocess.run(command, cwd=folder, env={**kept, **threads, **own}, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def make() -> dict[str, Any]:
    """Three runs: two that part at the second step, one that equals the first; and the files of the first."""
    from mlops_assets import open_project

    p = open_project("waves.project")
    records = [p.run("all", seed=1, params=params)[0] for params in ({}, {"scaled": False})]
    kept = Path(p.home.artifacts_url)
    state = p.state(records[0])
    files = [kept / state.snapshot.artifact.uri, kept / records[0].artifacts["model"].uri]
    return {"runs": [record.run_id for record in records], "files": [str(file) for file in files]}


def measure(*runs: str) -> dict[str, float]:
    from mlops_assets import open_project

    p = open_project("waves.project")
    clock = Clock()
    state = p.state(runs[0])
    clock.tell("open")
    assert state.metrics
    clock.tell("record (found in the event log)")
    assert len(state.dataset)
    clock.tell("dataset read and checked")
    rows = state.dataset.head(100)
    clock.skip()
    state.predict(rows)
    clock.tell("first prediction, after the dataset (100 rows)")
    state.predict(rows)
    clock.tell("second prediction (100 rows)")
    assert len(state.test)
    clock.tell("test rows with results")
    assert len(state.profile)
    clock.tell("profile")
    steps = state.steps(state.test)
    clock.tell("steps of the test rows")
    assert list(steps) == ["columns", "scale", "model"]
    other = p.state(runs[1])
    assert len(other.dataset) and other.model is not None
    clock.skip()
    found = state.compare_steps(other)
    clock.tell("compare_steps of the test rows")
    assert found is not None and found.step == "scale"
    replayed = p.replay(runs[0])
    clock.tell("replay")
    assert replayed.identical
    return clock.told


def floor(dataset: str, model: str) -> dict[str, float]:
    """pandas reading the file, hashing it, and predicting with a model already unpickled."""
    from resources.models import load_model

    clock = Clock()
    import pandas as pd

    rows = pd.read_parquet(dataset)
    clock.tell("dataset read and checked")
    loaded = load_model(Path(model).read_bytes())
    clock.skip()
    features = rows.head(100)[["a", "b", "c", "d", "e", "f", "g", "kind"]]
    loaded.model.predict(features)
    clock.skip()
    loaded.model.predict(features)
    clock.tell("second prediction (100 rows)")
    return clock.told


class Clock:
    """Seconds from one thing told to the next."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        self.began = perf_counter()

    def tell(self, name: str) -> None:
        self.told[name] = perf_counter() - self.began
        self.began = perf_counter()

    def skip(self) -> None:
        self.began = perf_counter()


if __name__ == "__main__":
    main()
