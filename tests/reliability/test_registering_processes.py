"""Registering by several processes at once, and by processes that are killed; on SQLite and on Postgres."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_assets.tracking.registry import Registry
from tests.assets.registries import numbered, open_registry, prepare

ROOT = Path(__file__).resolve().parents[2]
MANY = 300


@pytest.fixture(params=["sqlite", "postgres"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return prepare(tmp_path / "dagster", url)


def start(folder: Path, hub: str) -> "subprocess.Popen[str]":
    """A process that has planned, and waits to be told to register."""
    command = [sys.executable, "-m", "tests.assets.registries", str(folder), str(MANY), hub]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def go(*processes: "subprocess.Popen[str]") -> float:
    """Once all of them have planned, all of them register. Returns when."""
    for process in processes:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] == MANY
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return time.monotonic()


def said(process: "subprocess.Popen[str]") -> dict[str, object]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    answer: dict[str, object] = json.loads(out.splitlines()[-1])
    return answer


def no_partition_without_configuration(registry: Registry) -> list[str]:
    keys = registry.keys()
    assert set(registry.configurations(keys)) == set(keys)
    return keys


def test_of_several_at_once_one_wins_and_the_others_are_told_and_change_nothing(folder: Path) -> None:
    processes = [start(folder, hub) for hub in ("AAA", "BBB", "CCC")]
    go(*processes)
    answers = [said(process) for process in processes]
    winners = [answer for answer in answers if "registered" in answer]
    losers = [answer for answer in answers if "error" in answer]
    assert len(winners) == 1 and winners[0]["registered"] == MANY, answers
    assert len(losers) == 2 and {loser["type"] for loser in losers} <= {"Busy", "Outdated"}
    registry = open_registry(folder)
    hubs = {configuration.tags["hub"] for configuration in registry.configurations().values()}
    assert len(hubs) == 1 and len(registry.keys()) == MANY
    # Each is told who it was.
    assert all(hub in str(loser["error"]) for loser in losers for hub in hubs), losers
    assert all(len(list(registry.event_log.events(registry.asset, [key]))) == 1 for key in registry.keys()[::50])


def test_killed_at_any_moment_it_is_finished_by_doing_it_again(folder: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    first = start(folder, "H0")
    began = go(first)
    assert "registered" in said(first)
    as_long_as_it_takes = time.monotonic() - began
    for attempt in range(1, 4):
        hub = f"H{attempt}"
        process = start(folder, hub)
        go(process)
        time.sleep(chance.uniform(0, as_long_as_it_takes))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        # Its lock went with it, and what it had written is whole.
        no_partition_without_configuration(open_registry(folder))
        again = start(folder, hub)
        assert again.stdin is not None
        answer = said(again)
        assert "registered" in answer, answer
        registry = open_registry(folder)
        assert no_partition_without_configuration(registry) == list(numbered(MANY))
        assert registry.configurations() == numbered(MANY, hub)
        for key in chance.sample(registry.keys(), 5):
            whats = [entry.what for entry in registry.history(key)]
            assert whats == ["registered"] + ["changed"] * attempt, (key, whats)
