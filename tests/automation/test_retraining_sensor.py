"""The retraining sensor, looked through as the daemon does: registered schedules, real runs, a clock that is set."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.configuration import Terms, register
from mlops_assets.automation.retraining import SETTLED, Cursor
from mlops_assets.automation.retraining_sensor import CHUNK_SETTING, RetrainingPorts, retraining_sensor
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.retraining_requests import Asked, ask_to_retrain
from mlops_assets.tracking.retrainings import HOURS_SETTING, retrainings
from partitions.errors import MlopsError
from partitions.stages import Cron, Retraining, Stage
from resources.event_log import EventLog
from tests.assets.registries import declared, open_registry, prepare

DAILY = Stage("production", retraining=Retraining(Cron("0 3 * * *")))
ON_DATA = Stage("production", retraining=Retraining(on_new_data=True))
BOTH = Stage("production", retraining=Retraining(Cron("0 3 * * *"), on_new_data=True))
TODAY = datetime(2024, 5, 14, 3, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@dg.op(config_schema=dict)
def retrain_each() -> None:
    """Stands in for the job that retrains: here it is only started and ended by hand."""


@dg.job
def retrain() -> None:
    retrain_each()


class Daemon:
    """A daemon with one code location. It starts each run key once, as that of Dagster does."""

    def __init__(self, registry: Registry, deployed: Mapping[tuple[str, str], datetime]) -> None:
        self.instance = registry.event_log.instance
        self.deployed = dict(deployed)
        self.now = TODAY - 2 * MINUTE
        self.cursor: str | None = None
        self.runs: dict[str, str] = {}
        self.behind = timedelta()  # by how much runs are created before the time of the story
        self.restart()

    def restart(self) -> None:
        self.sensor = retraining_sensor("delays", RetrainingPorts(lambda: self.deployed, lambda: self.now))

    def look(self, now: datetime | None = None, *, crashes: bool = False) -> tuple[str, list[dict[str, Any]]]:
        """What it said, and the config of each run started. A daemon that crashes keeps no cursor."""
        self.now = now or self.now
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        ticked = self.sensor.evaluate_tick(context)
        started = []
        for request in ticked.run_requests or ():
            if request.run_key not in self.runs:
                self.runs[str(request.run_key)] = self.start(request.run_config, dict(request.tags))
                started.append(request.run_config["ops"]["retrain_each"]["config"])
        if not crashes:
            self.cursor = ticked.cursor
        return ticked.skip_message or "", started

    def start(self, run_config: Mapping[str, Any], tags: dict[str, str]) -> str:
        """A run that was created at the time of the story, and is running."""
        run = dg.DagsterRun("retrain", run_config=run_config, tags=tags, status=dg.DagsterRunStatus.STARTED)
        self.instance.run_storage.add_historical_run(run, self.now - self.behind)
        return run.run_id

    def end(self, *, failed: bool = False) -> None:
        """Every retraining that runs ends."""
        for run in retrainings(self.instance, "delays"):
            if run.running:
                found = self.instance.get_run_by_id(run.dagster_run_id)
                assert found is not None
                kind = dg.DagsterEventType.RUN_FAILURE if failed else dg.DagsterEventType.RUN_SUCCESS
                self.instance.report_dagster_event(dg.DagsterEvent(kind.value, "retrain"), found.run_id)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv(CHUNK_SETTING, raising=False)
    return open_registry(prepare(tmp_path / "dagster"))


def daemon(registry: Registry, *keys: str, stage: Stage = DAILY, deployed: bool = True) -> Daemon:
    register(registry, declared(*keys, stages=[stage]))
    long_ago = TODAY - 30 * DAY
    made = Daemon(registry, {(key, "production"): long_ago for key in keys} if deployed else {})
    made.look()
    return made


def new_data(log: EventLog, *keys: str, changed: bool = True, job: str | None = None) -> None:
    metadata: dict[str, Any] = {"changed": changed, "data_version": "f00d" * 16}
    asset = dg.AssetKey(["delays", "dataset"])
    events = [dg.AssetMaterialization(asset, partition=key, metadata=metadata) for key in keys]
    if job is None:
        log.store(events)
        return
    from resources.event_storage.entries import RunStep

    run = log.instance.create_run_for_job(retrain)
    log.store(events, RunStep(run.run_id, job, "retrain_each"))


def test_the_first_look_starts_nothing_and_the_next_what_became_due(registry: Registry) -> None:
    register(registry, declared("AA", "B6", stages=[DAILY]))
    one = Daemon(registry, dict.fromkeys([("AA", "production"), ("B6", "production")], TODAY - DAY))
    said, started = one.look(TODAY + 5 * MINUTE)
    assert not started and said.startswith("first look: schedules count from now on; nothing is due of 2 schedules")
    assert f"the next at {TODAY + DAY:%Y-%m-%d} 03:00 UTC" in said
    said, started = one.look(TODAY + DAY)
    at = (TODAY + DAY).isoformat()
    (config,) = started
    assert config == {
        "subprojects": ["AA", "B6"],
        "stage": "production",
        "reason": "schedule",
        "why": f"due at {TODAY + DAY:%Y-%m-%d} 03:00 UTC",
        "due": {"AA": at, "B6": at},
    }
    assert one.look(TODAY + DAY + MINUTE)[1] == []


def test_missed_times_run_once(registry: Registry) -> None:
    one = daemon(registry, "AA")
    _, started = one.look(TODAY + 9 * DAY + 5 * MINUTE)
    assert [config["due"] for config in started] == [{"AA": (TODAY + 9 * DAY).isoformat()}]
    one.end()
    assert one.look(TODAY + 9 * DAY + 6 * MINUTE)[1] == []


def test_a_due_time_starts_once_however_often_the_daemon_crashes_and_restarts(registry: Registry) -> None:
    one = daemon(registry, "AA", "B6")
    assert len(one.look(TODAY + MINUTE, crashes=True)[1]) == 1
    for _ in range(2):
        one.restart()
        assert one.look(crashes=True)[1] == []
    register(registry, declared("AA", "B6", "UA", stages=[DAILY]), Terms())
    one.deployed["UA", "production"] = TODAY - DAY
    one.runs.clear()  # not even run keys protect it
    assert [config["subprojects"] for config in one.look(TODAY + 2 * MINUTE)[1]] == [["UA"]]
    assert one.look(TODAY + 3 * MINUTE)[1] == []


def test_a_lost_cursor_is_found_again(registry: Registry) -> None:
    one = daemon(registry, "AA")
    one.look(TODAY)
    one.end()
    one.cursor = None
    one.restart()
    said, started = one.look(TODAY + DAY + MINUTE)
    assert [config["due"] for config in started] == [{"AA": (TODAY + DAY).isoformat()}]
    one.end()
    for broken in (None, "", "{", "[]", '{"since": 3}'):
        one.cursor = broken
        said, started = one.look(TODAY + DAY + 2 * MINUTE)
        assert started == [] and said.startswith("no cursor: going on from that of run ")


def test_a_clock_that_jumps_starts_nothing_twice_and_is_not_stuck(registry: Registry) -> None:
    one = daemon(registry, "AA")
    assert len(one.look(TODAY)[1]) == 1
    one.end()
    said, started = one.look(TODAY - 5 * MINUTE)
    assert started == [] and said.startswith("the clock was set back from ")
    assert one.look(TODAY + MINUTE)[1] == []  # the same due time again
    assert len(one.look(TODAY + 900 * DAY + MINUTE)[1]) == 1  # years ahead
    one.end()
    assert one.look(TODAY + 5 * MINUTE)[1] == []  # and back
    assert [config["due"] for config in one.look(TODAY + DAY)[1]] == [{"AA": (TODAY + DAY).isoformat()}]


def test_a_retraining_still_running_is_not_started_again_but_once_when_it_has_ended(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOURS_SETTING, "200")
    one = daemon(registry, "AA", "B6", "UA")
    one.deployed["B6", "production"] = TODAY + MINUTE  # after the first due time
    assert [config["subprojects"] for config in one.look(TODAY)[1]] == [["AA", "UA"]]
    assert [config["subprojects"] for config in one.look(TODAY + DAY)[1]] == [["B6"]]
    for minutes in (1, 10):
        said, started = one.look(TODAY + 2 * DAY + minutes * MINUTE)
        assert started == []
        assert said == "3 wait for the retraining that is still running: AA/production, B6/production, UA/production"
    one.end()
    said, started = one.look(TODAY + 2 * DAY + timedelta(hours=7))
    assert [config["subprojects"] for config in started] == [["AA", "B6", "UA"]]
    assert set(started[0]["due"].values()) == {(TODAY + 2 * DAY).isoformat()}
    one.end()
    said, started = one.look(TODAY + 2 * DAY + timedelta(hours=8))
    assert started == [] and said.startswith("nothing is due")


def test_one_that_is_waited_for_starts_no_other_twice(registry: Registry) -> None:
    one = daemon(registry, "AA", "B6")
    started_by_hand = {"subprojects": ["AA"], "stage": "production", "reason": "person"}
    one.now = TODAY - MINUTE
    one.start({"ops": {"retrain_each": {"config": started_by_hand}}}, {})
    assert [config["subprojects"] for config in one.look(TODAY)[1]] == [["B6"]]
    one.runs.clear()
    for minutes in range(1, 4):
        assert one.look(TODAY + minutes * MINUTE)[1] == []
    one.end()
    assert [config["subprojects"] for config in one.look(TODAY + 5 * MINUTE)[1]] == [["AA"]]
    assert one.look(TODAY + 6 * MINUTE)[1] == []


def test_a_run_that_nobody_could_mark_as_ended_blocks_for_a_day_only(registry: Registry) -> None:
    one = daemon(registry, "AA")
    assert len(one.look(TODAY + timedelta(hours=1))[1]) == 1
    assert "still running" in one.look(TODAY + DAY)[0]
    assert [config["due"] for config in one.look(TODAY + timedelta(hours=26))[1]] == [{"AA": (TODAY + DAY).isoformat()}]


def test_what_was_never_deployed_or_deployed_since_is_left_and_said(registry: Registry) -> None:
    one = daemon(registry, "AA", "B6", deployed=False)
    one.deployed["B6", "production"] = TODAY + MINUTE
    said, started = one.look(TODAY + 2 * MINUTE)
    assert started == []
    assert "1 not started, never deployed: AA/production" in said
    assert "1 not started, deployed since: B6/production" in said


def test_the_registered_schedule_counts_not_the_declared_one(registry: Registry) -> None:
    one = daemon(registry, "AA")
    hourly = Stage("production", retraining=Retraining(Cron("30 * * * *")))
    register(registry, declared("AA", stages=[hourly]))
    assert one.look(TODAY)[1] == []
    assert len(one.look(TODAY + 30 * MINUTE)[1]) == 1
    one.end()
    register(registry, declared("AA", stages=[Stage("production")]))
    said, started = one.look(TODAY + 95 * MINUTE)
    assert started == [] and said == "nothing is due of 0 schedules"
    register(registry, declared("B6", stages=[DAILY]), Terms(retire="retire"))
    assert one.look(TODAY + DAY)[1] == []  # AA is gone, B6 was never deployed


def test_runs_take_at_most_so_many_of_one_stage(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHUNK_SETTING, "2")
    testing = Stage("testing", retraining=Cron("0 3 * * *"))
    register(registry, declared("A1", "A2", "A3", stages=[testing, DAILY]))
    keys = [(key, stage) for key in ("A1", "A2", "A3") for stage in ("testing", "production")]
    one = Daemon(registry, dict.fromkeys(keys, TODAY - DAY))
    one.look()
    _, started = one.look(TODAY)
    assert [(config["stage"], config["subprojects"]) for config in started] == [
        ("production", ["A1", "A2"]),
        ("production", ["A3"]),
        ("testing", ["A1", "A2"]),
        ("testing", ["A3"]),
    ]
    monkeypatch.setenv(CHUNK_SETTING, "0")
    with pytest.raises(MlopsError, match="MLOPS_RETRAIN_CHUNK is '0'; expected a number"):
        retraining_sensor("delays", RetrainingPorts(dict))


def test_new_data_starts_a_retraining_once_and_its_own_data_none(registry: Registry) -> None:
    one = daemon(registry, "AA", "B6", "UA", stage=ON_DATA)
    start = datetime.now(UTC) + MINUTE
    one.look(start)
    new_data(registry.event_log, "AA", "B6")
    new_data(registry.event_log, "UA", changed=False)
    _, started = one.look(start + MINUTE)
    (config,) = started
    assert (config["subprojects"], config["reason"]) == (["AA", "B6"], "new data")
    assert config["why"] == "new data version f00df00df00d"
    new_data(registry.event_log, "AA", "B6", job="retrain")
    one.end()
    assert one.look(start + 2 * MINUTE)[1] == []


def test_new_data_is_seen_when_no_writer_can_be_before_it_any_more(registry: Registry) -> None:
    one = daemon(registry, "AA", stage=ON_DATA)
    start = datetime.now(UTC) - SETTLED
    one.look(start)
    new_data(registry.event_log, "AA")
    assert one.look(start + timedelta(seconds=1))[1] == []
    assert len(one.look(start + 2 * MINUTE)[1]) == 1


def test_new_data_while_a_retraining_runs_is_retrained_once_it_has_ended(registry: Registry) -> None:
    one = daemon(registry, "AA", "B6", stage=ON_DATA)
    start = datetime.now(UTC) + MINUTE
    one.look(start)
    new_data(registry.event_log, "AA")
    one.behind = start + MINUTE - datetime.now(UTC)  # events are logged with the time of this machine
    assert len(one.look(start + MINUTE)[1]) == 1
    new_data(registry.event_log, "AA", "B6")
    _, started = one.look(start + 2 * MINUTE)
    assert [config["subprojects"] for config in started] == [["B6"]]
    assert one.look(start + 3 * MINUTE)[0].startswith("1 wait for the retraining that is still running: AA/production")
    one.end()
    assert [config["subprojects"] for config in one.look(start + 4 * MINUTE)[1]] == [["AA"]]
    one.end()
    assert one.look(start + 5 * MINUTE)[1] == []


def test_due_and_new_data_at_once_is_one_retraining(registry: Registry) -> None:
    one = daemon(registry, "AA", "B6", stage=BOTH)
    start = datetime.now(UTC) + MINUTE
    one.look(start)
    one.end()
    new_data(registry.event_log, "AA")
    _, started = one.look(start + 2 * DAY)
    assert [(config["reason"], config["subprojects"]) for config in started] == [("schedule", ["AA", "B6"])]
    one.end()
    assert one.look(start + 2 * DAY + MINUTE)[1] == []


def test_a_signal_starts_a_retraining_with_its_reason(registry: Registry) -> None:
    one = daemon(registry, "AA", "B6", stage=Stage("production"))
    start = datetime.now(UTC) + MINUTE
    one.look(start)
    drift = Asked("production", "drift", "PSI of dep_delay 0.41")
    ask_to_retrain(registry.event_log, "delays", ["AA"], drift)
    ask_to_retrain(registry.event_log, "delays", ["AA", "gone"], drift)
    _, started = one.look(start + MINUTE)
    (config,) = started
    assert (config["subprojects"], config["reason"], config["why"]) == (["AA"], "drift", "PSI of dep_delay 0.41")
    one.end()
    assert one.look(start + 2 * MINUTE)[1] == []
    with pytest.raises(MlopsError, match="say for what reason"):
        Asked("production", "drift", " ")


def test_runs_of_another_project_are_none_of_ours(registry: Registry) -> None:
    one = daemon(registry, "AA")
    config = {"subprojects": ["AA"], "stage": "production"}
    one.start({"ops": {"retrain_each": {"config": config}}}, {"mlops/project": "other"})
    assert len(one.look(TODAY)[1]) == 1


def test_it_can_be_switched_off_and_its_cursor_is_small(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    one = daemon(registry, *(f"S{number}" for number in range(50)))
    assert one.sensor.default_status == dg.DefaultSensorStatus.RUNNING
    one.look(TODAY)
    one.look(TODAY + DAY)
    assert one.cursor is not None and len(one.cursor) < 200
    assert Cursor.read(one.cursor) is not None
    monkeypatch.setenv(HOURS_SETTING, "soon")
    with pytest.raises(MlopsError, match="MLOPS_RETRAIN_HOURS is 'soon'"):
        one.look(TODAY + 2 * DAY)
