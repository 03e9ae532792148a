import gc

import pytest

from partitions.memory import values_that_stay


def test_the_garbage_collector_rests_and_goes_on_as_before() -> None:
    assert gc.isenabled()
    with values_that_stay():
        assert not gc.isenabled()
        with values_that_stay():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="wrong"), values_that_stay():
        raise ValueError("wrong")
    assert gc.isenabled()
