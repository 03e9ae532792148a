"""The process that proves a model before it serves: what it loads, what it refuses, and that its death is an answer."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partitions.errors import MlopsError
from resources.artifacts import Artifact, ArtifactStore
from resources.models import dump_model
from resources.verifier import Parity, Verifier, difference

PACKAGE = "proven_shops.parcels"
ROWS = pd.DataFrame({"id": [10, 11, 12], "weight": [1.0, 2.0, 4.0], "code": ["a", "b", None]}, index=[7, 8, 9])
EXPECTED = pd.DataFrame({"prediction": [2.0, 4.0, 8.0]})

PIPELINE = """
import os, signal, sys, time
import numpy as np
import pandas as pd
from mlops_assets import Config, DataSchema, Parameters, Pipeline

VERSION = {version}

class Params(Parameters):
    factor: float = 2.0

class Parcels(Pipeline[Config, Params]):
    schema = DataSchema(key="id", target="days", features=["weight"])
    metrics = {{"mae": "min"}}

    def ingest(self, config, window):
        raise NotImplementedError

    def build(self, params, seed):
        return Scale(params.factor)

class Scale:
    def __init__(self, factor):
        self.factor = factor

    def fit(self, X, y):
        return self

    def predict(self, X):
        {body}
        return X["weight"].to_numpy() * self.factor
"""

Store = Callable[..., Artifact]


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
        (folder / "pipeline.py").write_text(PIPELINE.format(body=body, version=version))
        pipeline: Any = importlib.import_module(f"{PACKAGE}.pipeline").Parcels()
        model = pipeline.build(sys.modules[f"{PACKAGE}.pipeline"].Params(factor=factor), 0)
        about = {"project": "parcels", "subproject": "AA", "run_id": f"run-{version}"}
        return store.put(dump_model(model, pipeline, PACKAGE, about), ".model")

    yield store_model
    forget()


def forget() -> None:
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.split(".")[0] == "proven_shops"]:
        del sys.modules[name]


@pytest.fixture
def verifier(store: ArtifactStore) -> Iterator[Verifier]:
    with Verifier(store) as verifier:
        yield verifier


def test_a_model_that_predicts_the_same_is_proven_with_the_rows_and_the_seconds(
    stored: Store, verifier: Verifier
) -> None:
    parity = verifier.verify(stored(), ROWS, EXPECTED)
    assert (parity.identical, parity.rows, parity.reason) == (True, 3, "")
    assert parity.seconds > 0
    assert Parity.model_validate_json(parity.model_dump_json()) == parity


def test_one_process_proves_many_models_and_has_none_of_this_ones_objects(stored: Store, verifier: Verifier) -> None:
    first = stored()
    process = verifier.pid
    assert verifier.verify(first, ROWS, EXPECTED).identical
    other = stored(factor=3.0, version=2)  # another version of the package, which lies importable here
    assert verifier.verify(other, ROWS, EXPECTED * 1.5).identical
    assert verifier.verify(first.uri, ROWS, EXPECTED).identical
    assert verifier.pid == process != os.getpid()


def test_other_predictions_are_told_with_the_first_of_them(stored: Store, verifier: Verifier) -> None:
    parity = verifier.verify(stored(), ROWS, EXPECTED.assign(prediction=[2.0, 4.0, 8.5]))
    assert not parity.identical
    assert parity.reason == "column 'prediction' differs in 1 of 3 rows, such as 8.0 instead of 8.5"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "from proven_shops.parcels.settings import FACTOR",
            "imports proven_shops.parcels.settings.FACTOR inside a function",
        ),
        (
            "raise ValueError('no')",
            "predict of the stored model raised ValueError: no",
        ),
        ("sys.exit(3)", "sys.exit(3) was called"),
        ("self.factor = 2.0 + (os.getpid() > 0)", "differs in 3 of 3 rows"),
    ],
)
def test_what_predict_does_otherwise_is_the_reason(stored: Store, verifier: Verifier, body: str, says: str) -> None:
    model = stored(body)
    parity = verifier.verify(model, ROWS, EXPECTED)
    assert not parity.identical
    assert says in parity.reason
    assert verifier.verify(stored(), ROWS, EXPECTED).identical


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the worker process died (killed by SIGSEGV)"),
        ("os._exit(7)", "the worker process died (exit code 7)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the worker process died (killed by SIGKILL)"),
    ],
)
def test_a_crash_is_an_answer_and_the_next_model_gets_a_new_process(
    stored: Store, verifier: Verifier, body: str, says: str
) -> None:
    process = verifier.pid
    parity = verifier.verify(stored(body), ROWS, EXPECTED)
    assert not parity.identical
    assert says in parity.reason
    assert verifier.verify(stored(), ROWS, EXPECTED).identical
    assert verifier.pid != process


def test_a_predict_that_does_not_end_is_given_up(stored: Store, store: ArtifactStore) -> None:
    good, bad = stored(), stored("time.sleep(600)")
    with Verifier(store, longest=60.0) as warm:
        assert warm.verify(good, ROWS, EXPECTED).identical
        warm._longest = 1.0  # the process is warm: no start and no import fall into it
        hung = warm.pid
        parity = warm.verify(bad, ROWS, EXPECTED)
        assert (parity.identical, parity.reason) == (False, "the process that verifies gave no answer within 1 s")
        assert hung is not None
        assert not alive(hung)
        warm._longest = 60.0
        assert warm.verify(good, ROWS, EXPECTED).identical


def test_a_process_killed_from_outside_at_any_moment_is_replaced(stored: Store, verifier: Verifier) -> None:
    good = stored()
    assert verifier.verify(good, ROWS, EXPECTED).identical
    os.kill(verifier.pid or 0, signal.SIGKILL)
    assert verifier.verify(good, ROWS, EXPECTED).identical
    with killing_after(0.5, verifier, times=1):
        assert verifier.verify(stored("time.sleep(1.2)"), ROWS, EXPECTED).identical
    with killing_after(0.5, verifier, times=2):
        parity = verifier.verify(stored("time.sleep(600)"), ROWS, EXPECTED)
    assert not parity.identical
    # The second one may have been killed while it was starting.
    assert "killed by SIGKILL" in parity.reason or "no worker process starts" in parity.reason
    assert verifier.verify(good, ROWS, EXPECTED).identical


@contextmanager
def killing_after(seconds: float, verifier: Verifier, times: int) -> Iterator[None]:
    """Kills the process that verifies, and the ones after it, once each has lived that long."""
    done = threading.Event()

    def kill() -> None:
        killed: set[int] = set()
        while len(killed) < times and not done.wait(seconds):
            process = verifier.pid
            if process is not None and process not in killed:
                killed.add(process)
                os.kill(process, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_threads_take_turns(stored: Store, verifier: Verifier) -> None:
    models = [stored(factor=float(number), version=number) for number in range(1, 5)]
    found: dict[int, bool] = {}

    def ask(number: int) -> None:
        found[number] = verifier.verify(models[number - 1], ROWS, EXPECTED / 2 * number).identical

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(1, 5), True)


def test_a_model_that_is_gone_or_damaged_is_told_by_its_address(
    stored: Store, verifier: Verifier, store: ArtifactStore
) -> None:
    model = stored()
    file = Path(store.url, model.uri)
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"none")
    assert f"artifact {model.uri}" in verifier.verify(model, ROWS, EXPECTED).reason
    file.unlink()
    assert f"artifact {model.uri} is missing" in verifier.verify(model, ROWS, EXPECTED).reason


def test_nothing_to_compare_is_no_proof(stored: Store, verifier: Verifier) -> None:
    with pytest.raises(ValueError, match="at least one"):
        verifier.verify(stored(), ROWS.head(0), EXPECTED.head(0))
    with pytest.raises(ValueError, match="3 rows and 2 predictions"):
        verifier.verify(stored(), ROWS, EXPECTED.head(2))


def test_it_is_used_as_a_context_manager_and_leaves_nothing(stored: Store, store: ArtifactStore) -> None:
    with pytest.raises(MlopsError, match="context manager"):
        Verifier(store).verify(stored(), ROWS, EXPECTED)
    with Verifier(store) as verifier:
        process, desk = verifier.pid, Path(verifier._desk.name)  # type: ignore[union-attr]
        assert process is not None and desk.exists()
    assert not alive(process)
    assert not desk.exists()


PARENT = """
import sys, time
from resources.artifacts import ArtifactStore
from resources.verifier import Verifier
with Verifier(ArtifactStore(sys.argv[1])) as verifier:
    print(verifier.pid, flush=True)
    time.sleep(600)
