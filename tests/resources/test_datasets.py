"""Datasets are stored once, found by their version, and read back exactly; what cannot be stored leaves nothing."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from partitions.errors import ArtifactError, DataError, UnknownName
from partitions.schema import DataSchema
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore
from resources.parquet import encode
from tests.resources.dataset_rows import OWNER, SCHEMA, every_type, rows

SECRET = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(ArtifactStore(str(tmp_path / "artifacts")), SECRET)


def written(store: DatasetStore) -> list[str]:
    root = Path(store.artifacts.url)
    return sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())


def test_a_snapshot_says_what_it_holds(store: DatasetStore) -> None:
    snapshot, _ = store.snapshot(rows(), SCHEMA, OWNER)
    assert snapshot.is_new
    assert (snapshot.owner, snapshot.key, snapshot.rows) == (OWNER, "id", 4)
    assert snapshot.columns == {"id": "str", "y": "float64", "at": "datetime64[us, UTC]", "carrier": "category"}
    assert snapshot.time_range == tuple(dt.datetime(2013, 1, 1, hour, tzinfo=dt.UTC) for hour in (0, 3))
    assert written(store) == sorted([snapshot.artifact.uri, f"datasets/{OWNER}/{snapshot.data_version}.json"])


def test_rows_come_back_in_the_order_of_their_keys_and_exactly_as_the_snapshot_gave_them(store: DatasetStore) -> None:
    snapshot, given = store.snapshot(rows(), SCHEMA, OWNER)
    read = store.read(OWNER, snapshot.data_version)
    assert read["id"].tolist() == ["a", "b", "c", "d"]
    assert read["y"].tolist() == [pytest.approx(np.nan, nan_ok=True), 3.0, 1.5, -0.25]
    pd.testing.assert_frame_equal(read, given, check_exact=True)


def test_every_type_reads_back_exactly(store: DatasetStore) -> None:
    frame = every_type()
    snapshot, given = store.snapshot(frame, DataSchema(key="id", target="float"), OWNER)
    read = store.read(OWNER, snapshot.data_version)
    pd.testing.assert_frame_equal(read, given, check_exact=True)
    assert [type(value) for value in read["date"]] == [type(value) for value in given["date"]]
    ordered = frame.sort_values("id", ignore_index=True)
    narrowed = {"objects": "str", "whole": "Int64", "maybe": "boolean"}
    expected = ordered.astype(narrowed).drop(columns=["list", "date", "offset"])
    pd.testing.assert_frame_equal(read.drop(columns=["list", "date", "offset"]), expected, check_exact=True)
    assert read["date"].tolist() == [None, dt.date(9999, 1, 1), dt.date(2013, 1, 1), dt.date(1, 1, 1)]
    assert [None if value is None else list(value) for value in read["list"]] == [None, [3], [1, 2], []]
    assert (read["offset"] == ordered["offset"]).all()


def test_unchanged_content_is_the_same_version_and_stored_once(store: DatasetStore) -> None:
    first, _ = store.snapshot(rows(), SCHEMA, OWNER)
    before = written(store)
    again, _ = store.snapshot(rows().sample(frac=1, random_state=1), SCHEMA, OWNER)
    assert not again.is_new
    assert again == first.model_copy(update={"is_new": False})
    assert written(store) == before


def test_two_owners_of_the_same_content_share_its_bytes(store: DatasetStore) -> None:
    first, _ = store.snapshot(rows(), SCHEMA, OWNER)
    second, _ = store.snapshot(rows(), SCHEMA, "flight_delays/B6")
    assert second.is_new
    assert second.artifact == first.artifact
    assert second.data_version == first.data_version
    assert [len(store.versions(owner)) for owner in (OWNER, "flight_delays/B6", "flight_delays/A")] == [1, 1, 0]


def test_private_columns_are_treated_before_anything_is_written(store: DatasetStore) -> None:
    schema = DataSchema(key="plane", target="y", features=["x"], private=["plane", "passenger"])
    frame = pd.DataFrame(
        {"plane": ["N102UW", "N103US"], "y": [1.0, 2.0], "x": [1, 2], "passenger": ["Ada Lovelace", "Alan Turing"]}
    )
    frame.attrs["first"] = "N102UW"
    snapshot, given = store.snapshot(frame.set_index("plane", drop=False), schema, OWNER)
    assert snapshot.private == {"plane": "hash", "passenger": "drop"}
    assert list(store.read(OWNER, snapshot.data_version).columns) == ["plane", "y", "x"]
    everything = b"".join(file.read_bytes() for file in Path(store.artifacts.url).rglob("*") if file.is_file())
    everything += encode(given) + snapshot.model_dump_json().encode() + repr(store).encode()
    for clear in ("N102UW", "N103US", "Lovelace", "Turing"):
        assert clear.encode() not in everything
    assert SECRET not in everything
    assert str(SECRET) not in repr(store)


def test_a_data_version_is_found_by_an_unambiguous_prefix(store: DatasetStore) -> None:
    snapshot, _ = store.snapshot(rows(), SCHEMA, OWNER)
    assert store.find(OWNER, snapshot.data_version[:6]) == snapshot.model_copy(update={"is_new": False})
    assert len(store.read(OWNER, snapshot.data_version[:10])) == 4
    with pytest.raises(UnknownName, match="is too short; give at least 6 characters"):
        store.find(OWNER, snapshot.data_version[:5])
    manifest = f"datasets/{OWNER}/{snapshot.data_version}.json"
    other = snapshot.data_version[:63] + ("0" if snapshot.data_version[63] != "0" else "1")
    store.artifacts.write_document(f"datasets/{OWNER}/{other}.json", store.artifacts.read_document(manifest))
    with pytest.raises(UnknownName, match="is ambiguous"):
        store.find(OWNER, snapshot.data_version[:8])
    assert store.find(OWNER, snapshot.data_version).data_version == snapshot.data_version


def test_an_unknown_data_version_offers_the_nearest(store: DatasetStore) -> None:
    with pytest.raises(UnknownName, match="flight_delays/AA: unknown data version .*: there are none yet"):
        store.read(OWNER, "0" * 64)
    snapshot, _ = store.snapshot(rows(), SCHEMA, OWNER)
    wrong = "xx" + snapshot.data_version[2:]
    with pytest.raises(UnknownName, match=f"flight_delays/AA: .*nearest: {snapshot.data_version}"):
        store.read(OWNER, wrong)


def test_versions_are_listed_in_the_order_they_were_first_seen(store: DatasetStore) -> None:
    first, _ = store.snapshot(rows(), SCHEMA, OWNER)
    second, _ = store.snapshot(rows().iloc[:2], SCHEMA, OWNER)
    store.snapshot(rows(), SCHEMA, OWNER)
    assert [snapshot.data_version for snapshot in store.versions(OWNER)] == [first.data_version, second.data_version]


def test_damaged_bytes_are_refused_and_put_right_by_the_next_snapshot(store: DatasetStore) -> None:
    snapshot, given = store.snapshot(rows(), SCHEMA, OWNER)
    file = Path(store.artifacts.url) / snapshot.artifact.uri
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(ArtifactError, match="is damaged: expected sha256"):
        store.read(OWNER, snapshot.data_version)
    again, _ = store.snapshot(rows(), SCHEMA, OWNER)
    assert again.is_new
    assert again.created_at == snapshot.created_at
    pd.testing.assert_frame_equal(store.read(OWNER, snapshot.data_version), given)


def test_a_manifest_that_names_other_content_is_refused(store: DatasetStore) -> None:
    one, _ = store.snapshot(rows(), SCHEMA, OWNER)
    two, _ = store.snapshot(rows().iloc[:2], SCHEMA, OWNER)
    path = f"datasets/{OWNER}/{one.data_version}.json"
    swapped = one.model_copy(update={"artifact": two.artifact}).model_dump_json(exclude={"is_new"})
    store.artifacts.write_document(path, swapped)
    with pytest.raises(ArtifactError, match=f"holds data version {two.data_version}, not {one.data_version}"):
        store.read(OWNER, one.data_version)
    store.artifacts.write_document(path, "{}")
    with pytest.raises(ArtifactError, match="is no dataset manifest"):
        store.read(OWNER, one.data_version)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows().iloc[:0], "there are no rows"),
        (rows().drop(columns="id"), "the row key 'id' is no column"),
        (rows().assign(id=pd.Series(["a", "a", "b", None])), "is missing in 1 rows and repeated in 1"),
        (rows().rename(columns={"y": 3}), "column names must be text, not 3"),
        (pd.concat([rows(), rows()[["y"]]], axis=1), "column 'y' is there twice"),
        (rows().assign(odd=pd.Series([1, "a", None, 2.5], dtype=object)), "column 'odd' cannot be stored"),
        (rows().assign(odd=pd.Series([object()] * 4)), "column 'odd' cannot be stored"),
        (rows().assign(odd=pd.Series([2**70, 1, 2, 3], dtype=object)), "column 'odd' cannot be stored"),
        (rows().assign(odd=[1j, 2j, 3j, 4j]), "the rows cannot be stored"),
    ],
)
def test_rows_that_cannot_be_stored_leave_nothing_behind(store: DatasetStore, frame: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        store.snapshot(frame, SCHEMA, OWNER)
    assert str(caught.value).startswith(f"{OWNER}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert written(store) == []
