"""The tracker: runs as records and rows, found by the ends of their ids, in short by subproject."""

from datetime import UTC
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import MlopsError, UnknownName
from resources.event_log import EventLog
from tests.tracking.runs_logged import PROJECT, log_runs, record


@pytest.fixture
def tracker(sqlite_log: EventLog, tmp_path: Path) -> Tracker:
    return Tracker(sqlite_log, PROJECT, tmp_path / "index")


def test_a_run_is_found_by_its_id_or_an_end_of_it_that_is_unique(tracker: Tracker) -> None:
    runs = [record(1, run_id="0199aaaa-1111"), record(2, run_id="0199aaaa-2222"), record(3, run_id="0199aaaa-22222")]
    log_runs(tracker.event_log, runs)
    assert tracker.find("0199aaaa-1111") == runs[0]
    assert tracker.find("aaa-1111") == runs[0]
    assert tracker.find("0199aaaa-2222") == runs[1], "a whole id is never too short"
    with pytest.raises(UnknownName, match=r"'0199aaaa' fits 3 runs \(0199aaaa-22222, 0199aaaa-2222, .*give more"):
        tracker.find("0199aaaa")
    with pytest.raises(UnknownName, match="no run '1111' is tracked; the last one is 0199aaaa-22222"):
        tracker.find("1111")
    with pytest.raises(UnknownName, match="no run '%%%%%%' is tracked"):
        tracker.find("%%%%%%")


def test_without_runs_the_error_says_how_to_make_one(tracker: Tracker) -> None:
    with pytest.raises(UnknownName, match="no run is tracked yet, `mlops run` makes one"):
        tracker.find("0199aaaa")


def test_each_subproject_in_short(tracker: Tracker) -> None:
    runs = [record(n, subproject="AB"[n % 2], status="failed" if n < 2 else "succeeded") for n in range(7)]
    log_runs(tracker.event_log, runs[::-1])
    latest = tracker.latest()
    assert {key: (of.runs, of.failed, of.last) for key, of in latest.items()} == {
        "A": (4, 1, runs[6]),
        "B": (3, 1, runs[5]),
    }
    assert tracker.latest(["B", "C"]).keys() == {"B"}
    tracker.annotate(runs[5].run_id, "me", Overlay(note="look"))
    assert tracker.latest(["B"])["B"].last.note == "look"


def test_the_runs_of_a_dagster_run(tracker: Tracker) -> None:
    runs = [record(n, dagster_run_id="one's" if n < 2 else "other") for n in range(4)]
    log_runs(tracker.event_log, runs)
    assert tracker.of_dagster_run("one's") == runs[:2]
    assert tracker.of_dagster_run("' or true or '") == []


def test_an_annotation_goes_to_the_asset_of_its_run(tracker: Tracker) -> None:
    run = record(1)
    log_runs(tracker.event_log, [run], asset="model")
    tagged = tracker.annotate(run.run_id[:20], "me", Overlay(tags={"a b": "c"}))
    assert tagged.tags == {"hub": "JFK", "a b": "c"}
    assert len(list(tracker.event_log.events((PROJECT, "model"), kind="observation"))) == 1
    with pytest.raises(MlopsError, match="'' is no name for a tag"):
        tracker.annotate(run.run_id, "me", Overlay(tags={"": "c"}))
    with pytest.raises(UnknownName):
        tracker.annotate("not tracked", "me", Overlay(note="x"))
    assert tracker.find(run.run_id) == tagged


def test_a_frame_is_typed_and_has_the_columns_that_its_runs_have(tracker: Tracker) -> None:
    runs = [
        record(1, parameters={"depth": 1, "rate": 1, "mixed": 1}, fold=0),
        record(2, parameters={"depth": 2, "rate": 0.5, "mixed": "a"}, metrics={}),
        record(3, parameters={"rate": 2, "mixed": [1, {"b": None}], "on": True}, tags={}),
        record(4, subproject="BB", parameters={"other": "x"}),
    ]
    log_runs(tracker.event_log, runs)
    frame = tracker.frame(RunQuery(subprojects=("AA",), sort="created_at"))
    assert list(frame["run_id"]) == [run.run_id for run in runs[:3]]
    assert "params.other" not in frame and str(frame["params.depth"].dtype) == "Int64"
    assert list(frame["params.rate"]) == [1.0, 0.5, 2.0] and frame["params.rate"].dtype == "float64"
    assert list(frame["params.mixed"]) == [1, "a", [1, {"b": None}]]
    assert frame["seed"].dtype == "int64" and str(frame["fold"].dtype) == "Int64"
    assert list(frame["params.on"].dropna()) == [True] and str(frame["params.on"].dtype) == "boolean"
    assert frame["created_at"].dt.tz is UTC or str(frame["created_at"].dt.tz) == "UTC"
    assert frame["created_at"][0] == pd.Timestamp(runs[0].created_at)
    assert frame["metrics.rmse"].isna().tolist() == [False, True, False]
    assert frame["stage"].isna().all(), "fixed columns are always there"
    nothing = tracker.frame(RunQuery(where="seed > 100"))
    assert len(nothing) == 0 and {"run_id", "metrics.rmse"} <= set(nothing.columns)


def test_limits_kinds_and_statuses(tracker: Tracker) -> None:
    log_runs(tracker.event_log, [record(n, kind="dev" if n % 2 else "trial") for n in range(6)])
    assert tracker.rows(RunQuery(kind="trial")).column("seed") == [4, 2, 0]
    limited = tracker.rows(RunQuery(limit=2))
    assert limited.found == 6 and limited.column("seed") == [5, 4]
    with pytest.raises(MlopsError, match="kind 'trail' is none; there are dev, trial, retrain, replay"):
        RunQuery(kind="trail")
    with pytest.raises(MlopsError, match="status 'ok' is none; there are succeeded, failed"):
        RunQuery(status="ok")
    with pytest.raises(MlopsError, match="limit -1"):
        RunQuery(limit=-1)


def test_a_home_whose_name_looks_like_a_pattern(sqlite_log: EventLog, tmp_path: Path) -> None:
    log_runs(sqlite_log, [record(1)])
    tracker = Tracker(sqlite_log, PROJECT, tmp_path / "in*dex [1] 'a' {b}?")
    assert len(tracker.records()) == 1 and len(tracker.rows(RunQuery()).rows) == 1


def test_an_index_that_cannot_be_written_says_so(sqlite_log: EventLog, tmp_path: Path) -> None:
    log_runs(sqlite_log, [record(1)])
    (tmp_path / "index").write_text("a file where the folder should be")
    with pytest.raises(MlopsError, match="the index of runs cannot be written in .*index/.*: Not a directory"):
        Tracker(sqlite_log, PROJECT, tmp_path / "index").records()


def test_the_row_of_a_record_of_a_later_version_is_read_all_the_same(tracker: Tracker) -> None:
    import json

    import dagster as dg

    from mlops_assets.tracking.record import to_text

    later = {**json.loads(to_text(record(1))), "version": 2, "more": {"x": 1}}
    metadata = {"record": json.dumps(later)}
    key = dg.AssetKey([PROJECT, "experiments"])
    tracker.event_log.store([dg.AssetMaterialization(key, partition="AA", metadata=metadata)])
    assert tracker.rows(RunQuery()).column("metrics.rmse") == [1.0]
