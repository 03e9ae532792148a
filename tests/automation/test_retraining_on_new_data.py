"""New data starts a retraining once: when it is settled, and when the one that is running has ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from mlops_assets.automation.retraining import SETTLED
from mlops_assets.tracking.registry import Registry
from partitions.stages import Cron, Retraining, Stage
from resources.event_log import EventLog
from tests.automation.retraining_daemon import DAY, MINUTE, daemon, retrain
from tests.automation.retraining_daemon import registry as registry

ON_DATA = Stage("production", retraining=Retraining(on_new_data=True))
BOTH = Stage("production", retraining=Retraining(Cron("0 3 * * *"), on_new_data=True))


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
