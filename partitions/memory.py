"""Making many values at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def values_that_stay() -> Iterator[None]:
    """While the block runs, nobody looks for garbage.

    Python's garbage collector looks through all objects each time their number has grown by a quarter: while thousands
    of values that stay are made, that is a third of the time, and finds nothing.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
