"""A data version follows from the content alone: neither the order of rows nor the index has a part in it."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.content import canonical, content_digest
from resources.parquet import decode, encode
from tests.resources.dataset_rows import OWNER, every_type, rows


def canonical_of(frame: pd.DataFrame, key: str, owner: str) -> pd.DataFrame:
    return canonical(frame, key, owner).rows


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
