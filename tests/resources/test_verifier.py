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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partitions.errors import MlopsError
from partitions.schema import DataSchema
from resources.artifacts import Artifact, ArtifactStore
from resources.datasets import DatasetStore
from resources.models import dump_model
from resources.parquet import encode
from resources.proof import Parity, Question, difference
from resources.verifier import Verifier

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

SCHEMA = DataSchema(key="id", target="days", features=["weight"])

Store = Callable[..., Artifact]
Ask = Callable[..., Question]


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


@pytest.fixture
def asking(store: ArtifactStore) -> Ask:
    """A question about a model of a run that has stored these rows and, of these keys, these predictions."""

    def question(
        model: Artifact | str,
        expected: pd.DataFrame = EXPECTED,
        rows: pd.DataFrame = ROWS,
        most: int = 1000,
        **outcome: Any,
    ) -> Question:
        snapshot, _ = DatasetStore(store, b"secret").snapshot(rows.assign(days=1.0), SCHEMA, "parcels/AA")
        told = {"key": rows["id"].tolist(), "split": "test", "fold": 0, "truth": 1.0, **outcome}
        results = store.put(encode(expected.assign(**told)), ".parquet")
        uri = model if isinstance(model, str) else model.uri
        return Question(store, "parcels/AA", "run-1", snapshot.data_version, uri, results.uri, most)

    return question


def forget() -> None:
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.split(".")[0] == "proven_shops"]:
        del sys.modules[name]


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    with Verifier() as verifier:
        yield verifier


def test_a_model_that_predicts_the_same_is_proven_with_the_rows_and_the_seconds(
    asking: Ask, stored: Store, verifier: Verifier
) -> None:
    parity = verifier.verify(asking(stored()))
    assert (parity.identical, parity.rows, parity.reason) == (True, 3, "")
    assert parity.seconds > 0
    assert Parity.model_validate_json(parity.model_dump_json()) == parity


def test_one_process_proves_many_models_and_has_none_of_this_ones_objects(
    asking: Ask, stored: Store, verifier: Verifier
) -> None:
    first = stored()
    process = verifier.pid
    assert verifier.verify(asking(first)).identical
    other = stored(factor=3.0, version=2)  # another version of the package, which lies importable here
    assert verifier.verify(asking(other, EXPECTED * 1.5)).identical
    assert verifier.verify(asking(first.uri)).identical
    assert verifier.pid == process != os.getpid()


def test_other_predictions_are_told_with_the_first_of_them(asking: Ask, stored: Store, verifier: Verifier) -> None:
    parity = verifier.verify(asking(stored(), EXPECTED.assign(prediction=[2.0, 4.0, 8.5])))
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
def test_what_predict_does_otherwise_is_the_reason(
    asking: Ask, stored: Store, verifier: Verifier, body: str, says: str
) -> None:
    model = stored(body)
    parity = verifier.verify(asking(model))
    assert not parity.identical
    assert says in parity.reason
    assert verifier.verify(asking(stored())).identical


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the worker process died (killed by SIGSEGV)"),
        ("os._exit(7)", "the worker process died (exit code 7)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the worker process died (killed by SIGKILL)"),
    ],
)
def test_a_crash_is_an_answer_and_the_next_model_gets_a_new_process(
    asking: Ask, stored: Store, verifier: Verifier, body: str, says: str
) -> None:
    process = verifier.pid
    parity = verifier.verify(asking(stored(body)))
    assert not parity.identical
    assert says in parity.reason
    assert verifier.verify(asking(stored())).identical
    assert verifier.pid != process


def test_a_predict_that_does_not_end_is_given_up(asking: Ask, stored: Store, store: ArtifactStore) -> None:
    good, bad = stored(), stored("time.sleep(600)")
    with Verifier(longest=60.0) as warm:
        assert warm.verify(asking(good)).identical
        warm._longest = 1.0  # the process is warm: no start and no import fall into it
        hung = warm.pid
        parity = warm.verify(asking(bad))
        assert (parity.identical, parity.reason) == (False, "the process that verifies gave no answer within 1 s")
        assert hung is not None
        assert not alive(hung)
        warm._longest = 60.0
        assert warm.verify(asking(good)).identical


def test_a_process_killed_from_outside_at_any_moment_is_replaced(
    asking: Ask, stored: Store, verifier: Verifier
) -> None:
    good = stored()
    assert verifier.verify(asking(good)).identical
    os.kill(verifier.pid or 0, signal.SIGKILL)
    assert verifier.verify(asking(good)).identical
    with killing_after(0.5, verifier, times=1):
        assert verifier.verify(asking(stored("time.sleep(1.2)"))).identical
    with killing_after(0.5, verifier, times=2):
        parity = verifier.verify(asking(stored("time.sleep(600)")))
    assert not parity.identical
    # The second one may have been killed while it was starting.
    assert "killed by SIGKILL" in parity.reason or "no worker process starts" in parity.reason
    assert verifier.verify(asking(good)).identical


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


def test_threads_take_turns(asking: Ask, stored: Store, verifier: Verifier) -> None:
    models = [stored(factor=float(number), version=number) for number in range(1, 5)]
    found: dict[int, bool] = {}

    def ask(number: int) -> None:
        found[number] = verifier.verify(asking(models[number - 1], EXPECTED / 2 * number)).identical

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(1, 5), True)


def test_a_model_that_is_gone_or_damaged_is_told_by_its_address(
    asking: Ask, stored: Store, verifier: Verifier, store: ArtifactStore
) -> None:
    model = stored()
    file = Path(store.url, model.uri)
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"none")
    assert f"artifact {model.uri}" in verifier.verify(asking(model)).reason
    file.unlink()
    assert f"artifact {model.uri} is missing" in verifier.verify(asking(model)).reason


