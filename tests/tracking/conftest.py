"""Event logs to track runs in: each test that asks for ``log`` runs on SQLite and on a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.tracking.tracker import Tracker
from resources.event_log import EventLog
from tests.tracking.runs_logged import PROJECT, open_log


@pytest.fixture
def sqlite_log(tmp_path: Path) -> Iterator[EventLog]:
    """Dagster's own SQLite storage."""
    log = open_log(tmp_path / "home", stock=True)
    yield log
    log.instance.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """Our storage, on SQLite and on Postgres."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    opened = open_log(tmp_path / "home", url)
    yield opened
    opened.instance.dispose()


@pytest.fixture
def tracker(log: EventLog, tmp_path: Path) -> Tracker:
    return Tracker(log, PROJECT, tmp_path / "index")
