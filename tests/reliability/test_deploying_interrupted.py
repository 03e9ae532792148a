"""A deployment that is killed, locked out, short of space, or one of two at once: whole or not at all."""

import json
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.ledger.ledger import Ledger
from tests.end_to_end import staged_lines
from tests.end_to_end.conftest import ProjectFolder
from tests.end_to_end.staged_lines import STAGED_PIPELINE

PATIENCE = 120.0
LARGEST_FILE = 8_000_000


@pytest.fixture
def lines(folder: ProjectFolder) -> ProjectFolder:
    staged_lines.declare(folder)
    return folder


@pytest.fixture
def ledger(lines: ProjectFolder) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{lines.home}/ledger.db")
    yield opened
    opened._database.engine.dispose()


def start(folder: ProjectFolder, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "mlops_assets.cli.app", *arguments, "--json"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder.path, env=folder.environment, stdout=pipe, stderr=pipe, text=True)


def wait_for(what: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        if process.poll() is not None:
            raise AssertionError(f"it ended: {process.communicate()}")
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


def kept_runs(folder: ProjectFolder) -> list[Path]:
    return sorted((folder.home / "artifacts" / "runs" / "lines").glob("*/*/record.json"))


DEPLOY = ("deploy", "a", "b", "--stage", "testing", "--why", "the first one")


def test_killed_between_training_and_deployment_nothing_serves_and_doing_it_again_finishes(
    lines: ProjectFolder, ledger: Ledger
) -> None:
    # Nothing can be appended meanwhile: one of the two may be proven long before the other is trained.
    lock = sqlite3.connect(lines.home / "ledger.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    process = start(lines, *DEPLOY)
    attempts = lines.home / "artifacts" / "attempts" / "lines"
    wait_for(lambda: len(list(attempts.glob("*/testing.json"))) == 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lock.execute("ROLLBACK")
    lock.close()
    assert ledger.position() == 0
    trained = kept_runs(lines)
    assert len(trained) == 2

    decisions = {row["subproject"]: row for row in lines.json(*DEPLOY)}
    assert {row["result"] for row in decisions.values()} == {"deployed"}
    assert kept_runs(lines) == trained, "what was trained was trained again"
    served = {row["subproject"]: row for row in lines.json("deployments")}
    assert {row["run_id"] for row in served.values()} == {path.parent.name for path in trained}
    assert all(row["evidence"]["reused"] and row["evidence"]["parity"]["identical"] for row in served.values())
    assert {run["run_id"] for run in lines.json("runs")} == {path.parent.name for path in trained}
    assert lines.json(*DEPLOY)[0]["result"] == "unchanged"


def test_of_two_deployers_at_once_one_wins_and_the_other_is_told(lines: ProjectFolder, ledger: Ledger) -> None:
    lock = sqlite3.connect(lines.home / "ledger.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    one = start(lines, "deploy", "a", "--stage", "testing", "--why", "ada's", "--now", "2013-05-01")
    two = start(lines, "deploy", "a", "--stage", "testing", "--why", "bob's", "--now", "2013-06-01")
    # Both have decided over an empty stage, and both models are trained.
    wait_for(lambda: len(kept_runs(lines)) == 2, one)
    time.sleep(0.5)
    lock.execute("ROLLBACK")
    lock.close()
    answers = [json.loads(process.communicate(timeout=PATIENCE)[0])[0] for process in (one, two)]
    assert sorted(answer["result"] for answer in answers) == ["deployed", "lost"]
    assert sorted(process.returncode for process in (one, two)) == [0, 1]
    (winner,) = (answer for answer in answers if answer["result"] == "deployed")
    (loser,) = (answer for answer in answers if answer["result"] == "lost")
    assert winner["run_id"] in loser["said"] and "was faster" in loser["said"]
    (row,) = ledger.history("lines")
    assert row.run_id == winner["run_id"]


def test_a_disk_without_room_for_the_model_leaves_nothing_half_visible(lines: ProjectFolder, ledger: Ledger) -> None:
    fat = STAGED_PIPELINE.replace("self.alpha = alpha", "self.alpha, self.fat = alpha, os.urandom(12_000_000)")
    lines.write("lines/pipeline.py", fat)
    command = [sys.executable, "-m", "mlops_assets.cli.app", *DEPLOY]

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))

    # Files that are written grow to no more than this, as on a disk that is full; the workers inherit it.
    done = subprocess.run(
        command, cwd=lines.path, env=lines.environment, preexec_fn=no_room, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 1 and "2 failed" in done.stdout and "File too large" in done.stdout, done.stderr
    assert ledger.position() == 0 and ledger.current("lines") == {}
    artifacts = lines.home / "artifacts"
    assert not list(artifacts.rglob("*.model")) and not list(artifacts.rglob(".*.tmp"))
    assert {run["status"] for run in lines.json("runs")} == {"failed"}
    assert {row["result"] for row in lines.json(*DEPLOY)} == {"deployed"}


def test_a_ledger_that_is_locked_for_a_while_is_waited_for(lines: ProjectFolder, ledger: Ledger) -> None:
    lock = sqlite3.connect(lines.home / "ledger.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    process = start(lines, *DEPLOY)
    wait_for(lambda: len(kept_runs(lines)) == 2, process)
    time.sleep(2.0)
    assert process.poll() is None
    lock.execute("ROLLBACK")
    lock.close()
    answer, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert {row["result"] for row in json.loads(answer)} == {"deployed"} and ledger.position() == 2