def test_nothing_to_compare_is_no_proof(asking: Ask, stored: Store, verifier: Verifier) -> None:
    parity = verifier.verify(asking(stored(), split="train"))
    assert (parity.identical, parity.rows) == (False, 0)
    assert parity.reason == "run run-1 has no test rows in its results: there is nothing to compare"


def test_results_of_rows_that_are_not_in_the_data_are_no_proof(asking: Ask, stored: Store, verifier: Verifier) -> None:
    parity = verifier.verify(asking(stored(), key=[10, 11, 99]))
    assert not parity.identical
    assert "run run-1: row 99 of its results is not in data version" in parity.reason
    question = replace(asking(stored()), data_version="0" * 64)
    assert "parcels/AA: unknown data version" in verifier.verify(question).reason


def test_only_test_rows_count_in_the_order_of_the_results(asking: Ask, stored: Store, verifier: Verifier) -> None:
    mixed = pd.DataFrame({"prediction": [8.0, 0.0, 2.0]})
    parity = verifier.verify(asking(stored(), mixed, key=[12, 11, 10], split=["test", "train", "test"]))
    assert (parity.identical, parity.rows, parity.reason) == (True, 2, "")


def test_of_many_test_rows_some_are_taken_and_all_where_the_last_bit_depends_on_it(
    asking: Ask, stored: Store, verifier: Verifier
) -> None:
    rows = pd.DataFrame({"id": range(30), "weight": 1.0})
    some = verifier.verify(asking(stored(), pd.DataFrame({"prediction": [2.0] * 30}), rows, most=7))
    assert (some.identical, some.rows) == (True, 7)
    summing = stored("return X['weight'].to_numpy() * self.factor + len(X)")
    every = verifier.verify(asking(summing, pd.DataFrame({"prediction": [32.0] * 30}), rows, most=7))
    assert (every.identical, every.rows) == (True, 30)


def test_the_model_is_given_the_rows_as_they_are_in_the_dataset(asking: Ask, stored: Store, verifier: Verifier) -> None:
    seen = stored("return np.repeat(repr((list(X.index), list(X.columns), [str(t) for t in X.dtypes])), len(X))")
    told = repr(([0, 1, 2], ["weight"], ["float64"]))
    parity = verifier.verify(asking(seen, pd.DataFrame({"prediction": [told] * 3})))
    assert parity.identical, parity.reason


def test_many_are_handed_over_at_once_and_answered_in_any_order(asking: Ask, stored: Store, verifier: Verifier) -> None:
    questions = [asking(stored(factor=float(n), version=n), EXPECTED / 2 * n) for n in range(1, 6)]
    wrong = asking(stored(factor=9.0, version=9))
    process = verifier.pid
    tickets = [verifier.hand_over(question) for question in (*questions, wrong)]
    answers = {ticket: verifier.answer(ticket) for ticket in reversed(tickets)}
    assert [answers[ticket].identical for ticket in tickets] == [True] * 5 + [False]
    assert verifier.pid == process
    with pytest.raises(MlopsError, match="answered already"):
        verifier.answer(tickets[0])


def test_of_many_handed_over_only_the_one_that_kills_the_process_is_not_proven(
    asking: Ask, stored: Store, verifier: Verifier
) -> None:
    good = asking(stored())
    deadly = asking(stored("os.kill(os.getpid(), signal.SIGKILL)"))
    tickets = [verifier.hand_over(question) for question in (good, good, deadly, good, good)]
    answers = [verifier.answer(ticket) for ticket in tickets]
    assert [answer.identical for answer in answers] == [True, True, False, True, True]
    assert "killed by SIGKILL" in answers[2].reason


def test_of_many_handed_over_only_the_one_that_does_not_end_is_given_up(asking: Ask, stored: Store) -> None:
    good, hung = asking(stored()), asking(stored("time.sleep(600)"))
    with Verifier(longest=60.0) as warm:
        assert warm.verify(good).identical
        warm._longest = 3.0
        tickets = [warm.hand_over(question) for question in (good, hung, good)]
        assert [warm.answer(ticket).identical for ticket in tickets[:2]] == [True, False]
        warm._longest = 60.0
        assert warm.answer(tickets[2]).identical


def test_it_is_used_as_a_context_manager_and_leaves_nothing(asking: Ask, stored: Store) -> None:
    with pytest.raises(MlopsError, match="context manager"):
        Verifier().verify(asking(stored()))
    with Verifier() as verifier:
        assert verifier._desk is not None
        process, desk = verifier.pid, verifier._desk[0]
        assert process is not None and desk.exists()
        verifier.hand_over(asking(stored()))
    assert not alive(process)
    assert not desk.exists()


def test_what_a_killed_one_has_left_is_removed_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "mlops-verifier-left"
    left.mkdir()
    (left / "0.item").write_bytes(b"")
    os.utime(left, (0, 0))
    with Verifier() as first:
        assert first._desk is not None
        os.utime(first._desk[0], (0, 0))
        with Verifier():
            assert not left.exists()
            assert first._desk[0].exists()
    assert list(tmp_path.iterdir()) == []


PARENT = """
import time
from resources.verifier import Verifier
with Verifier() as verifier:
    print(verifier.pid, verifier._desk[0], flush=True)
    time.sleep(600)
"""


def test_it_ends_with_the_process_that_started_it_also_by_kill() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    process, desk = parent.stdout.readline().split()
    assert Path(desk).exists()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not alive(int(process)):
            break
        time.sleep(0.1)
    assert not alive(int(process))
    assert not Path(desk).exists()


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
