"""Sixteen processes that deploy to the same stages at once, and some of them killed: no sequence lost, none twice."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resources.ledger.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 16
SUBPROJECTS = 5
EACH = 6


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    address = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return address or f"sqlite:///{tmp_path}/ledger.db"


def start(url: str, deployments: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.resources.ledgers", url, str(SUBPROJECTS), str(deployments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def go(processes: "list[subprocess.Popen[str]]") -> None:
    """All of them have loaded what they need, and none has opened the ledger: it is new, and all make it at once."""
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def test_sixteen_deployers_lose_nothing_and_share_no_sequence(url: str) -> None:
    processes = [start(url, EACH) for _ in range(PROCESSES)]
    go(processes)
    told: list[int] = []
    lost = 0
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        answer = json.loads(out)
        told += answer["sequences"]
        lost += answer["lost"]
    ledger = Ledger.open(url)
    rows = ledger.history("delays")
    assert sorted(told) == [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    assert lost > 0, "nobody was ever in another's way: this tested nothing"
    chained(ledger)
    ledger._database.engine.dispose()


def test_a_killed_deployer_leaves_whole_decisions_or_none(url: str) -> None:
    seed = int(os.environ.get("MLOPS_TEST_SEED", random.randrange(10**6)))
    print(f"MLOPS_TEST_SEED={seed}")
    processes = [start(url, 10**6) for _ in range(4)]
    go(processes)
    ledger = Ledger.open(url)
    target = random.Random(seed).randrange(20, 60)
    while ledger.position() < target:
        pass
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    rows = ledger.history("delays")
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    # Each decision was a pair: one in production, one in archive.
    assert sum(row.stage == "production" for row in rows) == sum(row.stage == "archive" for row in rows)
    chained(ledger)
    ledger._database.engine.dispose()


def chained(ledger: Ledger) -> None:
    """Every deployment of a place replaces the one before it."""
    last: dict[tuple[str, str, str], int] = {}
    for row in ledger.history("delays"):
        assert row.replaces == last.get(row.place, 0)
        last[row.place] = row.sequence
