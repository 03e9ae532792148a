"""The index of runs is the event log, whatever happens to either; on SQLite and on Postgres."""

import itertools
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from mlops_assets.tracking import segments
from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.event_source import BLOCK_BITS, Tally, tally
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.run_query import RunQuery, View
from mlops_assets.tracking.segments import Range, Segment, named, ranges_of
from mlops_assets.tracking.stored_events import FetchedEvents, SqlEvents
from mlops_assets.tracking.tracker import Tracker
from resources.event_log import EventLog
from tests.tracking.runs_logged import (
    PROJECT,
    SMALL_SEGMENTS,
    assert_equal_to_log,
    log_annotation,
    log_runs,
    open_log,
    record,
    run_ids,
    some_record,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KEYS = [dg.AssetKey([PROJECT, asset]) for asset in ("experiments", "model", "trials")]


def sql_source(log: EventLog) -> SqlEvents:
    return Tracker(log, PROJECT, Path("unused")).source  # type: ignore[return-value]


def counted(connection: "DuckDBPyConnection", view: View) -> int:
    """How many runs a view has."""
    (found,) = connection.execute(f"select count(*) from {view.source.text}", view.source.values).fetchall()
    return int(found[0])


def test_without_events_there_are_no_runs_and_no_files(tracker: Tracker) -> None:
    assert assert_equal_to_log(tracker) == 0
    assert tracker.frame(RunQuery()).empty and tracker.latest() == {} and tracker.subprojects() == []
    assert not tracker.index.folder.exists()


def test_a_run_is_seen_as_soon_as_its_event_is_logged(tracker: Tracker) -> None:
    for number in range(4):
        log_runs(tracker.event_log, [record(number)])
        assert assert_equal_to_log(tracker) == number + 1


def test_runs_of_every_kind_of_record_and_type(tracker: Tracker) -> None:
    rng = random.Random(1)
    for start in range(0, 120, 40):
        runs = [some_record(rng, number) for number in range(start, start + 40)]
        log_runs(tracker.event_log, runs[:20])
        log_runs(tracker.event_log, runs[20:], asset="model")
        assert_equal_to_log(tracker)
    shutil.rmtree(tracker.index.folder)
    assert assert_equal_to_log(tracker) == 120


def test_a_run_reported_again_counts_once_and_the_last_event_wins(tracker: Tracker) -> None:
    first, other = record(1), record(2)
    log_runs(tracker.event_log, [first, other])
    assert_equal_to_log(tracker)
    log_runs(tracker.event_log, [first.model_copy(update={"metrics": {"rmse": 99.0}, "status": "failed"})])
    assert assert_equal_to_log(tracker) == 2
    assert tracker.find(first.run_id).metrics == {"rmse": 99.0}
    assert tracker.rows(RunQuery()).by_status == {"failed": 1, "succeeded": 1}


def test_notes_and_tags_lie_over_the_record_and_the_last_one_wins(tracker: Tracker) -> None:
    run, other = record(1, tags={"hub": "JFK", "tier": "1"}), record(2)
    log_runs(tracker.event_log, [run, other])
    log_annotation(tracker.event_log, run, Overlay(note="first", tags={"tier": None, "new": "yes"}))
    log_annotation(tracker.event_log, run, Overlay(note='it\'s "second"'))
    assert assert_equal_to_log(tracker) == 2
    seen = tracker.find(run.run_id)
    assert seen.note == 'it\'s "second"' and seen.tags == {"hub": "JFK", "new": "yes"}
    assert run_ids(tracker, where="tags.new = 'yes'") == [run.run_id]
    assert run_ids(tracker, where="tags.tier is null") == [other.run_id, run.run_id]
    # Also over a record that is reported again later, and not once its run is gone.
    log_runs(tracker.event_log, [run])
    assert tracker.find(run.run_id).tags == {"hub": "JFK", "new": "yes"}
    assert_equal_to_log(tracker)


def test_a_wiped_asset_has_no_runs_and_new_ones_are_seen(tracker: Tracker) -> None:
    log_runs(tracker.event_log, [record(n) for n in range(5)])
    log_runs(tracker.event_log, [record(9)], asset="model")
    assert assert_equal_to_log(tracker) == 6
    tracker.event_log.instance.wipe_assets([KEYS[0]])
    assert assert_equal_to_log(tracker) == 1
    # On SQLite the events deleted leave their ids to these.
    log_runs(tracker.event_log, [record(100 + n) for n in range(5)])
    assert assert_equal_to_log(tracker) == 6


def test_events_of_a_deleted_dagster_run_are_gone(tracker: Tracker) -> None:
    for number, dagster_run in enumerate(["one", "two", "three"]):
        log_runs(tracker.event_log, [record(10 * number + n) for n in range(3)], dagster_run=dagster_run)
    assert assert_equal_to_log(tracker) == 9
    tracker.event_log.instance.event_log_storage.delete_events("two")
    assert assert_equal_to_log(tracker) == 6
    # The last ones are deleted and as many others logged before anybody looks: the ids are the same, the runs are not.
    tracker.event_log.instance.event_log_storage.delete_events("three")
    log_runs(tracker.event_log, [record(50 + n) for n in range(3)], dagster_run="four")
    assert assert_equal_to_log(tracker) == 6


def test_ids_given_again_are_noticed_in_older_segments_too(sqlite_log: EventLog, tmp_path: Path) -> None:
    """Everything is deleted and more than before is logged: the first ids come again, below what was last known."""
    tracker = Tracker(sqlite_log, PROJECT, tmp_path / "index")
    log_runs(sqlite_log, [record(n) for n in range(20)], dagster_run="one")
    assert assert_equal_to_log(tracker) == 20
    sqlite_log.instance.event_log_storage.delete_events("one")
    log_runs(sqlite_log, [record(100 + n) for n in range(40)], dagster_run="two")
    assert assert_equal_to_log(tracker) == 40


def stored_row(run: RunRecord, folder: Path) -> dict[str, Any]:
    """The row that the event of a run is in an event log, but for its id."""
    log = open_log(folder)
    log_runs(log, [run])
    with log.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        row = connection.execute(sa.select(SqlEventLogStorageTable)).mappings().one()
    log.instance.dispose()
    return {name: value for name, value in row.items() if name != "id"}


def test_an_event_that_a_slow_transaction_brings_in_late_is_not_missed(postgres_url: str, tmp_path: Path) -> None:
    log = open_log(tmp_path / "home", postgres_url)
    tracker = Tracker(log, PROJECT, tmp_path / "index")
    late = record(1)
    engine = sa.create_engine(postgres_url)
    with engine.connect() as slow:
        slow.execute(sa.insert(SqlEventLogStorageTable).values(stored_row(late, tmp_path / "another")))
        log_runs(log, [record(number) for number in range(2, 6)])
        assert assert_equal_to_log(tracker) == 4
        slow.commit()
    assert assert_equal_to_log(tracker) == 5
    ids = [event.event_id for event in log.events((PROJECT, "experiments"))]
    run_texts = tracker.source.texts(ids[:1])
    assert late.run_id in run_texts[ids[0]], "the late event has the smallest id, or this proves nothing"
    engine.dispose()
    log.instance.dispose()


def test_the_index_may_be_deleted_between_and_while_it_is_read(tracker: Tracker) -> None:
    log_runs(tracker.event_log, [record(n) for n in range(10)])
    assert_equal_to_log(tracker)
    asked: list[int] = []

    def question(connection: "DuckDBPyConnection", view: View) -> int:
        if not asked:
            shutil.rmtree(tracker.index.folder)
        asked.append(1)
        return counted(connection, view)

    assert tracker.reader.ask(question) == 10
    assert assert_equal_to_log(tracker) == 10


def test_an_index_that_is_deleted_whenever_it_is_read_answers_all_the_same(tracker: Tracker) -> None:
    log_runs(tracker.event_log, [record(n) for n in range(10)])
    asked: list[int] = []

    def question(connection: "DuckDBPyConnection", view: View) -> int:
        shutil.rmtree(tracker.index.folder, ignore_errors=True)
        asked.append(1)
        log_runs(tracker.event_log, [record(10 + len(asked))])
        return counted(connection, view)

    assert tracker.reader.ask(question) == 10 + len(asked) - 1
    assert len(asked) > 1, "it was answered at once, and this proves nothing"
    assert assert_equal_to_log(tracker) == 10 + len(asked)


@pytest.mark.parametrize("damage", [b"", b"PAR1 is not all of it PAR1", None])
def test_a_damaged_segment_is_made_again(sqlite_log: EventLog, tmp_path: Path, damage: bytes | None) -> None:
    log_runs(sqlite_log, [record(n) for n in range(10)])
    assert_equal_to_log(Tracker(sqlite_log, PROJECT, tmp_path / "index"))
    for file in (tmp_path / "index").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-20] if damage is None else damage)
    assert assert_equal_to_log(Tracker(sqlite_log, PROJECT, tmp_path / "index")) == 10
    for file in (tmp_path / "index").rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-20] if damage is None else damage)
    # The damaged segment is also a piece of the next one.
    log_runs(sqlite_log, [record(99)])
    assert assert_equal_to_log(Tracker(sqlite_log, PROJECT, tmp_path / "index")) == 11


