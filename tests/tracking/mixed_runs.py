"""Tracked runs whose columns hold values of many types, and which of them a condition finds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from tests.tracking.runs_logged import PROJECT, log_runs, open_log, record


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    """40 runs whose columns hold whole numbers, fractions, text, true and false, lists, and nothing."""
    folder: Path = tmp_path_factory.mktemp("where")
    log = open_log(folder)
    mixed: list[Any] = [1, 2.5, "2", True, [3], "text", None, -7]
    runs = [
        record(
            n,
            subproject=f"S{n % 4}",
            parameters={"depth": n % 7, "mixed": mixed[n % 8], "C": n / 8, "c": f"c{n % 3}", "odd name": n},
            metrics={"rmse": (n * 7 % 11) / 4} if n % 5 else {"mae": 1.0},
            tags={"hub": "JFK" if n % 2 else "LAX"} if n % 3 else {},
            fold=n % 3 or None,
            code_version={"digest": "c", "commit": None, "dirty": n % 2 == 0},
        )
        for n in range(40)
    ]
    log_runs(log, runs)
    yield Tracker(log, PROJECT, folder / "index")
    log.instance.dispose()


def found(tracker: Tracker, where: str) -> list[int]:
    """The numbers (seeds) of the runs that fit, ascending."""
    return sorted(tracker.rows(RunQuery(where=where)).column("seed"))
