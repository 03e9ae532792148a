"""Runs whose events are gone are reported again from their record.json; on SQLite and on Postgres."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.opened.launching import RunsFailed
from mlops_assets.opened_project import OpenedProject
from mlops_assets.tracking.record import RunRecord, document_path
from tests.public.conftest import declare, opened

KINDS = ("experiments", "model", "metrics", "trials")


@pytest.fixture(params=["sqlite", "postgres"])
def p(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenedProject]:
    if request.param == "postgres":
        monkeypatch.setenv("MLOPS_DATABASE_URL", request.getfixturevalue("postgres_url"))
    # What was written a moment ago would be left alone.
    monkeypatch.setattr("mlops_assets.tracking.lost_runs.SETTLING", timedelta(0))
    project = opened(folder)
    yield project
    project.event_log.instance.dispose()


def wipe(p: OpenedProject, *assets: str) -> None:
    p.event_log.instance.wipe_assets([dg.AssetKey(["lines", asset]) for asset in assets])


def lose(p: OpenedProject, dagster_run_id: str | None) -> None:
    """The process died before it logged anything: its Dagster run is known, its events are not there."""
    assert dagster_run_id is not None
    p.event_log.instance.event_log_storage.delete_events(dagster_run_id)


def latest(p: OpenedProject, asset: str, key: str) -> str | None:
    event = p.event_log.latest(("lines", asset), [key]).get(key)
    return None if event is None else event.metadata["run_id"]


def by_id(p: OpenedProject) -> dict[str, RunRecord]:
    return {record.run_id: record for record in p.tracker.records()}


def test_runs_come_back_where_they_were_after_their_assets_were_wiped(p: OpenedProject, folder: Path) -> None:
    trained = {record.subproject: record for record in p.train()}
    tried = [p.run("a", params={"alpha": alpha}, seed=1)[0] for alpha in (2.0, 3.0)]
    before = by_id(p)
    wipe(p, "experiments", "model", "metrics")
    assert by_id(p) == {}
    assert {record.run_id for record in p.lost_runs().records} == set(before)

    done = p.repair()
    assert set(done.materialized) == set(before) and not done.observed and not done.unreadable
    assert by_id(p) == before
    for key, record in trained.items():
        assert latest(p, "model", key) == latest(p, "metrics", key) == record.run_id
    assert latest(p, "experiments", "a") == tried[1].run_id, "the newest is the last"
    (event,) = p.event_log.events(("lines", "metrics"), ["a"])
    assert event.metadata["rmse"] == trained["a"].metrics["rmse"] and "reported_again" in event.metadata

    events = [len(list(p.event_log.events(("lines", asset)))) for asset in KINDS]
    assert p.repair().runs == 0
    assert [len(list(p.event_log.events(("lines", asset)))) for asset in KINDS] == events
    assert p.lost_runs().records == ()


def test_an_older_run_is_tracked_again_and_does_not_become_the_newest(p: OpenedProject) -> None:
    old = p.train(["a"])[0]
    tried = p.run("a", params={"alpha": 2.0}, seed=1)[0]
    newer = p.train(["a"])[0]
    lose(p, old.dagster_run_id)
    lose(p, tried.dagster_run_id)
    assert set(by_id(p)) == {newer.run_id}

    done = p.repair()
    assert done.observed == (old.run_id,) and done.materialized == (tried.run_id,)
    assert set(by_id(p)) == {old.run_id, tried.run_id, newer.run_id}
    assert latest(p, "model", "a") == latest(p, "metrics", "a") == newer.run_id
    assert latest(p, "experiments", "a") == tried.run_id
    # What was observed stays so: the run is found under the asset it belongs to, notes go there too.
    p.note(old.run_id, "came back")
    (observed, _) = p.event_log.events(("lines", "model"), ["a"], "observation")
    assert observed.metadata["run_id"] == old.run_id


def test_a_failed_run_comes_back_as_an_observation(p: OpenedProject, folder: Path) -> None:
    declare(folder, {"a": 1.0, "b": 2.0}, {"b": "fit"})
    p = opened(folder)
    with pytest.raises(RunsFailed) as caught:
        p.train()
    (failed,) = [record for record in caught.value.records if record.status == "failed"]
    lose(p, failed.dagster_run_id)
    done = p.repair()
    assert done.observed == (failed.run_id,) and len(done.materialized) == 1
    assert p.record(failed.run_id) == failed
    assert latest(p, "model", "b") is None


def test_kinds_go_to_their_assets_and_what_nobody_knows_to_experiments(p: OpenedProject) -> None:
    record = p.run("a", seed=1)[0]
    made = {}
    for number, (kind, dagster_run_id) in enumerate(
        [("trial", record.dagster_run_id), ("replay", None), ("dev", "gone"), ("retrain", None)]
    ):
        run_id = f"{record.run_id[:-4]}{number:04d}"
        like = record.model_copy(update={"run_id": run_id, "kind": kind, "dagster_run_id": dagster_run_id})
        p.artifacts.write_document(document_path(like), like.model_dump_json())
        made[kind] = run_id
    assert p.repair().runs == 4
    asset_of = {
        event.metadata["run_id"]: asset
        for asset in ("experiments", "model", "trials")
        for kind in ("materialization", "observation")
        for event in p.event_log.events(("lines", asset), kind=kind)
    }
    assert {kind: asset_of[run_id] for kind, run_id in made.items()} == {
        "trial": "trials", "replay": "experiments", "dev": "experiments", "retrain": "model"
    }  # fmt: skip


def test_a_record_that_cannot_be_read_is_named_and_left_alone(p: OpenedProject) -> None:
    kept, damaged, moved = (p.run("a", seed=seed)[0] for seed in range(3))
    text = p.artifacts.read_document(document_path(damaged))
    p.artifacts.write_document(document_path(damaged), text[: len(text) // 2])
    p.artifacts.write_document(document_path(moved), p.artifacts.read_document(document_path(kept)))
    assert p.repair().unreadable == {}, "what is tracked needs no record.json"
    wipe(p, "experiments")

    done = p.repair()
    assert done.materialized == (kept.run_id,)
    assert set(done.unreadable) == {document_path(damaged), document_path(moved)}
    assert "is damaged" in done.unreadable[document_path(damaged)]
    assert "of another run" in done.unreadable[document_path(moved)]
    assert p.artifacts.read_document(document_path(damaged)) == text[: len(text) // 2]


def test_what_was_just_written_is_left_alone(p: OpenedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    record = p.run("a", seed=1)[0]
    lose(p, record.dagster_run_id)
    monkeypatch.setattr("mlops_assets.tracking.lost_runs.SETTLING", timedelta(minutes=1))
    assert p.repair().recent == (record.run_id,) and by_id(p) == {}


def test_repairs_at_once_report_each_run_once(p: OpenedProject, folder: Path) -> None:
    for seed in range(3):
        p.run(["a", "b"], seed=seed)
    wipe(p, "experiments")
    others = [opened(folder) for _ in range(3)]
    threads = [threading.Thread(target=other.repair) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(p.event_log.events(("lines", "experiments")))) == len(by_id(p)) == 6
    for other in others:
        other.event_log.instance.dispose()


def test_the_count_of_subprojects_whose_datasets_have_no_event(p: OpenedProject) -> None:
    p.train()
    assert p.snapshots_without_events() == 0
    wipe(p, "dataset")
    assert p.snapshots_without_events() == 2
    assert json.dumps(p.repair().model_dump(mode="json"))
