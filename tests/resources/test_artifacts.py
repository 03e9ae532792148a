"""Every store keeps the same promises: one contract, run over a local folder and over fsspec's memory store."""

import hashlib
import os
import pickle
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from partitions.errors import ArtifactError, DeclarationError
from resources.artifacts import Artifact, ArtifactStore
from resources.freed import Collection, Freed, collections, write_collection

CONTENT = b"rows with results"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class StoreContract:
    """What holds for every store."""

    @pytest.fixture
    def store(self) -> ArtifactStore | Iterator[ArtifactStore]:
        raise NotImplementedError

    def overwrite(self, store: ArtifactStore, uri: str, data: bytes) -> None:
        """Damage what is stored, behind the back of the store."""
        store.files.write(uri, data)

    def grow_old(self, store: ArtifactStore, uri: str) -> None:
        """Nobody has touched it for two days."""
        raise NotImplementedError

    def test_what_is_put_or_asked_for_counts_as_new_and_only_what_is_old_is_freed(self, store: ArtifactStore) -> None:
        before = time.time() - 3600
        artifact = store.put(CONTENT)
        uses: list[Callable[[], object]] = [
            lambda: store.put(CONTENT), lambda: store.has(artifact), lambda: store.touch(artifact)
        ]  # fmt: skip
        for use in uses:
            self.grow_old(store, artifact.uri)
            (stored,) = store.files.stored("sha256")
            assert stored.modified < before and (stored.path, stored.bytes) == (artifact.uri, len(CONTENT))
            use()
            assert not store.files.free(artifact.uri, before)
            assert store.get(artifact) == CONTENT
        self.grow_old(store, artifact.uri)
        store.get(artifact)
        assert store.files.free(artifact.uri, before) and not store.files.free(artifact.uri, before)
        assert list(store.files.stored("sha256")) == []
        store.put(CONTENT)
        assert store.get(artifact) == CONTENT

    def test_what_was_freed_is_not_called_missing(self, store: ArtifactStore) -> None:
        artifact = store.put(CONTENT)
        self.grow_old(store, artifact.uri)
        moment = datetime(2026, 3, 4, tzinfo=UTC)
        freed = Freed(uri=artifact.uri, kind="model", bytes=artifact.bytes)
        collection = Collection(project="p", by="me", keep=1, older_than=2, started_at=moment, freed=(freed,))
        write_collection(store.files, collection)
        assert store.get(artifact) == CONTENT
        store.files.free(artifact.uri, time.time() - 3600)
        with pytest.raises(ArtifactError, match="was freed by `mlops gc` on 2026-03-04; `mlops replay` of its run"):
            store.get(artifact)
        assert collections(store.files, "p") == [collection] and collections(store.files, "other") == []

    def test_what_was_put_is_got_by_artifact_and_by_uri(self, store: ArtifactStore) -> None:
        artifact = store.put(CONTENT, ".parquet")
        assert artifact == Artifact(uri=f"sha256/{DIGEST[:2]}/{DIGEST}.parquet", digest=DIGEST, bytes=len(CONTENT))
        assert store.get(artifact) == CONTENT
        assert store.get(artifact.uri) == CONTENT

    def test_no_bytes_are_an_artifact_too(self, store: ArtifactStore) -> None:
        assert store.get(store.put(b"")) == b""

    def test_equal_bytes_are_stored_once(self, store: ArtifactStore) -> None:
        assert store.put(CONTENT) == store.put(CONTENT)
        assert len(store.files.find("sha256")) == 1

    def test_a_changed_byte_is_found_at_the_next_read(self, store: ArtifactStore) -> None:
        artifact = store.put(CONTENT)
        store.get(artifact)
        changed = b"R" + CONTENT[1:]
        self.overwrite(store, artifact.uri, changed)
        with pytest.raises(ArtifactError) as caught:
            store.get(artifact)
        message = str(caught.value)
        assert artifact.uri in message
        assert f"expected sha256 {DIGEST}" in message
        assert f"found {hashlib.sha256(changed).hexdigest()}" in message
        assert "\n" not in message

    def test_a_truncated_artifact_is_put_right_by_the_next_put(self, store: ArtifactStore) -> None:
        artifact = store.put(CONTENT)
        self.overwrite(store, artifact.uri, CONTENT[:3])
        assert not store.has(artifact)
        store.put(CONTENT)
        assert store.get(artifact) == CONTENT

    def test_a_missing_artifact_is_named(self, store: ArtifactStore) -> None:
        uri = f"sha256/{DIGEST[:2]}/{DIGEST}.model"
        with pytest.raises(ArtifactError, match=f"artifact {uri} is missing"):
            store.get(uri)

    @pytest.mark.parametrize("uri", ["", "record.json", "../secret", f"sha256/00/{DIGEST}", f"sha256/{DIGEST[:2]}/ab"])
    def test_an_address_that_is_none_is_refused(self, store: ArtifactStore, uri: str) -> None:
        with pytest.raises(ArtifactError, match="is no artifact address"):
            store.get(uri)

    def test_a_document_is_replaced_as_a_whole(self, store: ArtifactStore) -> None:
        store.write_document("runs/a/record.json", "first, and longer")
        store.write_document("runs/a/record.json", "zweite Fassung: größer")
        assert store.read_document("runs/a/record.json") == "zweite Fassung: größer"

    def test_documents_are_listed_below_a_folder_only(self, store: ArtifactStore) -> None:
        for path in ("runs/b/record.json", "runs/a/record.json", "runs-old/record.json", "datasets/p/AA/1.json"):
            store.write_document(path, "{}")
        store.put(CONTENT)
        assert store.list_documents("runs") == ["runs/a/record.json", "runs/b/record.json"]
        assert store.list_documents("datasets/p/") == ["datasets/p/AA/1.json"]
        assert store.list_documents("nothing/here") == []

    def test_a_missing_document_is_named(self, store: ArtifactStore) -> None:
        assert not store.has_document("runs/a/record.json")
        with pytest.raises(ArtifactError, match="document runs/a/record.json is missing"):
            store.read_document("runs/a/record.json")
        store.write_document("runs/a/record.json", "{}")
        assert store.has_document("runs/a/record.json")

    @pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".hidden", "sha256/ab/x", "a\nb"])
    def test_a_document_cannot_leave_its_place(self, store: ArtifactStore, path: str) -> None:
        with pytest.raises(ArtifactError, match="is no document path"):
            store.write_document(path, "x")

    def test_a_suffix_is_a_suffix(self, store: ArtifactStore) -> None:
        with pytest.raises(ValueError, match="suffix looks like"):
            store.put(CONTENT, "/../x")

    def test_a_store_that_was_pickled_reads_the_same(self, store: ArtifactStore) -> None:
        artifact = store.put(CONTENT)
        assert pickle.loads(pickle.dumps(store)).get(artifact) == CONTENT


