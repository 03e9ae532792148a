"""On the worker: does a model that is meant for a stage get there? Judged by the gates, or known already.

Nothing here knows Dagster or where it runs.
"""

from collections.abc import Sequence
from dataclasses import replace

from mlops_assets.assets.decision import said_of_gates
from mlops_assets.assets.way import Aim, Arrived, RunPlan, Way
from mlops_assets.quality.verdicts import GateVerdict, stops
from mlops_assets.tracking.record import RunError, RunRecord, record_path
from partitions.errors import ArtifactError, MlopsError
from partitions.values import Value, digest_of
from resources.artifacts import Artifact, ArtifactStore

FORGOTTEN = "{}"


class Attempt(Value):
    """The last run that was done for a stage, kept until it is deployed: what defines it, and the verdicts on it."""

    key: str
    run_id: str
    family: str | None
    verdicts: tuple[GateVerdict, ...] = ()


def already(way: Way, aim: Aim, plan: RunPlan, so_far: Arrived) -> Arrived | None:
    """Where this run need not be done: it is what serves there now, or it was done and never deployed.

    A run that gates have stopped is only taken as it is within one family of Dagster runs: asked for again, it is done
    again, with another seed.
    """
    store = ArtifactStore(way.home.artifacts_url)
    for run_id in aim.known:
        record = _record(store, way, run_id)
        if record is not None and _defined_by(record) == _defines(way, plan):
            return replace(so_far, same_as=run_id)
    attempt = _last_attempt(store, way, aim)
    if attempt is None or attempt.key != _key(way, aim, plan):
        return None
    if stops(attempt.verdicts) and (attempt.family is None or attempt.family != aim.family):
        return None
    record = _record(store, way, attempt.run_id)
    if record is None or not _is_whole(store, record):
        return None
    return replace(so_far, records=(record,), verdicts=attempt.verdicts, reused=True)


def remember(way: Way, aim: Aim, plan: RunPlan, record: RunRecord, verdicts: Sequence[GateVerdict]) -> None:
    """Killed from now on, the run is taken as it is instead of done again."""
    attempt = Attempt(key=_key(way, aim, plan), run_id=record.run_id, family=aim.family, verdicts=tuple(verdicts))
    ArtifactStore(way.home.artifacts_url).write_document(_path(way, aim.stage), attempt.model_dump_json())


def forget(artifacts: ArtifactStore, project: str, subproject: str, stage: str) -> None:
    """The run was deployed: from now on the ledger knows it."""
    artifacts.write_document(f"attempts/{project}/{subproject}/{stage}.json", FORGOTTEN)


def judged_record(record: RunRecord, verdicts: tuple[GateVerdict, ...]) -> RunRecord:
    """The record of a run that was judged: rejected, with the reason, where a gate stops it."""
    if not stops(verdicts):
        return record.model_copy(update={"status": "succeeded", "error": None})
    reason = RunError(message=f"{record.where}: {said_of_gates(verdicts)}")
    return record.model_copy(update={"status": "rejected", "error": reason})


def kept_record(store: ArtifactStore, project: str, subproject: str, run_id: str) -> RunRecord:
    """A run's record as it lies beside its artifacts. Raises ArtifactError where it is missing or cannot be read."""
    path = record_path(project, subproject, run_id)
    try:
        return RunRecord.model_validate_json(store.read_document(path))
    except ArtifactError:
        raise
    except (ValueError, MlopsError) as error:
        raise ArtifactError(
            f"document {path} is no record of a run any more: {' '.join(str(error).split())}"
        ) from error


def _record(store: ArtifactStore, way: Way, run_id: str) -> RunRecord | None:
    """None where it cannot be had: then the run is done again."""
    try:
        return kept_record(store, way.subproject.project, way.subproject.key, run_id)
    except ArtifactError:
        return None


def _is_whole(store: ArtifactStore, record: RunRecord) -> bool:
    """Whether all that the run stored is there and undamaged: `mlops gc` frees what nobody has deployed for long."""
    return all(store.has(Artifact(**entry.model_dump())) for entry in record.artifacts.values())


def _last_attempt(store: ArtifactStore, way: Way, aim: Aim) -> Attempt | None:
    try:
        text = store.read_document(_path(way, aim.stage))
    except ArtifactError:
        return None
    if text == FORGOTTEN:
        return None
    try:
        return Attempt.model_validate_json(text)
    except (ValueError, MlopsError):
        return None  # of another version of this program


def _path(way: Way, stage: str) -> str:
    return f"attempts/{way.subproject.project}/{way.subproject.key}/{stage}.json"


def _defines(way: Way, plan: RunPlan) -> tuple[str | None, str, str, str]:
    """What a run is, but for its seed."""
    configuration = plan.configuration
    return configuration.data_version, way.origin.code.digest, way.subproject.config_digest, configuration.digest


def _defined_by(record: RunRecord) -> tuple[str | None, str, str, str]:
    return record.data_version, record.code_version.digest, record.digests.subproject, record.digests.run


def _key(way: Way, aim: Aim, plan: RunPlan) -> str:
    """Equal where the same run would be judged by the same gates against the same champion."""
    gates = [gate.model_dump(mode="json") for gate in aim.gates]
    return digest_of([*_defines(way, plan), gates, aim.champion])
