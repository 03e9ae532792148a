"""What has to be fixed, besides the inputs, for a run to give the same predictions again."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's global random generators start from ``seed``; afterwards they go on where they were."""
    import numpy as np

    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """BLAS and OpenMP use at most ``threads`` threads: those loaded by now, so enter it again once more are loaded."""
    with _thread_pools(len(sys.modules)).limit(limits=threads):
        yield


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    """The numeric libraries of this process. Looking for them takes milliseconds, and they are loaded by imports."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
