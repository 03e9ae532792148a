"""A run against the same run again, judged from their records and results."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.tracking.record import (
    ArtifactEntry,
    CodeIdentity,
    Digests,
    Environment,
    RunError,
    RunRecord,
    document_path,
    fingerprint,
    new_run_id,
    to_text,
)
from mlops_assets.tracking.replay import Replay, compare_rows, judge
from mlops_assets.tracking.stored_run import altered, stored_configuration, stored_results
from partitions.errors import ArtifactError
from partitions.run_configuration import RunConfiguration
from partitions.values import digest_of
from resources.artifacts import ArtifactStore
from resources.code_versions import code_digest
from resources.parquet import encode

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
PACKAGES = {"numpy": "2.4.0", "scikit-learn": "1.9.0"}


def results(shift: float = 0.0) -> pd.DataFrame:
    rows = pd.DataFrame({"key": list("abcd"), "split": ["train", "train", "test", "test"]})
    return rows.assign(fold=pd.array([None] * 4, dtype="Int64"), truth=[1.0, 2.0, 3.0, 4.0], prediction=1.5 + shift)


def record(hours: float = 0.0, **changes: object) -> RunRecord:
    configuration = RunConfiguration(data_version="d" * 64, params={"alpha": 2.0}, seed=7)
    digests = Digests(subproject=digest_of({"carrier": "AA"}), run=configuration.digest)
    code = CodeIdentity(digest=code_digest("t" * 64, "0.1.0", "l" * 64), tree="t" * 64, framework="0.1.0")
    from mlops_assets.learning.digests import predictions_digest

    fields: dict[str, object] = {
        "run_id": new_run_id(),
        "project": "p",
        "subproject": "AA",
        "kind": "dev",
        "code_version": code,
        "data_version": "d" * 64,
        "digests": digests,
        "configuration": {"carrier": "AA"},
        "parameters": {"alpha": 2.0},
        "seed": 7,
        "fingerprint": fingerprint(code.digest, "d" * 64, digests, 7, None),
        "metrics": {"rmse": 12.5},
        "predictions": predictions_digest(results()),
        "environment": Environment(python="3.11.7", lock="l" * 64, packages=PACKAGES),
        "status": "succeeded",
        "created_at": START + timedelta(hours=hours),
        "created_by": "me",
        **changes,
    }
    return RunRecord.model_validate(fields)


def stored(artifacts: ArtifactStore) -> RunRecord:
    """A run whose artifacts and record.json are in the store."""
    configuration = RunConfiguration(data_version="d" * 64, params={"alpha": 2.0}, seed=7)
    contents = {
        "configuration": (configuration.to_yaml().encode(), ".yaml"),
        "results": (encode(results()), ".parquet"),
        "model": (b"a model", ".model"),
    }
    entries = {name: ArtifactEntry(**artifacts.put(*content).model_dump()) for name, content in contents.items()}
    made = record(artifacts=entries)
    artifacts.write_document(document_path(made), to_text(made))
    return made


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path))


def test_the_same_predictions_and_metrics_are_identical() -> None:
    before, after = record(), record(1, kind="replay")
    found = judge(before, after, compare_rows(results(), results()), [], [before])
    assert found.identical and found.verdict == "identical" and found.environment == ()
    assert found.lines() == ["identical: p/AA: same predictions, same metrics"] and str(found) == repr(found)
    assert (found.run_id, found.replay_id) == (before.run_id, after.run_id)


def test_an_environment_that_changed_and_does_not_matter_is_told_and_identical() -> None:
    after = record(1, environment=Environment(python="3.11.7", lock="l" * 64, packages=PACKAGES, threads=2))
    found = judge(record(), after, None, [], [])
    assert found.identical and [(d.name, d.before, d.after) for d in found.environment] == [("threads", "1", "2")]


def test_what_differs_is_told_and_since_when() -> None:
    before = record()
    newer = Environment(python="3.11.7", lock="m" * 64, packages={**PACKAGES, "numpy": "2.5.0"})
    same_again = record(1)
    other_seed = record(2, seed=8, environment=newer)
    first_other = record(3, environment=newer, predictions="0" * 64)
    failed = record(0.5, environment=newer, status="failed")
    after = record(4, environment=newer, predictions="0" * 64, metrics={"rmse": 13.0}, kind="replay")
    known = [failed, first_other, before, other_seed, same_again]
    found = judge(before, after, compare_rows(results(), results(0.25)), [], known)
    assert not found.identical and found.verdict == "differs"
    assert [(d.name, d.before, d.after) for d in found.environment] == [
        ("lock", "l" * 12, "m" * 12),
        ("package numpy", "2.4.0", "2.5.0"),
    ]
    assert {d.since.run_id for d in found.environment if d.since} == {other_seed.run_id}
    assert found.first_other is not None and found.first_other.run_id == first_other.run_id
    assert found.last_same is not None and found.last_same.run_id == same_again.run_id
    text = "\n".join(found.lines())
    assert "4 of 4 predictions differ, by 0.25 at most" in text and "12.5 before, 13 now" in text
    assert f"since run {other_seed.run_id} of 2026-05-01 14:00 UTC" in text
    assert "&lt;" not in found._repr_html_() and found.replay_id in found._repr_html_()


def test_with_nothing_else_that_differs_the_code_does_not_repeat() -> None:
    found = judge(record(), record(1, predictions="0" * 64), None, [], [])
    assert "the code itself does not repeat" in "\n".join(found.lines())


def test_other_metrics_of_the_same_predictions_are_a_difference() -> None:
    found = judge(record(), record(1, metrics={"rmse": 12.75}, train_metrics={"rmse": 1.0}), None, [], [])
    assert found.verdict == "differs" and found.predictions_identical
    assert [(m.of, m.name, m.before, m.after) for m in found.metrics] == [
        ("test", "rmse", 12.5, 12.75),
        ("train", "rmse", None, 1.0),
    ]


def test_a_run_that_cannot_be_done_again_is_told_with_what_changed_but_not_with_packages_it_does_not_name() -> None:
    broken = record(
        1,
        status="failed",
        error=RunError(message="p/AA: no module named old"),
        metrics={},
        predictions=None,
        environment=Environment(python="3.11.9", lock="l" * 64),
    )
    found = judge(record(), broken, None, [], [])
    assert found.verdict == "failed" and not found.identical and found.metrics == ()
    assert [d.name for d in found.environment] == ["python"]
    assert "no module named old" in found.lines()[0]


def test_rows_are_joined_on_their_key_and_counted() -> None:
    other = results().assign(
        key=list("bcde"), prediction=[1.5, 1.75, 9.5, 1.5], split=["test", "train", "test", "test"]
    )
    found = compare_rows(results(), other)
    assert (found.of, found.differ, found.largest) == (3, 2, 8.0)
    assert (found.only_before, found.only_after, found.other_part) == (1, 1, 2)
    assert found.keys == ("d", "c") and not found.nothing
    assert compare_rows(results(), results().iloc[::-1]).nothing


def test_classes_and_probabilities_are_compared_too() -> None:
    classes = results().assign(prediction=["u", "v", "u", "v"], probability_u=0.5)
    same = compare_rows(classes, classes)
    assert same.nothing and same.largest is None
    other = classes.assign(prediction=["u", "u", "u", "v"], probability_u=[0.5, 0.6, 0.7, 0.5])
    assert compare_rows(classes, other).differ == 2


def test_what_was_stored_and_is_still_so_is_not_altered(artifacts: ArtifactStore) -> None:
    made = stored(artifacts)
    assert altered(made, artifacts) == []
    noted = made.model_copy(update={"note": "the one", "tags": {"reviewed": "yes"}})
    assert altered(noted, artifacts) == []
    assert stored_configuration(made, artifacts).params == {"alpha": 2.0}


def test_a_flipped_stored_value_is_told_with_its_place(artifacts: ArtifactStore, tmp_path: Path) -> None:
    made = stored(artifacts)
    (tmp_path / made.artifacts["results"].uri).write_bytes(encode(results().assign(prediction=[1.5, 1.5, 1.5, 1.6])))
    found = altered(made, artifacts)
    assert len(found) == 1 and found[0].startswith("results: sha256/") and "instead of" in found[0]
    read = stored_results(made, artifacts)
    assert read is not None and compare_rows(read, results()).keys == ("d",)
    (tmp_path / made.artifacts["results"].uri).write_bytes(b"PAR1 no more")
    assert stored_results(made, artifacts) is None
    (tmp_path / made.artifacts["model"].uri).unlink()
    assert [line.partition(":")[0] for line in altered(made, artifacts)] == ["results", "model"]


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("metrics", {"rmse": 1.0}, "record.json: metrics is {'rmse': 12.5}, in the event log {'rmse': 1.0}"),
        ("predictions", "0" * 64, "in the record 000000000000"),
        ("seed", 8, "its fingerprint is not that of"),
        ("parameters", {"alpha": 3.0}, "the parameters in the file are not those in the record"),
        ("configuration", {"carrier": "UA"}, "its subproject configuration is not what its digest says"),
        ("data_version", "e" * 64, "its fingerprint is not that of"),
    ],
)
def test_a_record_that_was_changed_is_told(artifacts: ArtifactStore, field: str, value: object, what: str) -> None:
    changed = stored(artifacts).model_copy(update={field: value})
    found = altered(changed, artifacts)
    assert any(what in line for line in found) and any(line.startswith("record.json: ") for line in found)


def test_code_that_is_not_what_its_digest_says_is_told(artifacts: ArtifactStore) -> None:
    made = stored(artifacts)
    other = made.code_version.model_copy(update={"tree": "u" * 64})
    assert any("code version" in line for line in altered(made.model_copy(update={"code_version": other}), artifacts))


def test_a_damaged_or_missing_record_document_is_told(artifacts: ArtifactStore, tmp_path: Path) -> None:
    made = stored(artifacts)
    (tmp_path / document_path(made)).write_text("{}")
    assert altered(made, artifacts) == [f"record.json: {document_path(made)} is no record any more"]
    (tmp_path / document_path(made)).unlink()
    assert len(altered(made, artifacts)) == 1 and "missing" in altered(made, artifacts)[0]


def test_the_record_stands_in_for_a_damaged_configuration_file(artifacts: ArtifactStore, tmp_path: Path) -> None:
    made = stored(artifacts)
    (tmp_path / made.artifacts["configuration"].uri).write_text("params: {alpha: 5.0}")
    assert stored_configuration(made, artifacts).params == {"alpha": 2.0}
    with pytest.raises(ArtifactError, match="restore one of them"):
        stored_configuration(made.model_copy(update={"parameters": {"alpha": 5.0}}), artifacts)


def test_a_replay_survives_its_json() -> None:
    found = judge(record(), record(1, predictions="0" * 64), compare_rows(results(), results(1.0)), ["results: x"], [])
    written = found.model_dump(mode="json")
    assert written.pop("identical") is False
    assert Replay.model_validate(written) == found
