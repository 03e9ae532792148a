"""What has to be fixed, besides the inputs, for a run to give the same predictions again."""

import random
from collections.abc import Iterator
from contextlib import contextmanager


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
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads):
        yield
