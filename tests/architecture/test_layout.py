"""The folders, the build and its lock are what the import contracts and a fresh machine rely on."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PRODUCT = {"mlops_assets", "partitions", "resources"}
BESIDE_IT = {"projects", "tests", "bench"}
VERBS = ("demo", "test", "lint", "bench", "dev")


def settings() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in (REPOSITORY / folder).rglob("*.py") if "__pycache__" not in path.parts)


def requirements(file: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (REPOSITORY / file).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("-r ")]


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_every_top_level_folder_with_python_is_a_known_one() -> None:
    hidden = (folder for folder in REPOSITORY.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    with_python = {folder.name for folder in hidden if any(python_files(folder.name))}
    assert with_python <= PRODUCT | BESIDE_IT | {"deploy"}


def test_no_loose_module_lies_beside_the_packages() -> None:
    assert list(REPOSITORY.glob("*.py")) == []


def test_the_linter_and_the_build_know_the_same_packages() -> None:
    found = settings()
    assert set(found["tool"]["importlinter"]["root_packages"]) == PRODUCT
    assert set(found["tool"]["setuptools"]["packages"]["find"]["include"]) == {f"{name}*" for name in PRODUCT}


def test_every_folder_of_the_product_is_a_package_so_that_no_contract_overlooks_it() -> None:
    folders = {path.parent for path in python_files(*PRODUCT)}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_modules_are_named_for_their_job() -> None:
    vague = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?)($|_)")
    assert [str(path) for path in python_files(*PRODUCT) if vague.search(path.stem)] == []


def test_every_test_file_has_a_name_of_its_own() -> None:
    # Without __init__.py files pytest knows a test file by its name alone.
    names = [path.name for path in python_files("tests") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_the_lock_pins_everything_once_and_holds_no_address() -> None:
    pins = requirements("requirements.lock")
    assert [pin for pin in pins if not re.match(r"^[A-Za-z0-9._-]+==[^ ]+( ; .+)?$", pin)] == []
    names = [name_of(pin) for pin in pins]
    assert sorted(names) == sorted(set(names))
    text = (REPOSITORY / "requirements.lock").read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links|/(opt|home|root|tmp)/", text)


def test_the_lock_covers_every_requirement() -> None:
    locked = {name_of(pin) for pin in requirements("requirements.lock")}
    wanted = {name_of(line) for file in ("requirements.in", "requirements-dev.in") for line in requirements(file)}
    assert wanted - locked == set()


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_builds_the_environment_first(verb: str, tmp_path: Path) -> None:
    for file in ("Makefile", "requirements.lock", "requirements.in", "pyproject.toml"):
        (tmp_path / file).write_text((REPOSITORY / file).read_text())
    said = subprocess.run(["make", "-n", verb], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    made, locked, itself = said.find("-m venv"), said.find("-r requirements.lock"), said.find("--editable .")
    assert -1 < made < locked < itself


def test_continuous_integration_runs_two_verbs_and_nothing_else() -> None:
    lines = requirements(".ci/run")
    assert lines == ["set -eu", 'cd "$(dirname "$0")/.."', "make lint", "make test"]
    assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o111
