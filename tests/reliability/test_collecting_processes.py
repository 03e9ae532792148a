"""``mlops gc`` beside processes at work, and killed: nothing that is in use goes, and running again finishes."""

import os
import random
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.collection import Collected, collect
from mlops_assets.tracking.record import RunRecord, document_path, to_text
from mlops_assets.tracking.survey import Asked
from mlops_assets.tracking.tracker import Tracker
from resources.artifacts import ArtifactStore
from tests.reliability.collecting import ARTIFACTS, collect_until_killed, content, free, uri, write
from tests.tracking.runs_logged import PROJECT, log_annotation, log_runs, open_log, record

OLD = time.time() - 2 * 86_400
SPAWN = get_context("spawn")


def grow_old(store: ArtifactStore) -> None:
    for file in Path(store.url, "sha256").rglob("*"):
        if file.is_file():
            os.utime(file, (OLD, OLD))


def files(store: ArtifactStore) -> set[str]:
    root = Path(store.url)
    return {file.relative_to(root).as_posix() for file in (root / "sha256").rglob("*") if file.is_file()}


def test_what_is_put_while_it_is_freed_is_there(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "artifacts"))
    for number in range(ARTIFACTS):
        store.put(content(number), ".model")
    grow_old(store)
    barrier, seed = SPAWN.Barrier(2, timeout=60), random.randrange(10**6)
    print(f"seed {seed}")
    processes = [
        SPAWN.Process(target=write, args=(tmp_path, barrier, seed)),
        SPAWN.Process(target=free, args=(tmp_path, barrier, seed + 1, time.time() - 1)),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "missing").read_text() == ""
    assert 0 < int((tmp_path / "freed").read_text()) < ARTIFACTS, "each was the first one now and then"
    assert files(store) == {uri(number) for number in range(ARTIFACTS)}, "nothing is lost, nothing is left aside"


@pytest.fixture
def many(tmp_path: Path) -> tuple[Tracker, ArtifactStore, list[RunRecord]]:
    """300 runs in one subproject, each with a model and results; every tenth is noted, so that it is needed."""
    store = ArtifactStore(str(tmp_path / "artifacts"))
    runs = []
    for number in range(300):
        made = {name: store.put(f"{name} {number}".encode() * 50, f".{name}") for name in ("model", "results")}
        runs.append(record(number, artifacts={name: artifact.model_dump() for name, artifact in made.items()}))
        store.write_document(document_path(runs[-1]), to_text(runs[-1]))
    log = open_log(tmp_path / "home")
    log_runs(log, runs)
    for run in runs[::10]:
        log_annotation(log, run, Overlay(note="needed"))
    grow_old(store)
    return Tracker(log, PROJECT, tmp_path / "index"), store, runs


def again(tracker: Tracker, store: ArtifactStore) -> Collected:
    return collect(tracker, store, Asked(keep=0, older_than=0), "me")


def needed(runs: list[RunRecord]) -> set[str]:
    return {entry.uri for run in runs[::10] for entry in run.artifacts.values()}


def test_a_killed_collection_loses_nothing_needed_and_running_again_finishes(
    many: tuple[Tracker, ArtifactStore, list[RunRecord]], tmp_path: Path
) -> None:
    tracker, store, runs = many
    process = SPAWN.Process(target=collect_until_killed, args=(tmp_path,))
    process.start()
    until = random.randrange(0, 500)
    print(f"killed after {until}")
    while process.is_alive() and not _reached(tmp_path / "freeing", until):
        time.sleep(0.001)
    process.kill()
    process.join()
    assert (tmp_path / "freeing").exists() and not (tmp_path / "done").exists(), "killed too early or too late"
    for of in needed(runs):
        assert store.get(of)
    gone = {entry.uri for run in runs for entry in run.artifacts.values()} - files(store)
    for of in gone:
        assert store.freed(of) is not None, "also a collection that was killed says what it freed"

    again(tracker, store)
    assert files(store) == needed(runs)
    assert again(tracker, store).freed == ()


def _reached(file: Path, count: int) -> bool:
    try:
        return int(file.read_text() or -1) >= count
    except FileNotFoundError:
        return False


def test_what_a_killed_collection_left_aside_is_put_back_or_freed(
    many: tuple[Tracker, ArtifactStore, list[RunRecord]],
) -> None:
    tracker, store, runs = many
    root = Path(store.url)
    wanted, unwanted, touched = (root / runs[number].artifacts["model"].uri for number in (0, 1, 2))
    for file in (wanted, unwanted, touched):
        os.rename(file, aside(file))
    os.utime(aside(touched))
    assert store.get(runs[0].artifacts["model"].uri) and not wanted.exists(), "it can be read meanwhile"
    draft = unwanted.with_name(f".{unwanted.name}.0123.tmp")
    draft.write_bytes(b"half")
    os.utime(draft, (OLD, OLD))
    young = wanted.with_name(f".{wanted.name}.4567.tmp")
    young.write_bytes(b"being written")

    done = again(tracker, store)
    assert wanted.exists() and touched.exists() and not unwanted.exists() and not draft.exists() and young.exists()
    assert not any(aside(file).exists() for file in (wanted, unwanted, touched))
    assert [freed.kind for freed in done.freed].count("unfinished") == 1
    assert files(store) == needed(runs) | {touched.relative_to(root).as_posix(), young.relative_to(root).as_posix()}


def test_collections_at_once_free_each_artifact_once(
    many: tuple[Tracker, ArtifactStore, list[RunRecord]], tmp_path: Path
) -> None:
    _, store, runs = many
    processes = [SPAWN.Process(target=collect_until_killed, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert files(store) == needed(runs)


def aside(file: Path) -> Path:
    return file.with_name(f".{file.name}.freeing")
