"""What is compared before a model serves, and what is no proof: missing artifacts, no rows, the last bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resources.artifacts import ArtifactStore
from resources.proof import difference
from resources.verifier import Verifier
from tests.resources.proven_models import Ask, Store
from tests.resources.proven_models import asking as asking
from tests.resources.proven_models import store as store
from tests.resources.proven_models import stored as stored
from tests.resources.proven_models import verifier as verifier


def test_a_model_that_is_gone_or_damaged_is_told_by_its_address(
    asking: Ask, stored: Store, verifier: Verifier, store: ArtifactStore
) -> None:
    model = stored()
    file = Path(store.url, model.uri)
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"none")
    assert f"artifact {model.uri}" in verifier.verify(asking(model)).reason
    file.unlink()
    assert f"artifact {model.uri} is missing" in verifier.verify(asking(model)).reason


def test_nothing_to_compare_is_no_proof(asking: Ask, stored: Store, verifier: Verifier) -> None:
    parity = verifier.verify(asking(stored(), split="train"))
    assert (parity.identical, parity.rows) == (False, 0)
    assert parity.reason == "run run-1 has no test rows in its results: there is nothing to compare"


def test_results_of_rows_that_are_not_in_the_data_are_no_proof(asking: Ask, stored: Store, verifier: Verifier) -> None:
    parity = verifier.verify(asking(stored(), key=[10, 11, 99]))
    assert not parity.identical
    assert "run run-1: row 99 of its results is not in data version" in parity.reason
    question = replace(asking(stored()), data_version="0" * 64)
    assert "parcels/AA: unknown data version" in verifier.verify(question).reason


def test_only_test_rows_count_in_the_order_of_the_results(asking: Ask, stored: Store, verifier: Verifier) -> None:
    mixed = pd.DataFrame({"prediction": [8.0, 0.0, 2.0]})
    parity = verifier.verify(asking(stored(), mixed, key=[12, 11, 10], split=["test", "train", "test"]))
    assert (parity.identical, parity.rows, parity.reason) == (True, 2, "")


def test_of_many_test_rows_some_are_taken_and_all_where_the_last_bit_depends_on_it(
    asking: Ask, stored: Store, verifier: Verifier
) -> None:
    rows = pd.DataFrame({"id": range(30), "weight": 1.0})
    some = verifier.verify(asking(stored(), pd.DataFrame({"prediction": [2.0] * 30}), rows, most=7))
    assert (some.identical, some.rows) == (True, 7)
    summing = stored("return X['weight'].to_numpy() * self.factor + len(X)")
    every = verifier.verify(asking(summing, pd.DataFrame({"prediction": [32.0] * 30}), rows, most=7))
    assert (every.identical, every.rows) == (True, 30)


def test_the_model_is_given_the_rows_as_they_are_in_the_dataset(asking: Ask, stored: Store, verifier: Verifier) -> None:
    seen = stored("return np.repeat(repr((list(X.index), list(X.columns), [str(t) for t in X.dtypes])), len(X))")
    told = repr(([0, 1, 2], ["weight"], ["float64"]))
    parity = verifier.verify(asking(seen, pd.DataFrame({"prediction": [told] * 3})))
    assert parity.identical, parity.reason


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (pd.Series([1, 2]), pd.Series([1.0, 2.0])),
        (pd.Series([1, 2]), pd.Series([1, 2], dtype="int8")),
        (pd.Series([0.0, np.nan]), pd.Series([-0.0, np.nan])),
        (pd.Series([True, False]), pd.Series([True, False], dtype="boolean")),
        (pd.Series(["a", "b"], dtype="str"), pd.Series(["a", "b"], dtype=object)),
        (pd.Series(["a", "b"], dtype="str"), pd.Series(["a", "b"], dtype="category")),
        (pd.Series([1.5, None], dtype="Float64"), pd.Series([1.5, np.nan])),
    ],
)
def test_equal_values_are_equal_however_they_are_stored(there: Any, here: Any) -> None:
    assert difference(here.to_frame("prediction"), there.to_frame("prediction")) == ""


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (pd.Series([1.0]), pd.Series([np.nextafter(1.0, 2.0)])),
        (pd.Series([2**53 + 1]), pd.Series([2**53])),
        (pd.Series([0.0]), pd.Series([np.nan])),
        (pd.Series(["1"], dtype="str"), pd.Series(["1.0"], dtype="str")),
    ],
)
def test_the_last_bit_counts(there: Any, here: Any) -> None:
    assert "differs in 1 of 1 rows" in difference(here.to_frame("prediction"), there.to_frame("prediction"))


def test_probabilities_are_compared_too_and_what_is_missing_is_named() -> None:
    both = pd.DataFrame({"prediction": ["y", "n"], "probability_y": [0.75, 0.25]})
    assert difference(both, both) == ""
    assert difference(both[["prediction"]], both) == "predict returns no probability_y (it returns prediction)"
    assert "column 'probability_y' differs in 1 of 2 rows" in difference(both.assign(probability_y=[0.75, 0.5]), both)
