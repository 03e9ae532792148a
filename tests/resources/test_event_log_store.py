"""EventLog over a home: many events in one call, as Dagster itself would have logged them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.test_utils import create_run_for_test

from resources.event_log import EventLog
from resources.event_storage.entries import NotMade, RunStep
from resources.home import Home
from tests.resources.storages import judged, made, seen

VARIABLES = ("MLOPS_HOME", "DAGSTER_HOME", "MLOPS_DATABASE_URL", "MLOPS_EVENT_LOG")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(params=["sqlite", "postgres", "stock sqlite", "stock postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventLog]:
    if "postgres" in request.param:
        monkeypatch.setenv("MLOPS_DATABASE_URL", request.getfixturevalue("postgres_url"))
    if "stock" in request.param:
        monkeypatch.setenv("MLOPS_EVENT_LOG", "stock")
    opened = EventLog.open(Home(tmp_path / "home"))
    is_ours = hasattr(opened.instance.event_log_storage, "takes_mixed_batches")
    assert is_ours == ("stock" not in request.param)
    assert type(opened.instance.event_log_storage).__name__.lower().count("postgres") == ("postgres" in request.param)
    yield opened
    opened.instance.dispose()


def events() -> list[Any]:
    described = dg.AssetMaterialization("y", partition="q", description="described")
    check = dg.AssetCheckEvaluation(asset_key=dg.AssetKey("x"), check_name="d", passed=False, description="why")
    return [made("x", "p", "1", rmse=1.5), seen("x", "q"), judged("x", "c", True, "p"), described, check]


@dg.multi_asset(
    name="lifecycle",
    specs=[dg.AssetSpec("x"), dg.AssetSpec("y")],
    check_specs=[dg.AssetCheckSpec("c", asset="x"), dg.AssetCheckSpec("d", asset="x")],
)
def lifecycle() -> Iterator[Any]:
    yield from events()
    yield dg.MaterializeResult("x")
    yield dg.MaterializeResult("y")


def test_events_are_what_dagster_itself_logs(log: EventLog) -> None:
    # It fails at its end, as the checks were evaluated and no result of a check was given.
    run = dg.materialize([lifecycle], instance=log.instance, raise_on_error=False).dagster_run
    wanted = [kept(entry) for entry in log.instance.all_logs(run.run_id) if is_of_an_asset(entry)][: len(events())]
    log.store(events(), RunStep(run.run_id, run.job_name, "lifecycle"))
    assert [kept(entry) for entry in log.instance.all_logs(run.run_id)][-len(wanted) :] == wanted
    assert len(wanted) == 5


def is_of_an_asset(entry: dg.EventLogEntry) -> bool:
    kinds = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_CHECK_EVALUATION")
    return entry.is_dagster_event and entry.get_dagster_event().event_type_value in kinds


def kept(entry: dg.EventLogEntry) -> Any:
    """All but the moment."""
    return entry._replace(timestamp=0.0)


def test_events_outside_a_run(log: EventLog) -> None:
    log.store(events())
    assert log.latest_data_versions(["x"]) == {"p": "1"}
    assert [event.partition for event in log.events(["x"], kind="observation")] == ["q"]
    assert log.latest(["x"])["p"].metadata == {"rmse": 1.5}
    assert log.latest(["x"])["p"].run_id == ""
    log.store([])
    assert log.latest(["x"], []) == {} and log.latest_data_versions(["x"], []) == {}


def test_partitions_of_a_run_that_were_not_made_are_shown_as_failed(log: EventLog) -> None:
    run = create_run_for_test(log.instance, job_name="a_job")
    step = RunStep(run.run_id, run.job_name, "lifecycle")
    log.store([NotMade(("x",), "p"), NotMade(("x",), "q"), NotMade(("y",), "p"), NotMade(("y",), "q")], step)
    log.store([made("x", "q")], step)
    attempts = (
        log.instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations
    )
    assert set(attempts(dg.AssetKey("x"))) == {"p"}
    assert set(attempts(dg.AssetKey("y"))) == {"p", "q"}
    assert {of_run for of_run, _event in attempts(dg.AssetKey("y")).values()} == {run.run_id}


def test_what_runs_have_made(log: EventLog) -> None:
    runs = [create_run_for_test(log.instance, job_name="a_job") for _ in range(3)]
    for run, partition in zip(runs, "pqr", strict=True):
        log.store([made("x", partition), made("x"), seen("x", "s")], RunStep(run.run_id, run.job_name, "lifecycle"))
    assert log.materialized_in([run.run_id for run in runs[:2]], ["x"]) == {"p", "q"}
    assert log.materialized_in([runs[2].run_id], ["y"]) == log.materialized_in([], ["x"]) == set()


def test_two_homes_open_at_once_keep_to_their_own_files(tmp_path: Path) -> None:
    one, two = (EventLog.open(Home(tmp_path / name)) for name in ("one", "two"))
    one.store([made("x", "p")])
    # What a child process of the first is started with, while DAGSTER_HOME names the second.
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "two" / "dagster")
    ref: InstanceRef = one.instance.get_ref()
    with dg.DagsterInstance.from_ref(ref) as child:
        assert set(EventLog(child).latest(["x"])) == {"p"}
    assert set(two.latest(["x"])) == set()


def test_a_home_may_be_moved(tmp_path: Path) -> None:
    opened = EventLog.open(Home(tmp_path / "here"))
    opened.store([made("x", "p")])
    opened.instance.dispose()
    (tmp_path / "here").rename(tmp_path / "there")
    assert set(EventLog.open(Home(tmp_path / "there")).latest(["x"])) == {"p"}
    assert not (tmp_path / "here").exists()
