"""Schedules of a real project: what is registered, what starts, what the real job makes of it, who is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.automation.messages_sensor import MessagesPorts, messages_sensor
from mlops_assets.automation.retraining_sensor import RetrainingPorts, retraining_sensor
from mlops_assets.definitions import build_definitions
from mlops_assets.opened_project import OpenedProject
from partitions.errors import MlopsError, UnknownName
from tests.end_to_end.staged_lines import STAGED_PIPELINE, project_text
from tests.public.conftest import opened
from tests.resources.message_targets import Webhook, webhook

MINUTE = timedelta(minutes=1)


def staged(folder: Path, slopes: dict[str, float] | None = None, **fields: Any) -> OpenedProject:
    text = project_text(slopes, **fields)
    told = text.replace("    stages=[", '    notifications=[Message("env:TEAM_HOOK")],\n    stages=[')
    (folder / "lines" / "pipeline.py").write_text(STAGED_PIPELINE)
    (folder / "lines" / "project.py").write_text(told.replace("NotWorse", "Message, NotWorse", 1))
    p = opened(folder)
    p.apply()
    return p


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as made:
        monkeypatch.setenv("TEAM_HOOK", f"json://127.0.0.1:{made.port}/")
        yield made


class Daemon:
    """What a daemon does with the two sensors, at the times it is told; runs are real ones, one after the other."""

    def __init__(self, p: OpenedProject) -> None:
        self.p = p
        self.now = datetime.now(UTC)
        home, name = p.home, p.project.name
        deployed = RetrainingPorts.of(name, lambda: home).deployed
        self.sensors = {
            "retrain": retraining_sensor(name, RetrainingPorts(deployed, lambda: self.now)),
            "tell": messages_sensor(name, MessagesPorts(lambda: home, lambda: self.now)),
        }
        self.job = build_definitions(p.project).resolve_job_def("retrain")
        self.cursors: dict[str, str | None] = {}

    def look(self, sensor: str = "retrain") -> tuple[str, list[dg.RunRequest]]:
        instance = self.p.event_log.instance
        context = dg.build_sensor_context(instance=instance, cursor=self.cursors.get(sensor))
        ticked = self.sensors[sensor].evaluate_tick(context)
        self.cursors[sensor] = ticked.cursor
        return ticked.skip_message or "", list(ticked.run_requests or ())

    def wait(self) -> None:
        """Until just after the next due time."""
        due = self.p.scheduled()[0].status.next
        assert due is not None
        self.now = due + MINUTE

    def run(self, request: dg.RunRequest, **fields: Any) -> None:
        config = dict(request.run_config)
        config["ops"]["retrain_each"]["config"].update(fields)
        self.job.execute_in_process(
            run_config=config, tags=dict(request.tags), instance=self.p.event_log.instance, raise_on_error=False
        )


def test_before_anything_is_deployed_schedules_are_shown_and_start_nothing(folder: Path) -> None:
    p = staged(folder, {"a": 1.0, "b": -2.0})
    rows = p.schedules().to_dict("records")
    assert [(row["subproject"], row["stage"], row["cron"]) for row in rows] == [
        ("a", "production", "0 3 * * 1"),
        ("b", "production", "0 3 * * 1"),
    ]
    due = datetime.fromisoformat(rows[0]["next"])
    assert due > datetime.now(UTC) and due.weekday() == 0 and due.hour == 3
    assert rows[0]["deployed"] is None and rows[0]["last_retraining"] is None
    assert (
        [one.subproject for one in p.scheduled("b*")]
        == ["b"]
        == [o.subproject for o in p.scheduled(tags={"kind": "b"})]
    )
    with pytest.raises(UnknownName, match="unknown subproject 'c'"):
        p.schedules("c")
    daemon = Daemon(p)
    daemon.look()
    daemon.wait()
    said, requests = daemon.look()
    assert not requests and said.startswith("2 not started, never deployed: a/production, b/production")
    sensor = p.retraining_sensor()
    assert sensor.on and not sensor.daemon and "no daemon runs it" in sensor.text


def test_what_is_due_is_retrained_once_deployed_and_told(stored_in: str, folder: Path, hook: Webhook) -> None:
    p = staged(folder, {"a": 1.0, "b": -2.0, "c": 3.0})
    p.deploy(["a", "b"], stage="production", why="first", now=datetime(2013, 6, 1, tzinfo=UTC))
    first = {row.subproject: row for row in p.serving(stage="production")}
    daemon = Daemon(p)
    daemon.look(), daemon.look("tell")
    daemon.wait()
    _, (request,) = daemon.look()
    assert request.run_config["ops"]["retrain_each"]["config"]["subprojects"] == ["a", "b"]
    daemon.run(request, now="2013-08-01T00:00:00+00:00")
    assert daemon.look()[1] == []
    second = {row.subproject: row for row in p.serving(stage="production")}
    assert all(second[key].run_id != first[key].run_id and second[key].action == "retrain" for key in "ab")
    due = request.run_config["ops"]["retrain_each"]["config"]["due"]["a"]
    assert second["a"].evidence["due"] == due and second["a"].evidence["reason"] == "schedule"
    daemon.now += timedelta(minutes=2)
    daemon.look("tell")
    assert hook.titles == ["lines: 2 subprojects were deployed (production)"]
    row = p.schedules("a").to_dict("records")[0]
    assert row["last_retraining"] == second["a"].run_id and row["last_retraining_status"] == "succeeded"
    status = {one.subproject: one.row() for one in p.overview().statuses()}
    production = status["a"]["stages"]["production"]
    assert (production["run_id"], production["by"]) == (second["a"].run_id, second["a"].by)
    assert (
        production["metrics"] == second["a"].metrics
        and production["next"] == status["a"]["schedules"]["production"]["next"]
    )
    assert [verdict["outcome"] for verdict in production["verdicts"]] == ["pass", "pass"]
    assert status["c"]["stages"]["production"]["run_id"] is None and "testing" not in status["c"]["schedules"]
    assert "stages.production.run_id" in p.status() and p.status("a")["stages.production.since"].notna().all()


def test_a_bad_month_is_told_and_the_champion_stays(folder: Path, hook: Webhook) -> None:
    p = staged(folder, {"a": 1.0, "b": -2.0})
    p.deploy("a", stage="production", why="first", now=datetime(2013, 6, 1, tzinfo=UTC))
    (before,) = p.serving()
    daemon = Daemon(p)
    daemon.look(), daemon.look("tell")
    daemon.wait()
    _, (request,) = daemon.look()
    daemon.run(request, now="2013-07-01T00:00:00+00:00")
    assert p.serving() == [before]
    daemon.now += timedelta(minutes=2)
    daemon.look("tell")
    (letter,) = hook.got
    assert letter["title"] == "lines: a did not pass its gates (production)" and "rmse" in letter["message"]
    assert p.schedules("a")["last_retraining_status"].tolist() == ["rejected"]


def test_data_that_fails_and_code_that_raises_are_told_apart(folder: Path, hook: Webhook) -> None:
    p = staged(folder, {"a": 1.0, "b": -2.0, "c": 3.0})
    p.deploy(["a", "b", "c"], stage="production", why="first", now=datetime(2013, 6, 1, tzinfo=UTC))
    p = staged(folder, {"a": 1.0, "b": -2.0, "c": 3.0}, troubles={"a": "expectation", "b": "fit"})
    daemon = Daemon(p)
    daemon.look(), daemon.look("tell")
    daemon.wait()
    _, (request,) = daemon.look()
    daemon.run(request, now="2013-08-01T00:00:00+00:00")
    daemon.now += 2 * MINUTE
    daemon.look("tell")
    daemon.look("tell")
    (letter,) = hook.got
    assert letter["title"] == (
        "lines: a got data that cannot be used (production), b could not be retrained (production), "
        "c was deployed (production)"
    )
    assert "no model was trained on it" in letter["message"]
    assert "this subproject cannot be fitted" in letter["message"], letter["message"]


def test_a_signal_and_new_data_start_the_real_job_and_its_own_data_starts_none(folder: Path, hook: Webhook) -> None:
    p = staged(folder, {"a": 1.0}, retraining=", on_new_data=True")
    p.deploy("a", stage="production", why="first", now=datetime(2013, 6, 1, tzinfo=UTC))
    daemon = Daemon(p)
    daemon.now += MINUTE
    daemon.look()
    p.ask_to_retrain("a", stage="production", reason="drift", why="PSI of x 0.41")
    daemon.now += MINUTE
    _, (request,) = daemon.look()
    daemon.run(request, now="2013-08-01T00:00:00+00:00")
    (serving,) = p.serving(stage="production")
    assert (serving.evidence["reason"], serving.why) == ("drift", "PSI of x 0.41")
    daemon.now += MINUTE
    _, requests = daemon.look()
    assert requests == [], "its own snapshot, and the signal that was answered, ask for no other"
    with pytest.raises(UnknownName, match="unknown stage 'prod'"):
        p.ask_to_retrain("a", stage="prod", reason="drift", why="PSI")
    with pytest.raises(UnknownName, match="unknown subproject 'z'"):
        p.ask_to_retrain("z", stage="production", reason="drift", why="PSI")
    with pytest.raises(MlopsError, match="name the subprojects"):
        p.ask_to_retrain([], stage="production", reason="drift", why="PSI")
    with pytest.raises(MlopsError, match="say for what reason"):
        p.ask_to_retrain("a", stage="production", reason="drift", why=" ")


def test_a_schedule_that_is_registered_anew_holds_without_a_new_code_version(folder: Path) -> None:
    p = staged(folder, {"a": 1.0})
    p.deploy("a", stage="production", why="first", now=datetime(2013, 6, 1, tzinfo=UTC))
    text = (folder / "lines" / "project.py").read_text()
    (folder / "lines" / "project.py").write_text(text.replace("0 3 * * 1", "15 4 * * 2"))
    changed = opened(folder)
    assert changed.schedules()["cron"].tolist() == ["0 3 * * 1"], "declared and not yet applied"
    changed.apply()
    (one,) = changed.scheduled()
    assert one.status.cron is not None and one.status.cron.expression == "15 4 * * 2"
    assert one.status.next is not None and (one.status.next.weekday(), one.status.next.hour) == (1, 4)
    assert changed.retrain("a", stage="production", now=datetime(2013, 6, 1, tzinfo=UTC))[0].result == "unchanged"
