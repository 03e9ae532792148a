"""Run records: identity, fingerprint, the flat row."""

import uuid
from datetime import UTC, datetime

from mlops_assets.tracking.record import (
    CodeIdentity,
    Digests,
    Environment,
    RunRecord,
    document_path,
    fingerprint,
    new_run_id,
    to_text,
)

DIGESTS = Digests(subproject="s" * 64, run="r" * 64)


def record(**changes: object) -> RunRecord:
    fields: dict[str, object] = {
        "run_id": new_run_id(),
        "project": "p",
        "subproject": "AA",
        "kind": "dev",
        "code_version": CodeIdentity(digest="c" * 64, commit="abc", dirty=True),
        "data_version": "d" * 64,
        "digests": DIGESTS,
        "parameters": {"max_depth": 4, "split": {"method": "time", "test_size": 0.25}},
        "seed": 7,
        "fingerprint": "f" * 64,
        "metrics": {"rmse": 12.5},
        "environment": Environment(python="3.11.7", lock="l" * 64),
        "timings": {"fit": 1.0, "predict": 0.5},
        "status": "succeeded",
        "created_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "created_by": "me",
        "tags": {"hub": "JFK"},
        **changes,
    }
    return RunRecord.model_validate(fields)


def test_run_ids_are_version_7_and_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(200)]
    assert all(uuid.UUID(run_id).version == 7 and uuid.UUID(run_id).variant == uuid.RFC_4122 for run_id in ids)
    assert len(set(ids)) == 200
    milliseconds = [uuid.UUID(run_id).int >> 80 for run_id in ids]
    assert milliseconds == sorted(milliseconds)


def test_a_record_survives_its_text() -> None:
    made = record(note='quotes " and ü')
    assert RunRecord.model_validate_json(to_text(made)) == made
    assert "\n" not in to_text(made)


def test_the_row_is_flat_with_the_columns_that_are_promised() -> None:
    row = record().row()
    assert row["params.split.method"] == "time" and row["metrics.rmse"] == 12.5 and row["tags.hub"] == "JFK"
    promised = (
        "run_id subproject kind status stage parent commit dirty data_version seed fold fingerprint created_at seconds"
    )
    assert set(promised.split()) <= row.keys()
    assert row["seconds"] == 1.5


def test_everything_that_defines_a_run_is_in_its_fingerprint() -> None:
    base = fingerprint("c", "d", DIGESTS, 7, None)
    assert base == fingerprint("c", "d", DIGESTS, 7, None)
    other = Digests(subproject="s" * 64, run="x" * 64)
    another = Digests(subproject="y" * 64, run="r" * 64)
    changed = [
        fingerprint("c2", "d", DIGESTS, 7, None),
        fingerprint("c", "d2", DIGESTS, 7, None),
        fingerprint("c", "d", other, 7, None),
        fingerprint("c", "d", another, 7, None),
        fingerprint("c", "d", DIGESTS, 8, None),
        fingerprint("c", "d", DIGESTS, 7, 0),
    ]
    assert len({base, *changed}) == 7


def test_the_document_lies_beside_the_runs_of_its_subproject() -> None:
    made = record()
    assert document_path(made) == f"runs/p/AA/{made.run_id}/record.json"