def test_another_event_log_under_the_same_index_is_noticed(tmp_path: Path) -> None:
    logs = [open_log(tmp_path / name) for name in ("one", "two")]
    for log in logs:
        log_runs(log, [record(n) for n in range(7)])
        assert assert_equal_to_log(Tracker(log, PROJECT, tmp_path / "index")) == 7
    assert assert_equal_to_log(Tracker(logs[0], PROJECT, tmp_path / "index")) == 7
    for log in logs:
        log.instance.dispose()


def test_both_ways_to_read_the_log_agree(log: EventLog) -> None:
    log_runs(log, [record(n) for n in range(5)], dagster_run="one")
    log_runs(log, [record(9, status="failed", metrics={})], asset="model")
    log.store([dg.AssetMaterialization(dg.AssetKey([PROJECT, "dataset"]), partition="AA")])
    fast, slow = sql_source(log), FetchedEvents(log.instance, KEYS)
    assert fast.total() == slow.total() and fast.blocks() == slow.blocks()
    ids = fast.ids(0, 1 << 40)
    assert ids == slow.ids(0, 1 << 40) and len(ids) == 6
    assert fast.read(0, 1 << 40) == slow.read(0, 1 << 40)
    assert fast.texts([*ids, 10_000]) == slow.texts([*ids, 10_000])


