"""The import contracts hold, and are sharp: each planted violation is found by the linter that `make lint` runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("mlops_assets", "partitions", "resources")
STORAGE = {
    f"resources.event_storage.{path.stem}" for path in (REPOSITORY / "resources/event_storage").glob("[a-z]*.py")
}
KNOW_DAGSTER = {"partitions.dynamic", "resources.configured", "resources.event_log", *STORAGE}


def copy_of_the_tree(into: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, into / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", into)
    return into


def lint(tree: Path) -> tuple[int, str]:
    linter = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([str(linter), "--no-cache"], cwd=tree, capture_output=True, text=True)
    return ended.returncode, " ".join((ended.stdout + ended.stderr).split())


def test_the_tree_keeps_every_contract(tmp_path: Path) -> None:
    code, said = lint(copy_of_the_tree(tmp_path))
    assert code == 0, said
    assert "0 broken" in said


VIOLATIONS = {
    "an unnamed folder": ("mlops_assets/wonders/__init__.py", '"""."""', "mlops_assets.wonders"),
    "an unnamed module": ("mlops_assets/wonders.py", '"""."""', "mlops_assets.wonders"),
    "Dagster in learning": ("mlops_assets/learning/planted.py", "import dagster", "planted -> dagster"),
    "Dagster in learning, inside a function": (
        "mlops_assets/learning/planted.py",
        "def late() -> None:\n    from dagster import asset\n",
        "planted -> dagster",
    ),
    "Dagster in learning, for types only": (
        "mlops_assets/learning/planted.py",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import dagster\n",
        "planted -> dagster",
    ),
    "Dagster in learning, on a detour": (
        "mlops_assets/learning/planted.py",
        "from partitions import dynamic",
        "partitions.dynamic -> dagster",
    ),
    "Ray in quality": ("mlops_assets/quality/planted.py", "import ray", "planted -> ray"),
    "Ray in serving": ("mlops_assets/serving/planted.py", "import ray.serve", "planted -> ray"),
    "Dagster in a port": ("resources/planted.py", "import dagster", "planted -> dagster"),
    "learning knows resources": (
        "mlops_assets/learning/planted.py",
        "from resources import artifacts",
        "mlops_assets.learning is not allowed to import resources",
    ),
    "resources know learning": (
        "resources/planted.py",
        "from mlops_assets.learning import run",
        "resources is not allowed to import mlops_assets.learning",
    ),
    "partitions know resources": (
        "partitions/planted.py",
        "from resources import artifacts",
        "partitions is not allowed to import resources",
    ),
    "the front door used from inside": (
        "mlops_assets/learning/planted.py",
        "from mlops_assets import Pipeline",
        "mlops_assets.learning.planted -> mlops_assets",
    ),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_planted_violation_fails_and_is_named(violation: str, tmp_path: Path) -> None:
    path, text, named = VIOLATIONS[violation]
    planted = copy_of_the_tree(tmp_path) / path
    if not planted.parent.exists():
        planted.parent.mkdir()
        (planted.parent / "__init__.py").write_text('"""."""\n')
    planted.write_text(text + "\n")
    code, said = lint(tmp_path)
    assert code == 1, said
    assert named in said


def test_a_planted_cycle_inside_one_folder_fails(tmp_path: Path) -> None:
    tree = copy_of_the_tree(tmp_path)
    (tree / "resources" / "hen.py").write_text("from resources import egg\n")
    (tree / "resources" / "egg.py").write_text("def lay() -> None:\n    from resources import hen\n")
    code, said = lint(tree)
    assert code == 1, said
    assert "No cycles, at any depth BROKEN" in said


def test_the_modules_that_know_dagster_are_not_a_way_around_for_the_others() -> None:
    graph = grimp.build_graph("partitions", "resources", include_external_packages=True, cache_dir=None)
    others = [module for module in graph.modules - KNOW_DAGSTER if module.split(".")[0] in PACKAGES]
    assert len(others) > 10
    chains = {module: graph.find_shortest_chain(module, "dagster") for module in others}
    assert {module: chain for module, chain in chains.items() if chain is not None} == {}


def ruff(text: str, at: str) -> str:
    linter = Path(sys.executable).with_name("ruff")
    command = [str(linter), "check", "--quiet", "--no-cache", "--output-format", "concise", "--stdin-filename", at, "-"]
    return subprocess.run(command, cwd=REPOSITORY, input=text, capture_output=True, text=True).stdout


@pytest.mark.parametrize("library", ["pandas", "ray", "sklearn", "optuna", "great_expectations", "matplotlib"])
def test_a_heavy_library_may_load_inside_a_function_only(library: str) -> None:
    inside = f'"""."""\n\n\ndef use() -> object:\n    import {library}\n\n    return {library}\n'
    assert "TID253" in ruff(f"import {library}\n\nprint({library})\n", "mlops_assets/assets/planted.py")
    assert ruff(inside, "mlops_assets/assets/planted.py") == ""


@pytest.mark.parametrize("folder", ["mlops_assets/assets", "projects/flight_delays", "tests/assets"])
def test_postponed_annotations_are_banned_everywhere(folder: str) -> None:
    assert "TID251" in ruff("from __future__ import annotations\n", f"{folder}/planted.py")
