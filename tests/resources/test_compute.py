"""One contract for every backend of Compute, and what only workers of their own can promise."""

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from partitions.errors import DataError
from resources.compute import Compute, ComputeError, Outcome, WorkFailedError

# Functions are defined inside the tests: workers then get them by value and need not import this file.


def by_index(outcomes: Iterator[Outcome[Any]]) -> list[Outcome[Any]]:
    return sorted(outcomes, key=lambda outcome: outcome.index)


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if holds():
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("backend", ["inline", "processes", "ray"])
class TestEveryBackend:
    def test_each_item_has_its_own_outcome(self, backend: Any) -> None:
        outcomes = by_index(Compute(backend, cpus=2).map(lambda item: item * 10, range(7)))
        assert [outcome.index for outcome in outcomes] == list(range(7))
        assert [outcome.get() for outcome in outcomes] == [0, 10, 20, 30, 40, 50, 60]
        assert all(outcome.error is None and 0 <= outcome.seconds < 5 for outcome in outcomes)

    def test_no_items_are_no_outcomes_and_none_is_a_value(self, backend: Any) -> None:
        compute = Compute(backend, cpus=1)
        assert list(compute.map(lambda item: item, [])) == []
        (outcome,) = compute.map(lambda item: item, [None])
        assert outcome.error is None
        assert outcome.get() is None

    def test_an_error_stays_with_its_item_and_brings_its_traceback(self, backend: Any) -> None:
        def halve(item: int) -> float:
            if item == 1:
                raise ValueError(f"item {item} is\n  odd")
            return item / 2

        good, bad, other = by_index(Compute(backend, cpus=2).map(halve, [0, 1, 2]))
        assert (good.get(), other.get()) == (0.0, 1.0)
        assert bad.error is not None
        assert (bad.error.kind, bad.error.message) == ("ValueError", "item 1 is odd")
        assert str(bad.error) == "ValueError: item 1 is odd"
        assert "in halve" in bad.error.traceback
        assert "worker.py" not in bad.error.traceback
        with pytest.raises(WorkFailedError, match="ValueError: item 1 is odd") as raised:
            bad.get()
        assert "in halve" in raised.value.__notes__[0]

    def test_an_error_a_person_can_act_on_keeps_its_one_line(self, backend: Any) -> None:
        def refuse(item: str) -> None:
            raise DataError(f"flight_delays/{item}: no rows; widen the window")

        (outcome,) = Compute(backend, cpus=1).map(refuse, ["AA"])
        assert outcome.error is not None
        assert outcome.error.actionable
        assert str(outcome.error) == "flight_delays/AA: no rows; widen the window"

    def test_sys_exit_in_user_code_is_that_items_error(self, backend: Any) -> None:
        left, stayed = by_index(Compute(backend, cpus=1).map(lambda item: sys.exit(4) if item else "here", [1, 0]))
        assert left.error is not None
        assert left.error.message == "sys.exit(4) was called"
        assert stayed.get() == "here"

    def test_the_next_item_may_depend_on_the_outcomes_so_far(self, backend: Any) -> None:
        told: list[int] = []

        def asked() -> Iterator[int]:
            yield 1
            while told[-1] < 32:
                yield told[-1]

        for outcome in Compute(backend, cpus=1).map(lambda item: item * 2, asked()):
            told.append(outcome.get())
        assert told == [2, 4, 8, 16, 32]

    def test_items_without_end_are_pulled_no_further_than_needed(self, backend: Any) -> None:
        pulled = itertools.count()
        outcomes = Compute(backend, cpus=2).map(lambda item: item, pulled)
        for _ in range(5):
            next(outcomes)
        outcomes.close()
        assert next(pulled) <= 5 + 2

    def test_arrays_arrive_writable(self, backend: Any) -> None:
        import numpy

        def add_one(array: Any) -> Any:
            array += 1
            return array

        (outcome,) = Compute(backend, cpus=1).map(add_one, [numpy.zeros(200_000)])
        result = outcome.get()
        result[0] = 7
        assert result.sum() == 200_006


