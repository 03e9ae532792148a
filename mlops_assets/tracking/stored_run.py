"""Is what is stored of a run still what was stored? Nothing here trusts what it reads."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.tracking.record import RunRecord, document_path, fingerprint
from partitions.errors import ArtifactError, DeclarationError, MlopsError
from partitions.run_configuration import RunConfiguration
from partitions.values import digest_of
from resources.artifacts import ArtifactStore
from resources.code_versions import code_digest

if TYPE_CHECKING:
    import pandas as pd

# What may be said of a run after the fact, without a change of what was stored of it.
ANNOTATED = {"note", "tags"}


def altered(record: RunRecord, artifacts: ArtifactStore) -> list[str]:
    """What of a run is not as it was stored, a line each: its artifacts, its record.json, and its record in the log."""
    found = [*_record_altered(record), *_document_altered(record, artifacts)]
    for name, entry in record.artifacts.items():
        data = _bytes(artifacts, entry.uri)
        if data is None:
            if artifacts.freed(entry.uri) is None:
                found.append(f"{name}: {entry.uri} is missing")
        elif (digest := hashlib.sha256(data).hexdigest()) != entry.digest:
            found.append(f"{name}: {entry.uri} has the digest {digest[:12]} instead of {entry.digest[:12]}")
        elif name == "configuration":
            found += _configuration_altered(record, data)
        elif name == "results":
            found += _results_altered(record, data)
    return found


def freed(record: RunRecord, artifacts: ArtifactStore) -> list[str]:
    """What of a run was freed and is not there any more, a line each: nobody altered that."""
    lines = []
    for name, entry in record.artifacts.items():
        said = artifacts.freed(entry.uri) if _bytes(artifacts, entry.uri) is None else None
        if said is not None:
            lines.append(f"{name} {said.partition(';')[0]}")
    return lines


def stored_results(record: RunRecord, artifacts: ArtifactStore) -> "pd.DataFrame | None":
    """The results as they lie in the store, also where they were altered; None where they cannot be read at all."""
    import pyarrow as pa

    from resources.parquet import decode

    data = _bytes(artifacts, record.artifacts["results"].uri) if "results" in record.artifacts else None
    try:
        results = decode(data) if data is not None else None
    except (pa.ArrowException, OSError, ValueError):
        return None
    return results if results is not None and {"key", "split", "prediction"} <= set(results.columns) else None


def stored_configuration(record: RunRecord, artifacts: ArtifactStore) -> RunConfiguration:
    """The run configuration from the run's file; where that is damaged, as the record has it.

    Raises ArtifactError where neither is what the run was made with.
    """
    entry = record.artifacts.get("configuration")
    data = _bytes(artifacts, entry.uri) if entry is not None else None
    if entry is not None and data is not None and hashlib.sha256(data).hexdigest() == entry.digest:
        return RunConfiguration.from_yaml(data.decode(), f"run {record.run_id}")
    configuration = recorded_configuration(record)
    if configuration.digest != record.digests.run:
        raise ArtifactError(
            f"run {record.run_id}: its run configuration file is gone or damaged, and the parameters in its record are "
            "not what their digest says; restore one of them from a backup"
        )
    return configuration


def recorded_configuration(record: RunRecord) -> RunConfiguration:
    """The run configuration with the seed, from what the record says."""
    return RunConfiguration(
        data_version=record.data_version,
        params=record.parameters,
        folds=record.settings.get("folds"),
        fold=record.fold,
        seed=record.seed,
    )


def _record_altered(record: RunRecord) -> Iterator[str]:
    """Digests in a record that do not belong to what it says."""
    code, digests = record.code_version, record.digests
    known = code.tree is not None and code.framework is not None
    if known and code_digest(code.tree or "", code.framework or "", record.environment.lock) != code.digest:
        yield "record: its code version is not the digest of its tree, framework and lock"
    if digest_of(record.configuration) != digests.subproject:
        yield "record: its subproject configuration is not what its digest says"
    if fingerprint(code.digest, record.data_version, digests, record.seed, record.fold) != record.fingerprint:
        yield "record: its fingerprint is not that of its code version, data version, configuration, seed and fold"


def _document_altered(record: RunRecord, artifacts: ArtifactStore) -> Iterator[str]:
    path = document_path(record)
    try:
        kept = RunRecord.model_validate_json(artifacts.read_document(path))
    except ArtifactError as error:
        yield f"record.json: {error}"
    except (ValueError, MlopsError):
        yield f"record.json: {path} is no record any more"
    else:
        there, here = (one.model_dump(mode="json", exclude=ANNOTATED) for one in (kept, record))
        for field in (name for name in here if here[name] != there[name]):
            yield f"record.json: {field} is {_short(there[field])}, in the event log {_short(here[field])}"


def _configuration_altered(record: RunRecord, data: bytes) -> Iterator[str]:
    try:
        configuration = RunConfiguration.from_yaml(data.decode(), f"run {record.run_id}")
    except (DeclarationError, UnicodeDecodeError) as error:
        yield f"configuration: {str(error).splitlines()[0]}"
        return
    if configuration.digest != record.digests.run:
        yield "configuration: the file's digest is not the one in the record"
    if configuration.seed != record.seed or configuration.data_version != record.data_version:
        yield "configuration: seed or data version in the file is not the one in the record"
    if configuration.params != record.parameters:
        yield "configuration: the parameters in the file are not those in the record"


def _results_altered(record: RunRecord, data: bytes) -> Iterator[str]:
    from mlops_assets.learning.digests import predictions_digest
    from resources.parquet import decode

    found = predictions_digest(decode(data))
    if found != record.predictions:
        yield f"results: their predictions digest is {found[:12]}, in the record {(record.predictions or 'none')[:12]}"


def _bytes(artifacts: ArtifactStore, uri: str) -> bytes | None:
    try:
        return artifacts.files.read(uri)
    except FileNotFoundError:
        return None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "..."
