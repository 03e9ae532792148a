"""Models that cannot be stored, and model files that are refused before anything in them runs."""

import importlib
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from partitions.errors import ArtifactError, PipelineError
from resources.models import MAGIC, dump_model, load_model
from tests.resources.model_files import ABOUT, PACKAGE, Write, model_file, trained
from tests.resources.model_files import write as write

NAMED = """
class Any:
    def __reduce__(self):
        return "ANY"

ANY = Any()
"""


def test_an_object_stored_by_its_name_only_is_refused(write: Write) -> None:
    data = model_file(write(imports=NAMED, body="return X['weight'].to_numpy() if ANY else None"))
    with pytest.raises(ArtifactError, match=r"model_shops\.parcels\.pipeline\.ANY is stored by its name only"):
        load_model(data)


def test_what_cannot_be_stored_is_said_in_one_line(write: Write) -> None:
    pipeline = write(imports="import threading\nLOCK = threading.Lock()", body="return LOCK and X['weight'].to_numpy()")
    with pytest.raises(PipelineError, match="Parcels: the model cannot be stored .*lock") as caught:
        model_file(pipeline)
    assert "\n" not in str(caught.value)


def test_a_pipeline_from_outside_the_package_is_refused(write: Write) -> None:
    pipeline = write()
    with pytest.raises(PipelineError, match=r"model_shops\.parcels\.pipeline, outside the package other"):
        dump_model(trained(pipeline), pipeline, "other", ABOUT)


class Bomb:
    """Unpickling this would be noticed."""

    exploded = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode, ()


def _explode() -> None:
    Bomb.exploded = True


def assert_refused_before_unpickling(data: bytes, match: str) -> None:
    Bomb.exploded = False
    with pytest.raises(ArtifactError, match=match) as caught:
        load_model(data)
    assert "\n" not in str(caught.value)
    assert not Bomb.exploded


@pytest.fixture
def armed(write: Write) -> bytes:
    """A good model file in which unpickling leaves a trace."""
    pipeline = write()
    data = dump_model(Bomb(), pipeline, PACKAGE, ABOUT)
    Bomb.exploded = False
    load_model(data)
    assert Bomb.exploded
    return data


def test_a_tampered_byte_is_refused_wherever_it_is(armed: bytes) -> None:
    places = [*range(0, 200, 7), *range(200, len(armed), max(1, len(armed) // 60)), len(armed) - 1]
    for place in places:
        tampered = armed[:place] + bytes([armed[place] ^ 1]) + armed[place + 1 :]
        assert_refused_before_unpickling(tampered, "damaged|not a model file|format")


def test_a_file_cut_off_or_with_more_at_its_end_is_refused(armed: bytes) -> None:
    for length in (0, 5, len(MAGIC), 60, 85, 300, len(armed) // 2, len(armed) - 1):
        assert_refused_before_unpickling(armed[:length], "cut off|not a model file")
    assert_refused_before_unpickling(armed + b"x", "cut off or damaged")


def test_another_file_is_refused() -> None:
    assert_refused_before_unpickling(pickle.dumps(Bomb()), "not a model file")


def test_another_format_is_refused(armed: bytes) -> None:
    later = armed.replace(MAGIC + b"1 ", MAGIC + b"2 ", 1)
    assert_refused_before_unpickling(later, "format 2: this version of mlops-assets reads format 1")


def test_another_python_minor_version_is_refused(armed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.models._python", lambda: "3.12")
    assert_refused_before_unpickling(armed, r"parcels/AA \(run 0199\) was made with Python 3\.\d+, this is 3\.12")


@contextmanager
def installed(versions: dict[str, str | None]) -> Iterator[None]:
    """As in a process in which these packages are installed in these versions, or not at all."""
    from importlib import metadata

    from resources import models

    real = metadata.version

    def version(name: str) -> str:
        found = versions[name] if name in versions else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    models._version.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as elsewhere:
            elsewhere.setattr(metadata, "version", version)
            yield
    finally:
        models._version.cache_clear()


def test_another_version_of_a_package_is_refused(write: Write) -> None:
    from importlib import metadata

    pipeline = write(body="return np.asarray(X['weight'])")
    with installed({"numpy": "1.0.0", "pandas": "0.1"}):
        data = dump_model([Bomb(), trained(pipeline)], pipeline, PACKAGE, ABOUT)
    here = metadata.version("numpy")
    assert_refused_before_unpickling(data, rf"made with numpy 1\.0\.0 \(here {here}\), pandas 0\.1 \(here ")


def test_a_package_that_is_not_installed_is_refused(armed: bytes) -> None:
    with installed({"pandas": None}):
        assert_refused_before_unpickling(armed, r"pandas \S+ \(here not installed\): install")


def test_code_that_is_neither_in_the_file_nor_here_is_said(write: Write, tmp_path: Path) -> None:
    (tmp_path / "model_neighbours.py").write_text("def f(X):\n    return X['weight'].to_numpy()\n")
    data = model_file(write(imports="from model_neighbours import f", body="return f(X)"))
    (tmp_path / "model_neighbours.py").unlink()
    del sys.modules["model_neighbours"]
    importlib.invalidate_caches()
    with pytest.raises(ArtifactError, match="parcels/AA .*cannot be loaded here: .*'model_neighbours'"):
        load_model(data)
