"""A daemon that looks at the retraining sensor: registered schedules, real runs, a clock that is set."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.configuration import register
from mlops_assets.automation.retraining_sensor import CHUNK_SETTING, RetrainingPorts, retraining_sensor
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.retrainings import retrainings
from partitions.stages import Cron, Retraining, Stage
from tests.assets.registries import declared, open_registry, prepare

DAILY = Stage("production", retraining=Retraining(Cron("0 3 * * *")))
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
