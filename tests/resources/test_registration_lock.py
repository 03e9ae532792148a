"""The lock of registrations, on a file and in Postgres: one holder at a time, free at once when it is given back."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from resources.registration_lock import Busy, registration_lock


@pytest.fixture(params=["file", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path if request.param == "file" else str(request.getfixturevalue("postgres_url"))


def test_another_one_is_told_who_holds_it(place: Path | str) -> None:
    with (
        registration_lock(place, "delays", "ann on pier, process 7"),
        pytest.raises(Busy, match="'delays' is being registered now by ann on pier, process 7; nothing was changed"),
        registration_lock(place, "delays", "ben"),
    ):
        raise AssertionError("two hold it")
    with registration_lock(place, "delays", "ann"), registration_lock(place, "arrivals", "ben"):
        pass


def test_it_is_free_at_once_for_the_next_also_after_an_error(place: Path | str) -> None:
    for number in range(100):
        with registration_lock(place, "delays", f"holder {number}"):
            pass
    with pytest.raises(ZeroDivisionError), registration_lock(place, "delays", "ann"):
        _ = 1 / 0
    with registration_lock(place, "delays", "ben"):
        pass


def test_who_waits_long_enough_gets_it_and_others_do_not(place: Path | str) -> None:
    with registration_lock(place, "delays", "ann"), pytest.raises(Busy, match="by ann"):
        registration_lock(place, "delays", "ben", patience=0.3).__enter__()
    with registration_lock(place, "delays", "ben", patience=0.3):
        pass


def test_a_connection_that_is_lost_meanwhile_has_given_it_back(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ann'"
    with registration_lock(postgres_url, "delays", "ann"), engine.connect() as connection:
        assert connection.execute(sa.text(others)).scalars().all() == [True]
    with registration_lock(postgres_url, "delays", "ben", patience=10):
        pass
