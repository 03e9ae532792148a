"""The sensor that sends messages, looked through as the daemon does: ledger, runs and webhook are real."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.configuration import register
from mlops_assets.assets.messages import Occurrence, of_run, tell
from mlops_assets.automation.messages_sensor import MessagesPorts, messages_sensor
from mlops_assets.tracking.registry import Registry
from partitions.messages import Message
from partitions.stages import Cron, Retraining, Stage
from resources.event_storage.entries import RunStep
from resources.home import Home
from resources.ledger.deployment import Action, ModelFile, NewDeployment
from resources.ledger.ledger import Ledger
from resources.messages.outbox import Outbox
from tests.assets.registries import declared, open_registry, prepare
from tests.resources.message_targets import Webhook, webhook

HOURLY = Stage("production", retraining=Retraining(Cron("0 * * * *")))
MODEL = ModelFile(uri="sha256/0", digest="0" * 64, bytes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as made:
        monkeypatch.setenv("TEAM_HOOK", f"json://127.0.0.1:{made.port}/")
        yield made


class Daemon:
    """A project with subprojects AA and B6, its home, and a daemon that looks when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.registry: Registry = open_registry(prepare(folder / "dagster"))
        notified = declared("AA", "B6", stages=[HOURLY], notifications=[Message("env:TEAM_HOOK")])
        register(self.registry, notified)
        self.ledger = Ledger.of(self.home)
        self.instance = self.registry.event_log.instance
        self.now = datetime.now(UTC)
        self.cursor: str | None = None
        self.sensor = messages_sensor("delays", MessagesPorts(lambda: self.home, lambda: self.now))

    def look(self, after: timedelta = timedelta()) -> str:
        self.now += after
        ticked = self.sensor.evaluate_tick(dg.build_sensor_context(instance=self.instance, cursor=self.cursor))
        self.cursor = ticked.cursor
        return ticked.skip_message or ""

    def decide(self, action: Action, *keys: str, replaces: int = 0) -> None:
        model = {} if action == "undeploy" else {"run_id": "run-0123456789ab", "model": MODEL}
        where = {"project": "delays", "stage": "production", "action": action, "replaces": replaces}
        self.ledger.append([NewDeployment(**where, **model, subproject=key, why="better", by="ada") for key in keys])

    def run(self, *keys: str, status: dg.DagsterRunStatus, at: datetime) -> str:
        config = {"subprojects": list(keys), "stage": "production", "due": dict.fromkeys(keys, at.isoformat())}
        run = dg.DagsterRun("retrain", run_config={"ops": {"retrain_each": {"config": config}}}, status=status)
        self.instance.run_storage.add_historical_run(run, at)
        return run.run_id


@pytest.fixture
def daemon(tmp_path: Path, hook: Webhook) -> Daemon:
    return Daemon(tmp_path)


def test_decisions_of_the_ledger_are_told_of_once_and_none_from_before_the_first_look(
    daemon: Daemon, hook: Webhook
) -> None:
    daemon.decide("deploy", "AA")
    assert daemon.look() == "0 messages in 0 letters sent"
    daemon.decide("deploy", "B6")
    daemon.decide("rollback", "AA", replaces=1)
    assert daemon.look() == "2 new messages; 2 messages in 1 letters sent"
    assert hook.titles == ["delays: AA was rolled back (production), B6 was deployed (production)"]
    assert "B6: deploy by ada: better (run 0123456789ab)" in hook.got[0]["message"]
    daemon.decide("undeploy", "B6", replaces=2)
    daemon.look()
    assert hook.titles[1:] == ["delays: B6 was undeployed (production)"]
    assert daemon.look() == "0 messages in 0 letters sent"


def test_a_cursor_that_is_lost_tells_nothing_twice(daemon: Daemon, hook: Webhook) -> None:
    daemon.look()
    kept = daemon.cursor
    daemon.decide("deploy", "AA")
    daemon.look()
    for cursor in (kept, "{", None):
        daemon.cursor = cursor
        assert daemon.look() == "0 messages in 0 letters sent"
    assert len(hook.got) == 1


