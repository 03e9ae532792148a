"""Which subprojects of a Dagster run did not get there, and what that run was asked to do with them."""

from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterRun

from mlops_assets.tracking.hpo_run import HPORuns
from partitions.dynamic import registered_keys
from partitions.errors import MlopsError, UnknownName
from resources.event_log import EventLog

PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
EXPERIMENT = "experiment"
RETRAIN = "retrain"
OPTIMISE = "optimise"
TRIALS = "trials"


@dataclass(frozen=True)
class Unfinished:
    """What is left of a Dagster run: the subprojects it did not finish, its steps (none: dev runs and retrainings), its
    run config and its job."""

    keys: list[str]
    steps: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)
    job: str = ""


def unfinished(event_log: EventLog, project: str, dagster_run_id: str) -> Unfinished:
    """What ``dagster_run_id`` (with all its re-executions) was to do and has not done.

    Works for a run that failed and for one whose process died: what counts is what was materialised.
    Raises UnknownName if there is no such Dagster run.
    """
    run = event_log.instance.get_run_by_id(dagster_run_id)
    if run is None:
        raise UnknownName(f"there is no Dagster run {dagster_run_id!r}; `mlops runs` shows them as dagster_run_id")
    run_config: dict[str, Any] = dict(run.run_config)
    of_steps: list[dict[str, Any]] = list(run_config.get("ops", {}).values())
    fields: dict[str, Any] = dict(of_steps[0].get("config", {})) if of_steps else {}
    listed = fields.pop("subprojects", None)
    targets = listed if listed is not None else _partitions_of(event_log, project, run)
    family = event_log.family(dagster_run_id)
    if run.job_name == OPTIMISE:
        raise MlopsError(
            f"Dagster run {dagster_run_id} is HPO, which goes on with `mlops hpo {_some(targets)} --resume`"
        )
    if run.job_name == EXPERIMENT:
        done = event_log.materialized_in(family, (project, "experiments"))
        return Unfinished([key for key in targets if key not in done], (), fields, run.job_name)
    if run.job_name == RETRAIN:
        # Rejected and unchanged are decisions, too: observations of the stage.
        asset = (project, "deployment", str(fields["stage"]))
        done = event_log.materialized_in(family, asset) | event_log.observed_in(family, asset)
        return Unfinished([key for key in targets if key not in done], (), fields, run.job_name)
    steps = tuple(fields.pop("steps", None) or sorted("/".join(key.path[1:]) for key in run.asset_selection or ()))
    done_by_step = [_done(event_log, project, (step, targets), family) for step in steps]
    done = set.intersection(*done_by_step) if done_by_step else set()
    return Unfinished([key for key in targets if key not in done], steps, fields)


def _done(event_log: EventLog, project: str, asked: tuple[str, list[str]], family: list[str]) -> set[str]:
    """The subprojects whose step these Dagster runs have done; of ``trials`` those whose HPO run has ended."""
    step, keys = asked
    if step != TRIALS:
        return event_log.materialized_in(family, (project, *step.split("/")))
    runs = HPORuns(event_log, project)
    ended = {hpo_run_id for hpo_run_id, one in runs.ended(keys).items() if one.well}
    return {run.subproject for run in runs.started(keys) if run.hpo_run_id in ended and run.dagster_run_id in family}


def _some(keys: list[str]) -> str:
    return " ".join(keys[:5]) + (" ..." if len(keys) > 5 else "")


def _partitions_of(event_log: EventLog, project: str, run: DagsterRun) -> list[str]:
    if PARTITION_TAG in run.tags:
        return [run.tags[PARTITION_TAG]]
    keys = registered_keys(event_log.instance, project)
    if RANGE_START_TAG not in run.tags:
        return keys
    start, end = keys.index(run.tags[RANGE_START_TAG]), keys.index(run.tags[RANGE_END_TAG])
    return keys[start : end + 1]
