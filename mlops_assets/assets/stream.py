"""What arrives, handled in the background in batches that grow with the load; nothing waits longer than a moment."""

import queue
import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

MOMENT = 0.25
# For many items whose batches cost more by the batch (transactions, flushes to disk) than by the item.
UNHURRIED = 1.0
MANY = 50
LARGEST = 200
WAITING = 1000


def moment_for(total: int) -> float:
    """How long the first of a batch waits for others: longer where there are many."""
    return UNHURRIED if total > MANY else MOMENT


class Stream(Generic[T]):
    """Hands what is ``put`` to ``handle``, in order, from one thread: all that came within ``moment`` is one batch.

    A batch holds at most 200 items; whoever puts waits while 1,000 are not handled yet, so that memory stays bounded.
    What ``handle`` raises is raised again by the next ``put``, or when the stream closes; later items are not handled
    then. Closing, also because of an error outside, handles what was put before.
    """

    def __init__(self, handle: Callable[[list[T]], None], moment: float = MOMENT) -> None:
        self._handle = handle
        self._moment = moment
        self._items: queue.Queue[T | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="stream", daemon=True)

    def __enter__(self) -> "Stream[T]":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._items.put(None)
        self._thread.join()
        if error is None:
            self._raise_again()

    def put(self, item: T) -> None:
        self._raise_again()
        self._items.put(item)

    def _raise_again(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        """Goes on taking items after an error, so that nobody who puts waits for ever."""
        failed = last = False
        while not last:
            batch, last = self._gather()
            if not batch or failed:
                continue
            try:
                self._handle(batch)
            except BaseException as error:  # noqa: BLE001 - raised again where items are put
                self._error, failed = error, True

    def _gather(self) -> tuple[list[T], bool]:
        """The items of one batch, and whether they are the last."""
        first = self._items.get()
        if first is None:
            return [], True
        batch = [first]
        end = monotonic() + self._moment
        while len(batch) < LARGEST:
            try:
                item = self._items.get(timeout=max(0.0, end - monotonic()))
            except queue.Empty:
                break
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False
