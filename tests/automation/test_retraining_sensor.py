"""The retraining sensor, looked through as the daemon does: what is due or asked for starts once, and only that."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mlops_assets.assets.configuration import Terms, register
from mlops_assets.automation.retraining import Cursor
from mlops_assets.automation.retraining_sensor import CHUNK_SETTING, RetrainingPorts, retraining_sensor
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.retraining_requests import Asked, ask_to_retrain
from mlops_assets.tracking.retrainings import HOURS_SETTING
from partitions.errors import MlopsError
from partitions.stages import Cron, Retraining, Stage
from tests.assets.registries import declared
from tests.automation.retraining_daemon import DAILY, DAY, MINUTE, TODAY, Daemon, daemon
from tests.automation.retraining_daemon import registry as registry


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
