"""Runs whose events are gone are reported again from what was kept beside their artifacts."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets import repairing
from mlops_assets.opened_project import OpenedProject
from tests.public.conftest import opened


@pytest.fixture
def used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> OpenedProject:
    """A project with runs of every kind, which count as old enough to be lost."""
    monkeypatch.setattr(repairing, "ON_ITS_WAY", timedelta(0))
    p = opened(folder)
    p.train(["a", "b"])
    p.run("a", params={"alpha": 4.0}, seed=7)
    p.replay(p.run("a", seed=8)[0].run_id)
    return p


def wipe(p: OpenedProject) -> None:
    p.event_log.instance.wipe_assets([dg.AssetKey(["lines", name]) for name in ("model", "metrics", "experiments")])


def test_wiped_runs_come_back_where_they_were(used: OpenedProject) -> None:
    before = used.tracker.records()
    assert len(before) == 5 and used.lost_runs().records == ()
    wipe(used)
    assert used.tracker.records() == []
    assert used.repair() == 5
    assert used.tracker.records() == before
    materialized = {key: used.event_log.latest(("lines", key)) for key in ("model", "metrics", "experiments")}
    assert {key: sorted(events) for key, events in materialized.items()} == {
        "model": ["a", "b"],
        "metrics": ["a", "b"],
        "experiments": ["a"],
    }
    assert used.repair() == 0 and used.tracker.records() == before


def test_an_old_run_does_not_become_the_newest_materialisation(used: OpenedProject) -> None:
    old = used.event_log.latest(("lines", "model"))["a"].metadata["run_id"]
    wipe(used)
    (new,) = used.train(["a"])
    assert used.repair() == 5
    assert used.event_log.latest(("lines", "model"))["a"].metadata["run_id"] == new.run_id
    assert used.record(old).status == "succeeded"


def test_a_damaged_record_is_named_and_left_alone(used: OpenedProject) -> None:
    path = "runs/lines/a/0199/record.json"
    used.artifacts.write_document(path, '{"run_id": "0199"')
    lost = used.lost_runs()
    assert lost.records == () and set(lost.unreadable) == {path}
    assert used.repair() == 0
    assert used.artifacts.read_document(path) == '{"run_id": "0199"'


def test_what_may_be_on_its_way_is_left_alone(used: OpenedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairing, "ON_ITS_WAY", timedelta(minutes=1))
    wipe(used)
    assert used.lost_runs().records == () and used.repair() == 0
