"""What importing all modules of a folder loads: neither Dagster nor Ray, nor any library that is slow to load."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = {
    "duckdb",
    "great_expectations",
    "lightgbm",
    "matplotlib",
    "numpy",
    "optuna",
    "pandas",
    "plotly",
    "pyarrow",
    "ray",
    "scipy",
    "sklearn",
}
STORAGE = {
    f"resources.event_storage.{path.stem}" for path in (REPOSITORY / "resources/event_storage").glob("[a-z]*.py")
}
KNOW_DAGSTER = {"partitions.dynamic", "resources.configured", "resources.event_log", *STORAGE}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
package, leave_out = sys.argv[1], set(sys.argv[2:])
found = importlib.import_module(package)
imported = [package]
for module in pkgutil.walk_packages(getattr(found, "__path__", []), package + "."):
    if module.name not in leave_out:
        importlib.import_module(module.name)
        imported.append(module.name)
print(json.dumps({"imported": imported, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def after_importing_all_of(package: str, leave_out: set[str]) -> tuple[list[str], set[str]]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", IMPORT_ALL, package, *sorted(leave_out)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    return answer["imported"], set(answer["loaded"])


@pytest.mark.parametrize("package", ["mlops_assets.learning", "mlops_assets.quality", "partitions", "resources"])
def test_importing_a_folder_loads_neither_dagster_nor_anything_heavy(package: str) -> None:
    imported, loaded = after_importing_all_of(package, KNOW_DAGSTER)
    assert len(imported) > 3
    assert loaded & (HEAVY | {"dagster"}) == set()


def test_the_modules_that_know_dagster_do_load_it() -> None:
    _, loaded = after_importing_all_of("partitions.dynamic", set())
    assert "dagster" in loaded  # so the test above would see it


def test_the_front_door_loads_nothing_until_a_name_is_used() -> None:
    script = "import sys, mlops_assets; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert set(ended.stdout.split()) & (HEAVY | {"dagster", "pydantic"}) == set()


def test_a_code_location_loads_no_storage() -> None:
    script = (
        "import sys; from projects.flight_delays.definitions import defs; defs.get_repository_def(); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert "dagster" in loaded
    assert loaded & (HEAVY | {"sqlalchemy", "alembic"}) == set()


def test_the_help_of_the_command_loads_no_dagster() -> None:
    script = "import sys, mlops_assets.cli.app; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert set(ended.stdout.split()) & (HEAVY | {"dagster", "sqlalchemy"}) == set()
