"""One look of the retraining sensor with 100, 1,000 and 10,000 schedules: none due, all due, all distinct.

    python bench/schedules.py [--short]

Everything is real: configurations registered in SQLite, deployments in the ledger, the sensor ticked as Dagster's code
server ticks it, in a process that has looked before (and once in one that has not). ``--short`` leaves out 10,000.
"""

import argparse
import functools
import json
import logging
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

SIZES = (100, 1_000, 10_000)
TARGET = 1.0
REPEATS = 5
MONDAY = datetime(2040, 5, 14, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="leave out 10,000 schedules")
    asked = parser.parse_args()
    for number in SIZES[:2] if asked.short else SIZES:
        with tempfile.TemporaryDirectory(prefix="bench-schedules-") as folder:
            os.environ["MLOPS_HOME"] = folder
            os.environ.pop("DAGSTER_HOME", None)
            looks(number, Path(folder))


class Looking:
    """A sensor in a process that stays, with a clock that is set and a cursor that is kept only when asked to."""

    def __init__(self, instance: Any, ledger: Any) -> None:
        from mlops_assets.automation.retraining_sensor import RetrainingPorts, Serving, retraining_sensor

        self.instance = instance
        self.now = MONDAY - MINUTE
        self.cursor: str | None = None
        self.sensor = retraining_sensor("delays", RetrainingPorts(Serving("delays", lambda: ledger), lambda: self.now))

    def look(self) -> Any:
        import dagster as dg

        return self.sensor.evaluate_tick(dg.build_sensor_context(instance=self.instance, cursor=self.cursor))

    def start(self, requests: Any) -> None:
        import dagster as dg

        for request in requests:
            run = dg.DagsterRun("retrain", run_config=request.run_config, tags=dict(request.tags))
            self.instance.run_storage.add_historical_run(run, self.now)


def looks(number: int, folder: Path) -> None:
    from mlops_assets.automation.due import due
    from mlops_assets.tracking.registry import Registry
    from partitions.stages import Cron
    from resources.event_log import EventLog
    from resources.home import Home
    from resources.ledger.ledger import Ledger

    logging.getLogger("dagster").setLevel(logging.ERROR)
    home = Home(folder)
    event_log, ledger = EventLog.open(home), Ledger.of(home)
    keys = [f"S{position:05d}" for position in range(number)]
    deploy(ledger, keys)
    for named, cron in (("one schedule", "0 3 * * 1"), ("all distinct", None)):
        crons = {key: Cron(cron or distinct(n), timezone="America/New_York") for n, key in enumerate(keys)}
        declare(Registry(event_log, "delays"), crons)
        looking = Looking(event_log.instance, ledger)
        report(f"{number} schedules, {named}: first look of a process", once(looking.look))
        looking.cursor = looking.look().cursor
        report(f"{number} schedules, {named}: none due", best(looking.look), TARGET)
        looking.now = MONDAY if cron else MONDAY + timedelta(days=7)
        requests = looking.look().run_requests
        case = f"{number} schedules, {named}: all due, {len(requests)} runs asked for"
        report(case, best(looking.look), TARGET)
        looking.start(requests)
        assert not looking.look().run_requests
        report(f"{case} before the daemon was killed", best(looking.look), TARGET)
        schedules = {(key, "production"): of for key, of in crons.items()}
        asked = functools.partial(due, schedules, MONDAY - MINUTE, looking.now)
        report(f"{number} schedules, {named}: what is due, alone", best(asked))


def distinct(position: int) -> str:
    return f"{position % 60} {position // 60 % 24} * * {position // 1440 % 7}"


def declare(registry: Any, crons: dict[str, Any]) -> None:
    from mlops_assets.assets.configuration import Terms, register
    from partitions.catalogue import catalogue
    from partitions.stages import Retraining, Stage
    from tests.partitions.delays_declared import carrier, project

    subprojects = [
        carrier(key, stages=[Stage("production", retraining=Retraining(cron))]) for key, cron in crons.items()
    ]
    declared = catalogue(project(stages=[Stage("production")], subprojects=subprojects))
    register(registry, declared, Terms(why="bench"))


def deploy(ledger: Any, keys: list[str]) -> None:
    from resources.ledger.deployment import ModelFile, NewDeployment

    model = ModelFile(uri="sha256/0", digest="0" * 64, bytes=1)
    where = {"project": "delays", "stage": "production", "action": "deploy", "replaces": 0, "model": model}
    ledger.append([NewDeployment(**where, subproject=key, run_id="r", why="bench", by="bench") for key in keys])


def once(action: Callable[[], Any]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def best(action: Callable[[], Any]) -> float:
    """The shortest of a few: other work on the machine only adds."""
    return min(once(action) for _ in range(REPEATS))


def report(case: str, value: float, target: float | None = None) -> None:
    line = {"bench": "schedules", "case": case, "value": round(value, 4), "unit": "s"}
    print(json.dumps({**line, "floor": None, "ratio": None, "target": target}), flush=True)


if __name__ == "__main__":
    main()
