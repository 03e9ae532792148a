"""Every question that this project and Dagster's web server ask of an event log, and its answer as text."""

import re
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.event_api import AssetEventType, PartitionKeyFilter
from dagster._core.events import DagsterEventType
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

ASSETS = [dg.AssetKey("x"), dg.AssetKey("y")]
CHECKS = [dg.AssetCheckKey(dg.AssetKey("x"), "c"), dg.AssetCheckKey(dg.AssetKey("x"), "d")]
PARTITIONS = ["a", "b", "c"]
PARTITIONED = dg.StaticPartitionsDefinition(PARTITIONS)
TAG = "dagster/data_version"
ASSET_KINDS: tuple[AssetEventType, ...] = (
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
)


def answers(instance: dg.DagsterInstance, runs: Sequence[str]) -> dict[str, str]:
    """Questions and answers; two storages that hold the same events give equal ones, ids included."""
    log = instance.event_log_storage
    found: dict[str, Any] = {"assets": sorted(log.all_asset_keys()), "keys": log.get_asset_keys(prefix=["x"])}
    found["dynamic partitions"] = log.get_dynamic_partitions("lines"), log.has_dynamic_partition("lines", "a")
    for key in ASSETS:
        name = key.path[-1]
        found |= {f"{name}: {question}": answer for question, answer in _of_asset(instance, log, key).items()}
    for run_id in [*runs, RUNLESS_RUN_ID]:
        found |= {f"run {run_id[:2]}: {question}": answer for question, answer in _of_run(log, run_id).items()}
    for check in CHECKS:
        found |= {f"{check.name}: {question}": answer for question, answer in _of_check(log, check).items()}
    found["checks"] = _without_creation(log.get_latest_asset_check_execution_by_key(CHECKS))
    found["check summaries"] = _without_creation(
        {key: one.last_check_execution_record for key, one in log.get_asset_check_summary_records(CHECKS).items()}
    )
    for kind in (DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE):
        found[f"{kind}"] = log.fetch_run_status_changes(kind, limit=100)
    return {question: _as_text(answer) for question, answer in found.items()}


def _as_text(answer: Any) -> str:
    """All but two things that no question is asked by: when a wipe was logged, and the number of a row of an asset."""
    text = re.sub(r"(timestamp=|wiped_at=)[\d.]+", r"\1T", repr(answer))
    return re.sub(r"AssetRecord\(storage_id=\d+", "AssetRecord(storage_id=N", text)


def _of_asset(instance: dg.DagsterInstance, log: EventLogStorage[Any], key: dg.AssetKey) -> dict[str, Any]:
    where = dg.AssetRecordsFilter(asset_key=key, asset_partitions=["a", "b"])
    found: dict[str, Any] = {
        "record": log.get_asset_records([key]),
        "has": log.has_asset_key(key),
        "latest": log.get_latest_materialization_events([key]),
        "materializations": log.fetch_materializations(key, limit=100),
        "materializations of partitions": log.fetch_materializations(where, limit=2, ascending=True),
        "observations": log.fetch_observations(key, limit=100, ascending=True),
        "materialized": log.get_materialized_partitions(key),
        "failed": log.get_latest_asset_partition_materialization_attempts_without_materializations(key),
        "planned": log.get_latest_planned_materialization_info(key),
        "planned a": log.get_latest_planned_materialization_info(key, partition="a"),
        "tags": sorted(map(repr, log.get_event_tags_for_asset(key))),
        "tags of a version": sorted(map(repr, log.get_event_tags_for_asset(key, filter_tags={TAG: "1"}))),
        "updated versions": log.get_updated_data_version_partitions(key, PARTITIONS, 0),
    }
    for kind in ASSET_KINDS:
        found[f"latest ids, {kind}"] = log.get_latest_storage_id_by_partition(key, kind)
        found[f"summaries, {kind}"] = log.get_asset_event_summary_records(kind, key)
        found[f"latest tags, {kind}"] = log.get_latest_tags_by_partition(key, kind, [TAG])
        found[f"records, {kind}"] = log.get_event_records(dg.EventRecordsFilter(kind, asset_key=key))
    found["status"] = get_and_update_asset_status_cache_value(instance, key, PARTITIONED)
    found["record after"] = log.get_asset_records([key])
    return found


def _of_run(log: EventLogStorage[Any], run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {"all": log.get_records_for_run(run_id), "last": log.get_records_for_run(run_id, limit=3)}
    found["next"] = log.get_records_for_run(run_id, cursor=found["last"].cursor, limit=3)
    found["backwards"] = log.get_records_for_run(run_id, limit=5, ascending=False)
    found["made"] = log.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    found["stats"] = log.get_stats_for_run(run_id)
    found["steps"] = log.get_step_stats_for_run(run_id)
    found["assets"] = sorted(log.get_asset_keys_for_run(run_id)) if hasattr(log, "get_asset_keys_for_run") else None
    return found


def _of_check(log: EventLogStorage[Any], check: dg.AssetCheckKey) -> dict[str, Any]:
    found: dict[str, Any] = {"history": _without_creation(log.get_asset_check_execution_history(check, limit=100))}
    for partition in (None, "a"):
        of_partition = PartitionKeyFilter(key=partition)
        history = log.get_asset_check_execution_history(check, limit=5, partition_filter=of_partition)
        found[f"history of {partition}"] = _without_creation(history)
        latest = log.get_latest_asset_check_execution_by_key([check], partition_filter=of_partition)
        found[f"latest of {partition}"] = _without_creation(latest)
    found["partitions"] = sorted(map(repr, log.get_asset_check_partition_info([check])))
    return found


def _without_creation(records: Any) -> Any:
    """The one thing that the database writes by its own clock is when a row of a check was made."""
    if isinstance(records, dict):
        return {key: _without_creation([record])[0] for key, record in sorted(records.items(), key=repr)}
    return [record and record._replace(create_timestamp=0.0) for record in records]