def test_a_log_that_is_only_fetched_is_indexed_alike(sqlite_log: EventLog, tmp_path: Path) -> None:
    tracker = Tracker(sqlite_log, PROJECT, tmp_path / "index")
    tracker.source = tracker.index.source = FetchedEvents(sqlite_log.instance, KEYS)
    log_runs(sqlite_log, [record(n) for n in range(5)], dagster_run="one")
    assert assert_equal_to_log(tracker) == 5
    sqlite_log.instance.wipe_assets([KEYS[0]])
    log_runs(sqlite_log, [record(n) for n in range(7)])
    assert assert_equal_to_log(tracker) == 7


def test_segments_grow_into_larger_ones_and_stale_ones_go(
    sqlite_log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SMALL_SEGMENTS.items():
        monkeypatch.setattr(name, value)
    monkeypatch.setattr("mlops_assets.tracking.segments.GRACE_SECONDS", -1.0)
    tracker = Tracker(sqlite_log, PROJECT, tmp_path / "index")
    rng = random.Random(3)
    number = 0
    while number < 200:
        size = rng.randrange(1, 30)
        log_runs(sqlite_log, [some_record(rng, number + n) for n in range(size)], dagster_run=f"run {number}")
        if rng.random() < 0.2:
            sqlite_log.instance.event_log_storage.delete_events(f"run {number}")
        number += size
        if rng.random() < 0.7:
            assert_equal_to_log(tracker)
    assert_equal_to_log(tracker)
    held = [named(file.name) for file in tracker.index.folder.iterdir()]
    assert all(segment is not None and segment.tally.size <= 32 for segment in held)
    assert len(held) == len(tracker.index.refresh().files) < 16


def test_ranges_cover_every_event_once_and_end_where_the_log_grows() -> None:
    rng = random.Random(5)
    for _ in range(50):
        blocks = {b: Tally(rng.randrange(1, 600), rng.randrange(10**9)) for b in rng.sample(range(4000), 300)}
        found = ranges_of(blocks)
        ordered = sorted(found, key=lambda of: of.first)
        assert all(one.end <= other.first for one, other in itertools.pairwise(ordered))
        assert sum(t.size for t in found.values()) == sum(t.size for t in blocks.values())
        for block in blocks:
            assert sum(of.first <= block << BLOCK_BITS < of.end for of in found) == 1
        assert ordered[-1] == Range(BLOCK_BITS, max(blocks))
        assert all(t.size <= segments.FULL or of.bits == BLOCK_BITS for of, t in found.items())
    assert ranges_of({}) == {}


def test_a_name_says_what_is_in_a_segment() -> None:
    segment = Segment(Range(9, 3), tally([1536, 1540]), 1540, "00ff00ff00ff00ff")
    assert named(segment.name) == segment
    assert [named(name) for name in ("x.parquet", "1-2-3-4-5-6.draft", "a-b-c-d-z-6.parquet")] == [None] * 3
    assert tally([1, 5, 6]) != tally([2, 3, 7]), "equal in number, sum and sum of squares"