@pytest.mark.parametrize("backend", ["processes", "ray"])
class TestWorkers:
    def test_a_worker_that_dies_is_one_items_error(self, backend: Any) -> None:
        def die(item: int) -> int:
            if item == 2:
                print("the last words of item 2", flush=True)
                os._exit(7)
            if item == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return item

        outcomes = by_index(Compute(backend, cpus=2).map(die, range(8)))
        assert [outcome.index for outcome in outcomes if outcome.error is None] == [0, 1, 3, 5, 6, 7]
        left, killed = outcomes[2].error, outcomes[4].error
        assert left is not None
        assert killed is not None
        assert left.kind == killed.kind == "WorkerDied"
        assert left.message.startswith("the worker process died (")
        if backend == "processes":
            assert left.message == "the worker process died (exit code 7)"
            assert left.traceback == "the last words of item 2\n"
            assert "killed by SIGKILL" in killed.message

    def test_a_worker_that_is_told_to_end_does_so_whatever_code_it_is_in(self, backend: Any) -> None:
        """As Ray tells those of a driver that was killed: no code may take it for an error of its own."""

        def told(item: int) -> str:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            except SystemExit:
                return "caught SystemExit"
            return "went on"

        (outcome,) = Compute(backend, cpus=1).map(told, [0])
        assert outcome.error is not None and outcome.error.kind == "WorkerDied", outcome

    def test_outcomes_come_as_they_complete(self, backend: Any, tmp_path: Path) -> None:
        go = tmp_path / "go"

        def work(item: int) -> int:
            limit = time.monotonic() + 30
            while item == 0 and not go.exists() and time.monotonic() < limit:
                time.sleep(0.01)
            return item

        order = []
        for outcome in Compute(backend, cpus=2).map(work, range(5)):
            order.append(outcome.get())
            if len(order) == 4:
                go.touch()
        assert sorted(order[:4]) == [1, 2, 3, 4]
        assert order[4] == 0

    def test_closing_ends_what_is_in_flight(self, backend: Any, tmp_path: Path) -> None:
        note = tmp_path / "pid"

        def work(item: int) -> None:
            if item == 1:
                note.with_suffix(".new").write_text(str(os.getpid()))
                note.with_suffix(".new").rename(note)
                time.sleep(120)
            while not note.exists():
                time.sleep(0.01)

        outcomes = Compute(backend, cpus=2).map(work, range(2))
        assert next(outcomes).index == 0
        outcomes.close()
        pid = int(note.read_text())
        assert eventually(lambda: not alive(pid))

    def test_ctrl_c_ends_what_is_in_flight(self, backend: Any, tmp_path: Path) -> None:
        note = tmp_path / "pid"

        def work(item: int) -> None:
            note.with_suffix(".new").write_text(str(os.getpid()))
            note.with_suffix(".new").rename(note)
            time.sleep(120)

        def interrupt() -> None:
            if eventually(note.exists, 60):
                os.kill(os.getpid(), signal.SIGINT)

        # A shell that starts tests in the background has interruptions ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        watcher = threading.Thread(target=interrupt)
        watcher.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                list(Compute(backend, cpus=1).map(work, [0]))
        finally:
            watcher.join()
            signal.signal(signal.SIGINT, before)
        assert eventually(lambda: not alive(int(note.read_text())))

    def test_what_cannot_be_sent_is_named(self, backend: Any) -> None:
        compute = Compute(backend, cpus=1)
        lock = threading.Lock()
        item_error, fine = by_index(compute.map(lambda item: 1, [lock, 0]))
        assert item_error.error is not None
        assert "cannot be sent" in item_error.error.message
        assert fine.get() == 1
        (result_error,) = compute.map(lambda item: threading.Lock(), [0])
        assert result_error.error is not None
        assert "the result, a lock, cannot be sent back" in result_error.error.message
        with pytest.raises(ComputeError, match=r"function .*<lambda> cannot be sent to workers .*lock"):
            compute.map(lambda item: lock, [0])

    def test_a_folder_added_to_the_search_path_reaches_workers(
        self, backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / f"added_late_for_{backend}.py").write_text("def work(item):\n    return f'{__name__} {item}'\n")
        monkeypatch.syspath_prepend(tmp_path)
        module = __import__(f"added_late_for_{backend}")
        (outcome,) = Compute(backend, cpus=1).map(module.work, [3])
        assert outcome.get() == f"added_late_for_{backend} 3"

    @pytest.mark.parametrize("threads", [1, 2])
    def test_numeric_libraries_are_held_to_the_threads_asked_for(self, backend: Any, threads: int) -> None:
        (outcome,) = Compute(backend, cpus=2, threads=threads).map(lambda name: os.environ[name], ["OMP_NUM_THREADS"])
        assert outcome.get() == str(threads)

    def test_work_inside_a_worker_starts_no_workers_unasked(self, backend: Any) -> None:
        def nested(item: int) -> bool:
            inner = Compute().map(lambda _: os.getpid(), [1, 2])
            return {outcome.get() for outcome in inner} == {os.getpid()}

        (outcome,) = Compute(backend, cpus=1).map(nested, [0])
        assert outcome.get() is True


def test_auto_keeps_one_item_here_and_gives_several_to_ray() -> None:
    (one,) = Compute(cpus=2).map(lambda item: os.getpid(), iter([0]))
    assert one.get() == os.getpid()
    several = list(Compute(cpus=2).map(lambda item: os.getpid(), iter([0, 1])))
    assert os.getpid() not in {outcome.get() for outcome in several}
    assert "ray" in sys.modules


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "spark"}, "backend 'spark' is not one of auto, inline, processes, ray"),
        ({"cpus": 0}, "cpus is 0; at least 1"),
        ({"threads": 0}, "threads is 0; at least 1"),
        ({"backend": "inline", "address": "head:6379"}, "takes no address"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ComputeError, match=message):
        Compute(**settings)
