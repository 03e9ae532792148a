"""The process that proves a model before it serves: what it loads, what it refuses, and that its death is an answer."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from partitions.errors import MlopsError
from resources.artifacts import ArtifactStore
from resources.proof import Parity
from resources.verifier import Verifier
from tests.resources.proven_models import EXPECTED, Ask, Store
from tests.resources.proven_models import asking as asking
from tests.resources.proven_models import store as store
from tests.resources.proven_models import stored as stored
from tests.resources.proven_models import verifier as verifier


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