def test_a_run_that_was_killed_is_told_of_for_those_it_did_not_get_to(daemon: Daemon, hook: Webhook) -> None:
    daemon.look()
    run_id = daemon.run("AA", "B6", status=dg.DagsterRunStatus.FAILURE, at=daemon.now)
    outbox = Outbox.of(daemon.home)
    told = Occurrence(
        "data_failed", "delays", "B6", "production", "no rows", of_run(run_id, "B6", "production"), at=daemon.now
    )
    tell(outbox, daemon.registry.last_configurations(["B6"]), [told])
    daemon.look(timedelta(minutes=2))
    daemon.look(timedelta(minutes=2))
    (letter,) = hook.got
    assert letter["title"] == (
        "delays: B6 got data that cannot be used (production), AA could not be retrained (production)"
    )
    assert f"AA: Dagster run {run_id[:8]} ended (failure) before it got there" in letter["message"]


def test_what_did_not_pass_its_gates_and_what_failed_is_told_with_the_reason(daemon: Daemon, hook: Webhook) -> None:
    daemon.look()
    run_id = daemon.run("AA", "B6", "UA", status=dg.DagsterRunStatus.FAILURE, at=daemon.now)
    step = RunStep(run_id, "retrain", "retrain_each")
    stage, model = dg.AssetKey(["delays", "deployment", "production"]), dg.AssetKey(["delays", "model"])
    refused = {"decision": "rejected", "why": "gate threshold_rmse failed: 31.2 is above 25", "run_id": "r"}
    events = [
        dg.AssetObservation(stage, partition="AA", metadata=refused),
        dg.AssetObservation(model, partition="B6", metadata={"error": "delays/B6: no rows"}),
    ]
    daemon.registry.event_log.store(events, step)
    daemon.look(timedelta(minutes=2))
    (letter,) = hook.got
    assert letter["title"] == "delays: AA did not pass its gates (production), B6 could not be retrained (production)"
    assert "AA: gate threshold_rmse failed: 31.2 is above 25" in letter["message"]
    assert "B6: delays/B6: no rows" in letter["message"]
    unchanged = {"decision": "unchanged", "why": "unchanged: data, code and configuration", "run_id": "r"}
    daemon.registry.event_log.store([dg.AssetObservation(stage, partition="AA", metadata=unchanged)])
    daemon.look(timedelta(minutes=2))
    assert hook.titles[1:] == ["delays: AA recovered (production)"]
    daemon.look(timedelta(minutes=2))
    assert len(hook.got) == 2


def test_what_is_due_and_was_not_started_within_an_hour_is_overdue(daemon: Daemon, hook: Webhook) -> None:
    daemon.decide("deploy", "AA", "B6")
    daemon.now = daemon.now.replace(minute=30) + HOUR  # between two due times
    daemon.look()
    next_hour = daemon.now.replace(minute=0, second=0, microsecond=0) + HOUR
    daemon.run("AA", "B6", status=dg.DagsterRunStatus.SUCCESS, at=next_hour - HOUR)
    daemon.run("B6", status=dg.DagsterRunStatus.SUCCESS, at=next_hour)
    daemon.look(HOUR)  # half an hour late
    assert all("overdue" not in title for title in hook.titles)
    daemon.look(HOUR)
    assert hook.titles[-1] == "delays: AA is overdue (production)"
    assert f"AA: due at {next_hour:%Y-%m-%d %H:%M} UTC, not started within 60 minutes" in hook.got[-1]["message"]
    daemon.decide("retrain", "AA", replaces=1)
    daemon.look()
    assert "AA recovered (production)" in hook.titles[-1] and "AA was deployed" in hook.titles[-1]


def test_a_target_that_is_down_is_told_in_the_tick(daemon: Daemon, hook: Webhook) -> None:
    daemon.look()
    hook.status = 500
    daemon.decide("deploy", "AA")
    assert daemon.look() == "1 new messages; env:TEAM_HOOK: 1 messages wait, as it answered with 500"
    assert daemon.sensor.default_status == dg.DefaultSensorStatus.RUNNING
