"""Items that are decided by outcomes so far, and items that say what they need of a machine."""

from collections.abc import Iterator
from typing import Any

import pytest

from resources.compute import LATER, Compute, ComputeError, Later, Needs


@pytest.mark.parametrize("backend", ["inline", "processes", "ray"])
class TestEveryBackend:
    def test_a_source_may_wait_for_outcomes(self, backend: Any) -> None:
        brought: list[int] = []

        def one_after_another() -> Iterator[int | Later]:
            """Each item is the sum of all outcomes so far, so that none can be known before the last is back."""
            for number in range(6):
                while len(brought) < number:
                    yield LATER
                yield sum(brought) + 1

        for outcome in Compute(backend, cpus=2).map(lambda item: item, one_after_another()):
            brought.append(outcome.get())
        assert brought == [1, 2, 4, 8, 16, 32]

    def test_a_source_that_waits_for_nothing_is_refused_and_does_not_hang(self, backend: Any) -> None:
        with pytest.raises(ComputeError, match="nothing is in flight"):
            list(Compute(backend, cpus=1).map(lambda item: item, iter([LATER])))

    def test_items_that_need_more_run_beside_fewer(self, backend: Any) -> None:
        needs = {0: Needs(2.0), 1: Needs(0.5), 2: Needs(2.0), 3: Needs(0.5)}
        outcomes = Compute(backend, cpus=2).map(lambda item: item, range(4), needs=needs.__getitem__)
        assert sorted(outcome.get() for outcome in outcomes) == [0, 1, 2, 3]


def test_of_two_items_that_need_all_there_is_one_waits() -> None:
    def moments(_: int) -> tuple[float, float]:
        import time

        began = time.time()
        time.sleep(0.3)
        return began, time.time()

    compute = Compute("processes", cpus=2)
    list(compute.map(lambda item: item, range(2)))
    (first, second) = sorted(o.get() for o in compute.map(moments, range(2), needs=lambda _: Needs(2.0)))
    assert second[0] >= first[1]


@pytest.mark.parametrize("backend", ["processes", "ray", "inline"])
def test_what_no_machine_has_is_refused_beforehand(backend: Any) -> None:
    compute = Compute(backend)
    compute.refuse([Needs(), Needs(0.5), Needs(1.0, 0.0, 2**20)])
    for needs, said in (
        (Needs(999.0), "999 CPUs"),
        (Needs(1.0, 4.0), "4 GPUs"),
        (Needs(memory=2**60), "GiB of memory"),
    ):
        with pytest.raises(ComputeError, match=f"one run needs .*{said}.*; the largest machine has"):
            compute.refuse([Needs(), needs])
