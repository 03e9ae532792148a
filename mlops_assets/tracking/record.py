"""What is known of one run: everything that defines it, what came out, and where its artifacts are.

A record is written twice: as ``record.json`` beside the run's artifacts, before its event, and as the one text entry
``record`` of the event that tracks it. The event is the truth; the file allows it to be reported again.
"""

import os
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from partitions.values import Value, canonical_json, digest_of

RECORD_VERSION = 1
# The entry of an event that holds a record.
RECORD_ENTRY = "record"

Kind = Literal["dev", "trial", "retrain", "replay"]
Status = Literal["succeeded", "failed", "pruned", "rejected"]


class CodeIdentity(Value):
    """Which code ran: its digest, and what is needed to find or rebuild it (see resources.code_versions).

    ``tree`` and ``framework`` are, with the environment's lock, what the digest is over.
    """

    digest: str
    tree: str | None = None
    framework: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    patch: str | None = Field(default=None, description="uri of the stored patch against the commit")
    archive: str | None = Field(default=None, description="uri of the stored tree, outside git or for another version")


class ArtifactEntry(Value):
    """One artifact of a run: uri relative to the artifact store, sha256 digest, size in bytes."""

    uri: str
    digest: str
    bytes: int


class Digests(Value):
    """Digests of the configurations a run was made with."""

    subproject: str
    run: str
    hpo: str | None = None


class Environment(Value):
    """Python, the digest of the lock file, the packages that matter for predictions, and threads per worker."""

    python: str
    lock: str
    packages: dict[str, str] = {}
    threads: int = 1


class RunError(Value):
    """Why a run failed: one line for people, the worker's traceback for the one who mends it."""

    message: str
    traceback: str = ""


class RunRecord(Value):
    """One run, complete. Times are UTC, durations seconds; ``metrics`` are of the test rows."""

    version: int = RECORD_VERSION
    run_id: str
    project: str
    subproject: str
    kind: Kind
    parent: str | None = None
    stage: str | None = None
    code_version: CodeIdentity
    data_version: str | None
    digests: Digests
    configuration: dict[str, Any] = {}
    parameters: dict[str, Any]
    settings: dict[str, Any] = {}
    seed: int
    fold: int | None = None
    fingerprint: str
    metrics: dict[str, float] = {}
    train_metrics: dict[str, float] = {}
    baseline: dict[str, float] = {}
    predictions: str | None = None
    artifacts: dict[str, ArtifactEntry] = {}
    environment: Environment
    timings: dict[str, float] = {}
    status: Status
    error: RunError | None = None
    created_at: datetime
    created_by: str
    dagster_run_id: str | None = None
    tags: dict[str, str] = {}
    note: str = ""

    @property
    def where(self) -> str:
        return f"{self.project}/{self.subproject}"

    def row(self) -> dict[str, Any]:
        """The run as a flat row, with the columns that ``mlops runs``, ``--json`` and ``where`` share."""
        return {
            "run_id": self.run_id,
            "subproject": self.subproject,
            "kind": self.kind,
            "status": self.status,
            "stage": self.stage,
            "parent": self.parent,
            "code_version": self.code_version.digest,
            "commit": self.code_version.commit,
            "dirty": self.code_version.dirty,
            "data_version": self.data_version,
            "seed": self.seed,
            "fold": self.fold,
            "fingerprint": self.fingerprint,
            "created_at": self.created_at.isoformat(),
            "seconds": round(sum(self.timings.values()), 4),
            "configuration": self.digests.run,
            "split": split_of(self.settings),
            "predictions": self.predictions,
            "dagster_run_id": self.dagster_run_id,
            "created_by": self.created_by,
            "error": self.error.message if self.error else None,
            "note": self.note or None,
            **flat("params", self.parameters),
            **flat("metrics", self.metrics),
            **flat("tags", self.tags),
        }


def split_of(settings: dict[str, Any]) -> str | None:
    """The digest of the split that came out, if recorded: runs that share it are judged on the same rows."""
    split = settings.get("split")
    return split if isinstance(split, str) else None


def flat(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings as dotted names: ``{"split": {"method": "time"}}`` becomes ``params.split.method``."""
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            row.update(flat(f"{prefix}.{name}", value))
        else:
            row[f"{prefix}.{name}"] = value
    return row


def fingerprint(code: str, data: str | None, digests: Digests, seed: int, fold: int | None) -> str:
    """One digest for everything that defines a run's outcome: equal fingerprints predict the same."""
    return digest_of([code, data, digests.subproject, digests.run, seed, fold])


def new_run_id() -> str:
    """A UUID of version 7 (RFC 9562): unique, and sorted by the millisecond it was made in."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds << 80) | random
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def now() -> datetime:
    return datetime.now(UTC)


def to_text(record: RunRecord) -> str:
    """The record as one line of canonical JSON: the ``record`` entry of its event, and its ``record.json``."""
    return canonical_json(record.model_dump(mode="json"))


def document_path(record: RunRecord) -> str:
    """Where ``record.json`` lies in the artifact store."""
    return record_path(record.project, record.subproject, record.run_id)


def record_path(project: str, subproject: str, run_id: str) -> str:
    """Where the ``record.json`` of a run lies in the artifact store."""
    return f"runs/{project}/{subproject}/{run_id}/record.json"
