"""``mlops gc``: what is needed stays, each for its reason; what nobody needs goes, and its absence is explained."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.opened_project import OpenedProject
from mlops_assets.tracking.collection import Collected
from mlops_assets.tracking.record import RunRecord, document_path
from partitions.errors import ArtifactError, MlopsError
from resources.artifacts import ArtifactStore
from tests.public.conftest import declare, opened

DAY = 86_400


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    return opened(folder)


def grow_old(p: OpenedProject, days: float = 2) -> None:
    """Nobody has used anything in the store for so long."""
    then = time.time() - days * DAY
    for file in Path(p.artifacts.url, "sha256").rglob("*"):
        if file.is_file():
            os.utime(file, (then, then))


def collected(p: OpenedProject, keep: int = 0, older_than: float = 0.0, dry_run: bool = False) -> Collected:
    grow_old(p)
    return p.gc(keep=keep, older_than=older_than, dry_run=dry_run)


def held(p: OpenedProject, record: RunRecord) -> set[str]:
    """Which artifacts of a run are there."""
    root = Path(p.artifacts.url)
    return {name for name, entry in record.artifacts.items() if (root / entry.uri).exists()}


def snapshot_file(p: OpenedProject, record: RunRecord) -> Path:
    assert record.data_version is not None
    return Path(p.artifacts.url, p.datasets.find(record.where, record.data_version).artifact.uri)


def test_models_and_results_of_unneeded_runs_go_and_their_records_and_configurations_stay(p: OpenedProject) -> None:
    first, second = (p.run("a", params={"alpha": alpha}, seed=1)[0] for alpha in (1.0, 2.0))
    before = {path: p.artifacts.read_document(path) for path in p.artifacts.list_documents("runs")}
    done = collected(p, keep=1)
    assert {freed.kind for freed in done.freed} == {"model", "results"} and len(done.freed) == 2
    assert held(p, first) == {"configuration"}
    assert held(p, second) == {"configuration", "model", "results"}
    assert done.protected == {second.run_id: ("newest",)}
    assert {path: p.artifacts.read_document(path) for path in p.artifacts.list_documents("runs")} == before
    assert p.record(first.run_id) == first
    assert snapshot_file(p, second).exists()
    with pytest.raises(ArtifactError, match=r"was freed by `mlops gc` on \d{4}-\d\d-\d\d; `mlops replay`"):
        p.model(first.run_id)
    with pytest.raises(ArtifactError, match="was freed by `mlops gc`"):
        _ = p.state(first.run_id).results
    assert collected(p, keep=1).freed == ()


def test_a_dry_run_says_the_same_and_changes_nothing(p: OpenedProject) -> None:
    for seed in range(3):
        p.run("a", seed=seed)
    grow_old(p)
    files = {file: file.stat().st_mtime for file in Path(p.artifacts.url).rglob("*")}
    planned = p.gc(keep=1, older_than=0, dry_run=True)
    assert {file: file.stat().st_mtime for file in Path(p.artifacts.url).rglob("*")} == files
    done = p.gc(keep=1, older_than=0)
    assert done == planned.model_copy(update={"dry_run": False}) and done.bytes > 0
    assert sum(count for count, _ in done.by_kind().values()) == len(done.freed) == 4
    (collection,) = p.collections()
    assert collection.freed == done.freed and collection.finished_at is not None and collection.by


def _best(p: OpenedProject, run: RunRecord) -> None:
    p.set_best(run.subproject, run.run_id, why="good")


def _best_once(p: OpenedProject, run: RunRecord) -> None:
    _best(p, run)
    _best(p, p.run(run.subproject, seed=99)[0])


def _note(p: OpenedProject, run: RunRecord) -> None:
    p.note(run.run_id, "look at this one")


def _tag(p: OpenedProject, run: RunRecord) -> None:
    p.tag(run.run_id, reviewed="yes")


def _untrack(p: OpenedProject, run: RunRecord) -> None:
    assert run.dagster_run_id is not None
    p.event_log.instance.event_log_storage.delete_events(run.dagster_run_id)


@pytest.mark.parametrize(
    ("rule", "make"),
    [("best", _best), ("best", _best_once), ("noted", _note), ("tagged", _tag), ("untracked", _untrack)],
    ids=["best", "best before", "noted", "tagged", "untracked"],
)
def test_what_makes_a_run_needed(p: OpenedProject, rule: str, make: Callable[[OpenedProject, RunRecord], None]) -> None:
    needed, other = (p.run("a", seed=seed)[0] for seed in (1, 2))
    make(p, needed)
    done = collected(p)
    assert done.protected[needed.run_id] == (rule,)
    assert held(p, needed) == {"configuration", "model", "results"}
    assert other.run_id not in done.protected and held(p, other) == {"configuration"}


def test_what_was_taken_back_makes_no_run_needed(p: OpenedProject) -> None:
    run = p.run("a", seed=1)[0]
    p.tag(run.run_id, reviewed="yes")
    p.tag(run.run_id, reviewed=None)
    p.note(run.run_id, "something")
    p.note(run.run_id, "")
    assert run.tags, "the tags of its subproject are not given by hand"
    assert collected(p).protected == {} and held(p, run) == {"configuration"}


def test_the_current_model_of_each_subproject_is_needed_and_the_one_before_is_not(p: OpenedProject) -> None:
    old = {record.subproject: record for record in p.train()}
    new = {record.subproject: record for record in p.train(["a"], fields={"params": {"alpha": 3.0}})}
    done = collected(p)
    assert done.protected == {new["a"].run_id: ("model",), old["b"].run_id: ("model",)}
    assert held(p, old["a"]) == {"configuration"} and held(p, old["b"]) == {"configuration", "model", "results"}


def test_the_newest_of_each_subproject_and_young_runs_are_needed(p: OpenedProject) -> None:
    runs = {key: [p.run(key, seed=seed)[0] for seed in range(3)] for key in ("a", "b")}
    planned = collected(p, keep=2, dry_run=True)
    assert set(planned.protected) == {run.run_id for key in runs for run in runs[key][1:]}
    assert set(collected(p, older_than=1, dry_run=True).protected.values()) == {("young",)}
    assert collected(p, keep=10, older_than=30).freed == ()


def test_an_artifact_shared_with_a_needed_run_stays(p: OpenedProject) -> None:
    first, same = (p.run("a", seed=seed)[0] for seed in (1, 1))
    assert (
        first.artifacts["results"] == same.artifacts["results"] and first.artifacts["model"] != same.artifacts["model"]
    )
    done = collected(p, keep=1)
    assert [freed.kind for freed in done.freed] == ["model"]
    assert held(p, first) == {"configuration", "results"} and held(p, same) == {"configuration", "results", "model"}


def test_snapshots_that_no_needed_run_used_go_but_for_the_latest(folder: Path) -> None:
    versions = []
    for slope in (1.0, 2.0, 3.0):
        declare(folder, {"a": slope})
        p = opened(folder)
        p.apply()
        versions.append(p.train(["a"])[0])
    unused, noted, latest = versions
    p.note(noted.run_id, "keep it")
    done = collected(p)
    assert {freed.kind for freed in done.freed} == {"model", "results", "dataset"} and len(done.freed) == 3
    assert not snapshot_file(p, unused).exists(), "its manifest is there, its rows are not"
    assert snapshot_file(p, noted).exists() and snapshot_file(p, latest).exists()
    with pytest.raises(ArtifactError, match=r"was freed by `mlops gc` on .*; no run that was kept used it"):
        p.dataset("a", unused.data_version)
    with pytest.raises(ArtifactError, match=r"was freed by `mlops gc`"):
        p.replay(unused.run_id)
    # The same rows taken again are the same data version, and are there again.
    declare(folder, {"a": 1.0})
    p = opened(folder)
    p.apply()
    assert p.train(["a"])[0].data_version == unused.data_version
    assert snapshot_file(p, unused).exists()


def test_the_replay_of_a_freed_run_is_identical_and_puts_its_results_back(p: OpenedProject) -> None:
    run = p.run("a", seed=1)[0]
    collected(p)
    assert held(p, run) == {"configuration"}
    replay = p.replay(run.run_id)
    assert replay.identical and len(replay.freed) == 2 and "freed by `mlops gc`" in str(replay)
    assert held(p, run) == {"configuration", "results"}


def test_what_no_record_names_goes_once_it_is_a_day_old(p: OpenedProject) -> None:
    p.run("a", seed=1)
    old, code = p.artifacts.put(b"left by a killed process", ".model"), p.artifacts.put(b"code", ".zip")
    grow_old(p)
    p.artifacts.put(b"put a moment ago", ".model")
    done = p.gc()
    assert [(freed.uri, freed.kind) for freed in done.freed] == [(old.uri, "unnamed")]
    assert p.artifacts.has(code) and done.recent == 1


def test_a_record_that_cannot_be_read_may_name_anything(p: OpenedProject) -> None:
    run = p.run("a", seed=1)[0]
    left = p.artifacts.put(b"left by a killed process", ".model")
    _untrack(p, run)
    p.artifacts.write_document(document_path(run), p.artifacts.read_document(document_path(run))[:-20])
    done = collected(p)
    assert done.freed == () and "cannot be read" in done.remarks[0]
    assert p.artifacts.has(left) and held(p, run) == {"configuration", "model", "results"}


def test_runs_of_another_project_in_the_same_store_are_left_alone(p: OpenedProject) -> None:
    run = p.run("a", seed=1)[0]
    other = run.model_copy(update={"project": "other"})
    p.artifacts.write_document(document_path(other), other.model_dump_json())
    assert collected(p).freed == () and held(p, run) == {"configuration", "model", "results"}


def test_nothing_younger_than_a_day_is_freed(p: OpenedProject) -> None:
    run = p.run("a", seed=1)[0]
    done = p.gc(keep=0, older_than=0)
    assert done.freed == () and done.recent == 2 and held(p, run) == {"configuration", "model", "results"}


def test_a_store_that_tells_no_age_is_refused(p: OpenedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore("memory://ageless/artifacts")
    store.put(b"something", ".model")
    monkeypatch.setattr("resources.files.TIMES", ())
    p.artifacts = store
    with pytest.raises(ArtifactError, match="does not tell when"):
        p.gc()
    store.files.system.rm(store.files.root, recursive=True)  # type: ignore[attr-defined]


def test_bad_limits_are_refused(p: OpenedProject) -> None:
    with pytest.raises(MlopsError, match="keep -1"):
        p.gc(keep=-1)
    with pytest.raises(MlopsError, match=r"older than -0\.5"):
        p.gc(older_than=-0.5)


def test_a_wiped_model_is_needed_by_nobody_and_comes_back_as_untracked(p: OpenedProject) -> None:
    run = p.train(["a"])[0]
    p.event_log.instance.wipe_assets([dg.AssetKey(["lines", "model"])])
    assert collected(p).protected == {run.run_id: ("untracked",)}
