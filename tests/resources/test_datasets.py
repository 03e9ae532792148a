"""A data version follows from the content alone, and reads back exactly."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partitions.errors import ArtifactError, DataError, UnknownName
from partitions.schema import DataSchema
from resources.artifacts import ArtifactStore
from resources.content import canonical, content_digest
from resources.datasets import DatasetStore
from resources.parquet import decode, encode

SCHEMA = DataSchema(key="id", target="y", time="at")
SECRET = bytes(range(32))
OWNER = "flight_delays/AA"
MOMENTS = pd.to_datetime(["2013-01-03", "", "2013-01-01", "2013-01-02"])


def canonical_of(frame: pd.DataFrame, key: str, owner: str) -> pd.DataFrame:
    return canonical(frame, key, owner).rows


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["c", "a", "d", "b"],
            "y": [1.5, np.nan, -0.25, 3.0],
            "at": pd.date_range("2013-01-01", periods=4, freq="h", tz="UTC"),
            "carrier": pd.Categorical(["AA", None, "B6", "AA"]),
        }
    )


def every_type() -> pd.DataFrame:
    """Four rows of every column type that can be stored, with gaps wherever a type has them."""
    return pd.DataFrame(
        {
            "id": [3, 1, 4, 2],
            "text": ["ß", None, "", "a\x00b"],
            "string": pd.array(["x", None, "", "y"], dtype="string"),
            "objects": pd.Series(["x", None, np.nan, "y"], dtype=object),
            "float": [1.5, np.nan, np.inf, -0.0],
            "float32": np.array([1.5, np.nan, 0.1, 2], dtype="float32"),
            "uint8": np.array([0, 255, 1, 2], dtype="uint8"),
            "Int64": pd.array([2**62 + 1, None, 0, -1], dtype="Int64"),
            "Float64": pd.array([0.1, None, 0, -1], dtype="Float64"),
            "whole": pd.Series([2**62 + 1, None, 0, -1], dtype=object),
            "bool": [True, False, True, False],
            "boolean": pd.array([True, None, False, True], dtype="boolean"),
            "maybe": pd.Series([True, None, False, True], dtype=object),
            "seconds": MOMENTS.as_unit("s"),
            "nanoseconds": MOMENTS.as_unit("ns"),
            "zone": MOMENTS.tz_localize("Europe/Berlin"),
            "offset": pd.to_datetime(["2013-01-01T00:00+02:00"] * 4),
            "duration": pd.to_timedelta([1, None, 3, 4], unit="s").as_unit("s"),
            "category": pd.Categorical(["b", None, "a", "b"], categories=["z", "b", "a"], ordered=True),
            "numbers": pd.Categorical([30, None, 10, 30], categories=[30, 20, 10]),
            "days": pd.Categorical(MOMENTS),
            "intervals": pd.cut(pd.Series([1.0, np.nan, 2.0, 9.0]), [0, 1, 5, 10]),
            "period": pd.period_range("2013-01", periods=4, freq="M"),
            "date": [dt.date(2013, 1, 1), None, dt.date(1, 1, 1), dt.date(9999, 1, 1)],
            "decimal": [Decimal("1.10"), None, Decimal("2"), Decimal("3")],
            "bytes": [b"\x00", None, b"", b"a"],
            "list": [[1, 2], None, [], [3]],
            "nothing": pd.Series([None] * 4, dtype=object),
        }
    )


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


def test_index_and_attributes_are_no_content() -> None:
    frame = rows()
    marked = frame.set_index(pd.Index([9, 9, 1, 0], name="n"))
    marked.attrs["source"] = "somewhere"
    assert content_digest(canonical_of(marked, "id", OWNER)) == content_digest(canonical_of(frame, "id", OWNER))


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.assign(y=[1.5, np.nan, -0.25, 3.0000000000000004]),
        lambda frame: frame.assign(y=[1.5, 0.0, -0.25, 3.0]),
        lambda frame: frame.assign(id=["c", "a", "e", "b"]),
        lambda frame: frame.assign(y=frame["y"].astype("float32")),
        lambda frame: frame.assign(at=frame["at"].dt.tz_convert("Europe/Berlin")),
        lambda frame: frame.assign(carrier=frame["carrier"].astype("str")),
        lambda frame: frame.assign(carrier=frame["carrier"].cat.add_categories("UA")),
        lambda frame: frame.assign(carrier=frame["carrier"].cat.as_ordered()),
        lambda frame: frame.rename(columns={"y": "z"}),
        lambda frame: frame[["id", "at", "y", "carrier"]],
        lambda frame: frame.assign(more=None),
        lambda frame: frame.iloc[:3],
    ],
)
def test_any_change_of_the_content_is_another_version(change: Any) -> None:
    assert content_digest(canonical_of(change(rows()), "id", OWNER)) != content_digest(
        canonical_of(rows(), "id", OWNER)
    )


def test_the_version_of_known_content_stays_what_it_is() -> None:
    """Written down, so that a change of pandas, pyarrow or this code that gives new versions to old data is seen."""
    digest = content_digest(canonical_of(rows(), "id", OWNER))
    assert digest == "686553cca1fd9c15a9e573e7ccf28031707aaf21a67d9c4ce7902b292941f14c"
    digest = content_digest(canonical_of(every_type(), "id", OWNER))
    assert digest == "2a78e441006c95c778fa46a82513191c5b0aedf8e3c1f687bc9c7a9b2421ddfd"


def test_text_that_runs_together_is_told_apart() -> None:
    one = pd.DataFrame({"id": [1, 2], "t": ["ab", "c"]})
    other = pd.DataFrame({"id": [1, 2], "t": ["a", "bc"]})
    missing = pd.DataFrame({"id": [1, 2], "t": ["abc", None]})
    empty = pd.DataFrame({"id": [1, 2], "t": ["abc", ""]})
    assert len({content_digest(frame) for frame in (one, other, missing, empty)}) == 4


YEARS = dt.datetime.fromisoformat("1700-01-01"), dt.datetime.fromisoformat("2200-01-01")
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "str": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    "float64": st.floats(allow_nan=True),
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "boolean": st.none() | st.booleans(),
    "category": st.none() | st.sampled_from(["a", "b", "ü"]),
    "datetime64[us, UTC]": st.none() | st.datetimes(*YEARS, timezones=st.just(dt.UTC)),
    "timedelta64[us]": st.none() | st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Up to 8 rows with a whole-number key and up to 4 columns of drawn types."""
    keys = draw(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=8, unique=True))
    columns: dict[str, Any] = {"id": keys}
    for number, dtype in enumerate(draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4))):
        cells = draw(st.lists(CELLS[dtype], min_size=len(keys), max_size=len(keys)))
        columns[f"c{number}"] = pd.Series(cells, dtype=dtype)
    return pd.DataFrame(columns)


