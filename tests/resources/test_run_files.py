"""The file of events that each Dagster run has on SQLite: a copy of an empty one, and whole whatever is killed."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from resources.event_storage.sqlite import BLANK, DRAFT, KeptSqliteEventLogStorage


def described(file: Path) -> list[object]:
    """All that is in a file that nothing was written to: tables, indices, rows and settings."""
    with sqlite3.connect(file) as connection:
        dump = list(connection.iterdump())
        settings = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "user_version")]
    connection.close()
    return [*sorted(dump), *settings]


def made_by_dagster(folder: Path) -> list[object]:
    stock = SqliteEventLogStorage(str(folder))
    with stock.run_connection("run"):
        pass
    stock.dispose()
    return described(folder / "run.db")


def test_each_run_has_the_file_that_dagster_itself_would_make(tmp_path: Path) -> None:
    ours = KeptSqliteEventLogStorage(str(tmp_path / "ours"))
    for run in ("one", "two"):
        with ours.run_connection(run):
            pass
    ours.dispose()
    expected = made_by_dagster(tmp_path / "stock")
    assert any("CREATE TABLE event_logs" in str(line) for line in expected)
    assert described(tmp_path / "ours" / "one.db") == expected
    assert described(tmp_path / "ours" / "two.db") == expected
    assert sorted(ours.get_all_run_ids()) == ["one", "two"]
    assert not list((tmp_path / "ours").glob(f"{DRAFT}*"))


@pytest.mark.parametrize("left", [f"{DRAFT}copy", f"{DRAFT}blank.db"])
def test_what_a_killed_process_left_half_copied_is_done_again(tmp_path: Path, left: str) -> None:
    """A copy is cut anywhere; the blank file that Dagster makes is without its last transactions."""
    expected = made_by_dagster(tmp_path / "stock")
    ours = KeptSqliteEventLogStorage(str(tmp_path / "ours"))
    if left.endswith(".db"):
        sqlite3.connect(tmp_path / "ours" / left).close()
    else:
        (tmp_path / "ours" / left).write_bytes((tmp_path / "stock" / "run.db").read_bytes()[:5000])
    with ours.run_connection("one"):
        pass
    ours.dispose()
    assert described(tmp_path / "ours" / "one.db") == expected
    assert not list((tmp_path / "ours").glob(f"{DRAFT}*"))


def test_a_file_that_stock_dagster_began_is_finished_and_not_replaced(tmp_path: Path) -> None:
    ours = KeptSqliteEventLogStorage(str(tmp_path))
    with sqlite3.connect(tmp_path / "one.db") as begun:
        begun.execute("CREATE TABLE kept (x)")
    begun.close()
    with ours.run_connection("one"):
        pass
    ours.dispose()
    tables = {str(line) for line in described(tmp_path / "one.db")}
    assert any("kept" in line for line in tables)
    assert any("CREATE TABLE event_logs" in line for line in tables)


def test_a_blank_file_that_somebody_deleted_is_made_again(tmp_path: Path) -> None:
    expected = made_by_dagster(tmp_path / "stock")
    ours = KeptSqliteEventLogStorage(str(tmp_path / "ours"))
    with ours.run_connection("one"):
        pass
    (tmp_path / "ours" / BLANK).unlink()
    with ours.run_connection("two"):
        pass
    ours.dispose()
    assert described(tmp_path / "ours" / BLANK) == described(tmp_path / "ours" / "two.db") == expected


def test_another_version_of_dagster_has_a_blank_file_of_its_own(tmp_path: Path) -> None:
    expected = made_by_dagster(tmp_path / "stock")
    ours = KeptSqliteEventLogStorage(str(tmp_path / "ours"))
    shutil.copy(tmp_path / "stock" / "index.db", tmp_path / "ours" / ".blank-1.0.0")
    with ours.run_connection("one"):
        pass
    ours.dispose()
    assert described(tmp_path / "ours" / "one.db") == expected
    assert (tmp_path / "ours" / BLANK).exists()
