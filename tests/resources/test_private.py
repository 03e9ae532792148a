"""Private columns are dropped or hashed, and nothing of their clear values is left."""

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions.errors import DataError
from partitions.schema import DataSchema
from resources.private import treat, treat_once

SECRET = bytes(range(32))
SCHEMA = DataSchema(key="id", target="y", features=["plane", "x"], private=["plane", "name"])


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [1, 2, 3],
            "y": [0.1, 0.2, 0.3],
            "x": [1, 2, 3],
            "plane": ["N1", None, "N1"],
            "name": ["Ann", "Bo", "Cy"],
        }
    )


def hash_of(value: object, secret: bytes = SECRET) -> str:
    return str(treat(pd.DataFrame({"plane": pd.Series([value], dtype=object)}), SCHEMA, secret)["plane"].iloc[0])


def test_a_private_feature_is_hashed_and_another_column_dropped() -> None:
    treated = treat(rows(), SCHEMA, SECRET)
    assert list(treated.columns) == ["id", "y", "x", "plane"]
    assert treated["plane"].dropna().str.fullmatch("[0-9a-f]{32}").all()
    assert treated["plane"].iloc[0] == treated["plane"].iloc[2]
    assert treated["plane"].isna().tolist() == [False, True, False]
    assert treated["x"].tolist() == [1, 2, 3]


def test_the_frame_itself_is_left_as_it_is() -> None:
    frame = rows()
    treat(frame, SCHEMA, SECRET)
    pd.testing.assert_frame_equal(frame, rows())


def test_rows_to_predict_may_lack_private_columns_and_keep_their_index() -> None:
    treated = treat(pd.DataFrame({"x": [1, 2]}, index=[7, 9]), SCHEMA, SECRET)
    assert treated.index.tolist() == [7, 9]
    assert list(treated.columns) == ["x"]


def test_the_hash_depends_on_the_secret() -> None:
    assert hash_of("N1") != hash_of("N1", bytes(32))


def test_a_row_to_predict_gets_the_hash_that_training_saw() -> None:
    alone = treat(pd.DataFrame({"plane": ["N1"]}), SCHEMA, SECRET)
    assert alone["plane"].iloc[0] == treat(rows(), SCHEMA, SECRET)["plane"].iloc[0]


@pytest.mark.parametrize(
    "values",
    [
        (5, 5.0, np.int32(5), np.float32(5), Decimal("5.00")),
        (0, -0.0),
        (0.5, np.float64(0.5), Decimal("0.50")),
        (2**60 + 1, np.int64(2**60 + 1), Decimal(2**60 + 1)),
        (True, np.True_),
        (
            date(2013, 1, 2),
            datetime(2013, 1, 2, tzinfo=UTC),
            np.datetime64("2013-01-02", "s"),
            pd.Timestamp(2013, 1, 2),
        ),
        (pd.Timestamp("2013-01-02T01:00+01:00"), pd.Timestamp("2013-01-02").as_unit("ns")),
        (pd.Timedelta("1s").as_unit("ns"), pd.Timedelta("1s").as_unit("s"), np.timedelta64(1000, "ms")),
    ],
)
def test_equal_values_have_one_hash_whatever_holds_them(values: tuple[object, ...]) -> None:
    assert len({hash_of(value) for value in values}) == 1


def test_different_values_have_different_hashes() -> None:
    values = [1, "1", True, 1.5, 10**400, float("inf"), b"1", "", " ", date(2013, 1, 1), date(9999, 12, 31), 2**60]
    assert len({hash_of(value) for value in values}) == len(values)


def test_numbers_with_gaps_hash_as_they_do_without() -> None:
    whole = treat(pd.DataFrame({"plane": [11, 12]}), SCHEMA, SECRET)["plane"]
    gaps = treat(pd.DataFrame({"plane": [11, None, 12]}), SCHEMA, SECRET)["plane"]
    nullable = treat(pd.DataFrame({"plane": pd.array([11, None, 12], dtype="Int64")}), SCHEMA, SECRET)["plane"]
    assert gaps.dropna().tolist() == nullable.dropna().tolist() == whole.tolist()


def test_a_categorical_stays_one_and_tells_nothing_by_its_order() -> None:
    clear = pd.Categorical(["N2", None, "N1"], categories=["N1", "N2", "N3"], ordered=True)
    treated = treat(pd.DataFrame({"plane": clear}), SCHEMA, SECRET)["plane"]
    assert treated.cat.categories.tolist() == sorted(hash_of(name) for name in ("N1", "N2", "N3"))
    assert not treated.cat.ordered
    assert treated.tolist()[0] == hash_of("N2")
    assert treated.isna().tolist() == [False, True, False]


def test_index_and_attributes_do_not_carry_private_values_along() -> None:
    frame = rows().set_index("name", drop=False)
    frame.attrs["passengers"] = ["Ann"]
    treated = treat(frame, SCHEMA, SECRET)
    assert treated.index.tolist() == [0, 1, 2]
    assert treated.attrs == {}
    assert frame.attrs == {"passengers": ["Ann"]}


def test_a_value_that_cannot_be_hashed_is_refused_without_showing_it() -> None:
    with pytest.raises(DataError, match="private column 'plane' holds a list, which cannot be hashed") as caught:
        hash_of(["N12345"])
    assert "N12345" not in str(caught.value)


@given(st.lists(st.text(max_size=8) | st.integers() | st.booleans() | st.none(), min_size=1, max_size=12))
def test_hashes_are_equal_exactly_where_values_are(values: list[object]) -> None:
    hashes = treat(pd.DataFrame({"plane": pd.Series(values, dtype=object)}), SCHEMA, SECRET)["plane"]
    by_value: dict[tuple[type, object], str] = {}
    for value, hashed in zip(values, hashes, strict=True):
        if value is None:
            assert pd.isna(hashed)
        else:
            assert by_value.setdefault((type(value), value), hashed) == hashed
    assert len(set(by_value.values())) == len(by_value)


def test_rows_of_a_dataset_are_not_hashed_again_and_live_ones_are() -> None:
    treated = treat(rows(), SCHEMA, SECRET)
    pd.testing.assert_frame_equal(treat_once(treated, SCHEMA, SECRET), treated)
    pd.testing.assert_frame_equal(treat_once(rows(), SCHEMA, SECRET), treated)
    # One clear value among hashes: the column is not from a dataset, and none of it may stay as it is.
    mixed = treated.assign(plane=pd.array([treated["plane"].iloc[0], "N1", None], dtype="str"))
    assert "N1" not in treat_once(mixed, SCHEMA, SECRET)["plane"].tolist()
    assert treat_once(mixed, SCHEMA, SECRET)["plane"].iloc[0] != treated["plane"].iloc[0]
    missing = treated.assign(plane=pd.array([None] * 3, dtype="str"))
    assert treat_once(missing, SCHEMA, SECRET)["plane"].isna().all()
