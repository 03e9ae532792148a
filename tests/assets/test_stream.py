"""The stream: everything is handled once, in order, in batches that grow with the load; errors come back."""

import threading
import time

import pytest

from mlops_assets.assets.stream import LARGEST, MANY, WAITING, Stream, moment_for


def test_everything_is_handled_in_order_and_at_the_latest_on_closing() -> None:
    batches: list[list[int]] = []
    with Stream[int](batches.append) as stream:
        for number in range(1000):
            stream.put(number)
    assert [number for batch in batches for number in batch] == list(range(1000))
    assert max(map(len, batches)) <= LARGEST


def test_what_comes_while_a_batch_is_handled_is_the_next_batch() -> None:
    batches: list[list[int]] = []
    busy, go_on = threading.Event(), threading.Event()

    def handle(batch: list[int]) -> None:
        batches.append(batch)
        busy.set()
        assert go_on.wait(10)

    with Stream[int](handle) as stream:
        stream.put(0)
        assert busy.wait(10)
        for number in range(1, 100):
            stream.put(number)
        go_on.set()
    assert batches == [[0], list(range(1, 100))]


def test_a_single_item_does_not_wait_for_more() -> None:
    handled = threading.Event()
    with Stream[int](lambda batch: handled.set()) as stream:
        stream.put(1)
        assert handled.wait(10)


def test_of_many_a_batch_is_what_came_within_a_longer_moment() -> None:
    batches: list[list[int]] = []
    with Stream[int](batches.append, moment=30.0) as stream:
        for number in range(3):
            stream.put(number)
            time.sleep(0.3)
    assert batches == [[0, 1, 2]]
    assert moment_for(MANY) < moment_for(MANY + 1) <= 1.0


def test_an_error_comes_back_and_nothing_later_is_handled() -> None:
    seen: list[int] = []

    def handle(batch: list[int]) -> None:
        seen.extend(batch)
        raise OSError("the disk is full")

    def put_on_and_on(stream: Stream[int]) -> None:
        stream.put(1)
        while True:
            stream.put(2)
            time.sleep(0.01)

    with pytest.raises(OSError, match="the disk is full"), Stream[int](handle) as stream:
        put_on_and_on(stream)
    assert seen.count(1) == 1
    assert len(seen) <= LARGEST


def test_an_error_in_the_last_batch_comes_back_on_closing() -> None:
    def handle(batch: list[int]) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), Stream[int](handle) as stream:
        stream.put(1)


def test_an_error_outside_leaves_nothing_unhandled() -> None:
    seen: list[int] = []

    def interrupted(stream: Stream[int]) -> None:
        for number in range(10):
            stream.put(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Stream[int](seen.extend) as stream:
        interrupted(stream)
    assert seen == list(range(10))


def test_whoever_puts_waits_while_too_much_is_unhandled() -> None:
    busy, go_on, put = threading.Event(), threading.Event(), []

    def handle(batch: list[int]) -> None:
        busy.set()
        assert go_on.wait(10)

    def fill(stream: Stream[int]) -> None:
        for number in range(2 * WAITING):
            stream.put(number)
            put.append(number)

    with Stream[int](handle) as stream:
        stream.put(0)
        assert busy.wait(10)
        filling = threading.Thread(target=fill, args=(stream,))
        filling.start()
        filling.join(0.5)
        assert filling.is_alive() and len(put) <= WAITING
        go_on.set()
        filling.join(10)
    assert len(put) == 2 * WAITING
