"""A year in the life of one airline: from HPO to production, retrained month by month on the flights there were.

The flights are real, and so are the schedule, the sensors, the gates, the ledger and the webhook; time is moved.
In one month a test plants noise: the gates stop it, the champion stays, a message arrives.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.automation.jobs import retrain_job
from mlops_assets.automation.messages_sensor import MessagesPorts, messages_sensor
from mlops_assets.automation.retraining_sensor import RetrainingPorts, retraining_sensor
from mlops_assets.checks import checks_of
from mlops_assets.opened_project import OpenedProject, open_project
from projects.flight_delays import pipeline
from tests.resources.message_targets import Webhook, webhook

AIRLINE = "VX"
START = datetime(2013, 6, 3, tzinfo=UTC)
BAD = 9
MONTHS = [datetime(2013, month, 5, 12, tzinfo=UTC) for month in (8, BAD, 10)]


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as made:
        monkeypatch.setenv("FLIGHT_DELAYS_MESSAGES", f"json://127.0.0.1:{made.port}/")
        yield made


@pytest.fixture
def p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat: Webhook) -> OpenedProject:
    for name in ("MLOPS_HOME", "DAGSTER_HOME", "MLOPS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_BACKEND", "inline")
    opened = open_project("flight_delays", home=tmp_path / "home")
    opened.apply()
    return opened


class Story:
    """The daemon of a home, at a time that is set."""

    def __init__(self, p: OpenedProject) -> None:
        self.p = p
        self.now = START
        self.since: dict[tuple[str, str], datetime] = {}
        self.cursors: dict[str, str | None] = {}
        self.retrain_due = retraining_sensor(p.project.name, RetrainingPorts(lambda: self.since, lambda: self.now))
        later = MessagesPorts(lambda: p.home, lambda: datetime.now(UTC) + timedelta(minutes=1))
        self.send_messages = messages_sensor(p.project.name, later)

    def tick(self, sensor: dg.SensorDefinition) -> Any:
        instance, cursor = self.p.event_log.instance, self.cursors.get(sensor.name)
        ticked = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
        self.cursors[sensor.name] = ticked.cursor
        return ticked

    def month(self, now: datetime) -> list[dict[str, Any]]:
        """What the sensor starts by then is run, on the flights there were by then."""
        self.now = now
        started = []
        for request in self.tick(self.retrain_due).run_requests or ():
            fields = dict(request.run_config["ops"]["retrain_each"]["config"])
            config = {"ops": {"retrain_each": {"config": {**fields, "now": now.isoformat(), "seed": 1}}}}
            job = retrain_job(self.p.project, checks_of(self.p.project), self.p.mlops)
            job.execute_in_process(run_config=config, instance=self.p.event_log.instance, tags=dict(request.tags))
            started.append(fields)
        self.tick(self.send_messages)
        return started

    def serves(self, stage: str) -> str:
        (row,) = self.p.serving(AIRLINE, stage=stage)
        return str(row.run_id)


def plant_noise(folder: Path, month: int) -> Path:
    flights = pd.read_parquet(pipeline.FLIGHTS)
    bad = (flights["carrier"] == AIRLINE) & (flights["time_hour"].dt.month == month - 1)
    # Inside what the expectations on the data allow: those would have stopped it before any model was trained.
    flights.loc[bad, "arr_delay"] = np.random.default_rng(0).uniform(-60, 300, int(bad.sum()))
    file = folder / "noisy.parquet"
    flights.to_parquet(file)
    return file


def test_a_year_of_retraining(p: OpenedProject, chat: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    p.hpo(AIRLINE, trials=3, seed=1)
    best = p.best(AIRLINE)
    assert best is not None and best.source == "rule"

    story = Story(p)
    story.tick(story.retrain_due)
    story.tick(story.send_messages)
    (first,) = p.deploy(AIRLINE, stage="testing", why="best of the first search", now=START, seed=1)
    assert first.result == "deployed" and p.record(str(first.run_id)).parameters == best.parameters
    (promoted,) = p.promote(AIRLINE, source="testing", target="production", why="a quiet week in testing")
    assert promoted.result == "deployed" and story.serves("production") == first.run_id
    story.since = {(AIRLINE, "production"): START}
    assert story.month(START + timedelta(hours=1)) == [], "nothing is due before Monday"

    champions = [story.serves("production")]
    for now in MONTHS:
        with monkeypatch.context() as bad:
            if now.month == BAD:
                bad.setattr(pipeline, "FLIGHTS", plant_noise(tmp_path, BAD))
            (fields,) = story.month(now)
        assert (fields["subprojects"], fields["stage"], fields["reason"]) == ([AIRLINE], "production", "schedule")
        due = datetime.fromisoformat(fields["due"][AIRLINE])
        assert due < now and due.astimezone(UTC).weekday() == 0, "of the Mondays that were missed, the last one"
        assert story.month(now + timedelta(minutes=1)) == [], "once per due time"
        champions.append(story.serves("production"))

    first_one, august, september, october = champions
    assert september == august, "the champion stays"
    assert len({first_one, august, october}) == 3, "the other months have brought new models"
    rejected = p.runs(AIRLINE, status="rejected")
    assert len(rejected) == 1 and rejected["stage"].tolist() == ["production"]
    _is_seen_in_dagster(p, str(rejected["run_id"].iloc[0]))

    told = "\n".join(one["title"] + "\n" + one["message"] for one in chat.got)
    assert f"{AIRLINE}" in told and "threshold_rmse" in told and "deployed" in told
    assert sum("threshold_rmse" in one["message"] for one in chat.got) == 1
    history = p.deployment_history(AIRLINE, "production")
    assert [row.action for row in history] == ["promote", "retrain", "retrain"]
    assert {row.run_id for row in p.serving(AIRLINE, stage="archive")} == {history[-2].run_id}
    assert p.deployments(AIRLINE, at=history[1].at, stage="production")["run_id"].tolist() == [history[1].run_id]


def _is_seen_in_dagster(p: OpenedProject, rejected: str) -> None:
    """Every step is a materialisation or a check of this subproject."""
    name, instance = p.project.name, p.event_log.instance
    for asset in (
        "dataset",
        "trials",
        "best_config",
        "model",
        "metrics",
        "deployment/testing",
        "deployment/production",
    ):
        key = dg.AssetKey([name, *asset.split("/")])
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[AIRLINE]), limit=50
        ).records
        assert records, asset
    check = dg.AssetCheckKey(dg.AssetKey([name, "metrics"]), "threshold_rmse")
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=20)
    failed = [
        record.event.dagster_event.asset_check_evaluation_data
        for record in history
        if record.event and record.event.dagster_event and record.status.value == "FAILED"
    ]
    assert [(one.partition, one.metadata["run_id"].value) for one in failed] == [(AIRLINE, rejected)]
