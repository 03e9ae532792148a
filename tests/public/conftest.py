"""The small project ``lines`` in a folder of its own, opened in this process as a notebook does."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.opened_project import OpenedProject, open_project
from tests.end_to_end.conftest import DEFINITIONS, PIPELINE, PROJECT


def declare(folder: Path, slopes: dict[str, float], troubles: dict[str, str] | None = None) -> None:
    text = PROJECT.format(slopes=slopes, troubles=troubles or {})
    (folder / "lines" / "project.py").write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "lines").mkdir()
    for file, text in {"__init__": '"""Lines."""\n', "pipeline": PIPELINE, "definitions": DEFINITIONS}.items():
        (tmp_path / "lines" / f"{file}.py").write_text(text)
    declare(tmp_path, {"a": 1.0, "b": -2.0})
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MLOPS_BACKEND", "inline")
    for name in ("MLOPS_HOME", "DAGSTER_HOME", "MLOPS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    forget()


@pytest.fixture(params=["sqlite", "postgres"])
def stored_in(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs twice: with a home whose events are in SQLite, and with one whose events are in Postgres."""
    if request.param == "postgres":
        monkeypatch.setenv("MLOPS_DATABASE_URL", request.getfixturevalue("postgres_url"))
    return str(request.param)


def forget() -> None:
    """The next open_project imports the project's files anew, as a new process would."""
    for name in [name for name in sys.modules if name == "lines" or name.startswith("lines.")]:
        del sys.modules[name]


def opened(folder: Path) -> OpenedProject:
    forget()
    # Python takes a file of the same size, written within the same second, for the one it has compiled.
    shutil.rmtree(folder / "lines" / "__pycache__", ignore_errors=True)
    return open_project("lines.project", home=folder / "home")