class TestLocalFolder(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return ArtifactStore(str(tmp_path / "artifacts"))

    def grow_old(self, store: ArtifactStore, uri: str) -> None:
        then = time.time() - 2 * 86_400
        os.utime(Path(store.url) / uri, (then, then))

    def test_a_changed_byte_is_put_right_by_the_next_put(self, store: ArtifactStore) -> None:
        artifact = store.put(CONTENT)
        self.overwrite(store, artifact.uri, b"R" + CONTENT[1:])
        store.put(CONTENT)
        assert store.get(artifact) == CONTENT

    def test_a_relative_folder_stays_where_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        store = ArtifactStore("artifacts")
        artifact = store.put(CONTENT)
        monkeypatch.chdir("/")
        assert store.get(artifact) == CONTENT
        assert ArtifactStore(f"file://{tmp_path}/artifacts").get(artifact) == CONTENT

    def test_a_failed_write_leaves_nothing_behind(self, store: ArtifactStore) -> None:
        store.write_document("runs/a", "a file where a folder is wanted")
        with pytest.raises(ArtifactError, match="runs/a/record.json cannot be written"):
            store.write_document("runs/a/record.json", "{}")
        assert store.list_documents("runs") == ["runs/a"]

    def test_processes_that_write_at_once_store_whole_files(self, store: ArtifactStore) -> None:
        data = bytes(range(256)) * 4000
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            artifacts = list(pool.map(put_many, [store, store], [data, data]))
        assert artifacts[0] == artifacts[1]
        assert store.get(artifacts[0]) == data
        assert [file.name for file in Path(store.url).rglob("*") if file.is_file()] == [artifacts[0].digest]


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[ArtifactStore]:
        store = ArtifactStore(f"memory://{uuid.uuid4().hex}/artifacts")
        yield store
        store.files.system.rm(store.files.root, recursive=True) if store.files.find("") else None  # type: ignore[attr-defined]

    def grow_old(self, store: ArtifactStore, uri: str) -> None:
        files: Any = store.files
        (path,) = files.system.find(f"{files.root}/{uri}")
        files.system.store[path].created = datetime.now(UTC) - timedelta(days=2)


def put_many(store: ArtifactStore, data: bytes) -> Artifact:
    """Put the same bytes again and again, each time as if they were not there yet."""
    for _ in range(20):
        artifact = store.put(data)
        store.files.write(artifact.uri, data)
    return artifact


def test_a_store_that_cannot_be_opened_says_why_without_credentials() -> None:
    with pytest.raises(ArtifactError, match=r"nosuchkind://host/x cannot be opened") as caught:
        ArtifactStore("nosuchkind://user:password@host/x").put(CONTENT)
    assert "password" not in str(caught.value)
    with pytest.raises(ArtifactError, match="needs a folder or a URL"):
        ArtifactStore("")


def test_an_artifact_whose_address_and_digest_differ_is_refused() -> None:
    with pytest.raises(DeclarationError, match="does not belong to the digest"):
        Artifact(uri=f"sha256/{DIGEST[:2]}/{DIGEST}", digest="0" * 64, bytes=1)