@given(frames(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_the_order_of_rows_changes_neither_version_nor_what_is_read(frame: pd.DataFrame, random: Any) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    rows = canonical_of(frame, "id", OWNER)
    shuffled = canonical_of(frame.iloc[order], "id", OWNER)
    assert content_digest(shuffled) == content_digest(rows)
    read = decode(encode(rows))
    assert content_digest(read) == content_digest(rows)
    pd.testing.assert_frame_equal(read, shuffled, check_exact=True)
    expected = frame.sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(read, expected, check_exact=True)


@given(frames(), st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_one_changed_cell_is_another_version(frame: pd.DataFrame, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from([name for name in frame.columns if name != "id"]))
    position = data.draw(st.integers(0, len(frame) - 1))
    before = frame[column].iloc[position]
    after = data.draw(CELLS[str(frame[column].dtype)])
    same = (pd.isna(before) and pd.isna(after)) or (not pd.isna(before) and not pd.isna(after) and before == after)
    if same:
        return
    cells = frame[column].tolist()
    cells[position] = after
    # The dtype as it was: a categorical keeps its categories where it has the new one.
    changed = frame.assign(**{column: pd.Series(cells, dtype=str(frame[column].dtype))})
    assert content_digest(canonical_of(changed, "id", OWNER)) != content_digest(canonical_of(frame, "id", OWNER))


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