"""


def test_it_ends_with_the_process_that_started_it_also_by_kill(store: ArtifactStore) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, store.url], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    process = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not alive(process):
            break
        time.sleep(0.1)
    assert not alive(process)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (pd.Series([1, 2]), pd.Series([1.0, 2.0])),
        (pd.Series([1, 2]), pd.Series([1, 2], dtype="int8")),
        (pd.Series([0.0, np.nan]), pd.Series([-0.0, np.nan])),
        (pd.Series([True, False]), pd.Series([True, False], dtype="boolean")),
        (pd.Series(["a", "b"], dtype="str"), pd.Series(["a", "b"], dtype=object)),
        (pd.Series(["a", "b"], dtype="str"), pd.Series(["a", "b"], dtype="category")),
        (pd.Series([1.5, None], dtype="Float64"), pd.Series([1.5, np.nan])),
    ],
)
def test_equal_values_are_equal_however_they_are_stored(there: Any, here: Any) -> None:
    assert difference(here.to_frame("prediction"), there.to_frame("prediction")) == ""


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (pd.Series([1.0]), pd.Series([np.nextafter(1.0, 2.0)])),
        (pd.Series([2**53 + 1]), pd.Series([2**53])),
        (pd.Series([0.0]), pd.Series([np.nan])),
        (pd.Series(["1"], dtype="str"), pd.Series(["1.0"], dtype="str")),
    ],
)
def test_the_last_bit_counts(there: Any, here: Any) -> None:
    assert "differs in 1 of 1 rows" in difference(here.to_frame("prediction"), there.to_frame("prediction"))


def test_probabilities_are_compared_too_and_what_is_missing_is_named() -> None:
    both = pd.DataFrame({"prediction": ["y", "n"], "probability_y": [0.75, 0.25]})
    assert difference(both, both) == ""
    assert difference(both[["prediction"]], both) == "predict returns no probability_y (it returns prediction)"
    assert "column 'probability_y' differs in 1 of 2 rows" in difference(both.assign(probability_y=[0.75, 0.5]), both)
