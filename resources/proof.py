"""What the process that verifies does: a stored model predicts the stored test rows of its run, from the store alone.

Everything is read here and compared here, so that whoever asks neither reads rows nor waits for them to travel.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from partitions.errors import ArtifactError
from partitions.values import Value
from resources.artifacts import ArtifactStore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

# What results hold of a row beside what was predicted.
ABOUT_THE_ROW = ("key", "split", "fold", "truth")


class Parity(Value):
    """Whether a stored model predicts the same in a process of its own. Kept with the deployment as its proof.

    rows: how many were compared. seconds: what reading, predicting and comparing took in that process, the import of
    libraries included where the model was the first to need them. reason: what differs, or why there is no answer;
    empty where all is identical.
    """

    rows: int
    seconds: float
    identical: bool
    reason: str = ""


@dataclass(frozen=True)
class Question:
    """What the process is asked: addresses, nothing of the project.

    owner: whose dataset it is ("project/subproject"). model, results: addresses in the store. rows: how many test rows
    are enough.
    """

    store: ArtifactStore
    owner: str
    run_id: str
    data_version: str
    model: str
    results: str
    rows: int


def answer_apart(question: Question) -> Parity:
    """In the process: whether the model predicts what its run has stored, with its project out of reach.

    Raises MlopsError where something of the run is missing or damaged in the store, and where its code fails.
    """
    from resources.models import predict_apart, read_header

    began = perf_counter()
    rows, expected = stored_test_rows(question)
    model = question.store.get(question.model)
    package = read_header(model).package
    some = _spread(rows, question.rows)
    found = difference(predict_apart(model, package, some), expected.loc[some.index])
    if found and len(some) < len(rows):
        # The last bit of a sum may depend on how many rows are summed at once: the run predicted all of them at once.
        some = rows
        found = difference(predict_apart(model, package, rows), expected)
    seconds = round(perf_counter() - began, 6)
    return Parity(rows=len(some), seconds=seconds, identical=not found, reason=found)


def stored_test_rows(question: Question) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The test rows of a run as its dataset has them, and what it stored as their predictions; both in one order.

    Raises MlopsError where they are not there any more, and where there are none.
    """
    from resources.datasets import DatasetStore
    from resources.parquet import decode_table, from_table, rows_of

    results = decode_table(question.store.get(question.results))
    of_test = [place for place, split in enumerate(results.column("split").to_pylist()) if split == "test"]
    if not of_test:
        raise ArtifactError(f"run {question.run_id} has no test rows in its results: there is nothing to compare")
    tested = results.take(of_test)
    # Nothing is hashed here, so no secret is needed.
    snapshot = DatasetStore(question.store, b"").find(question.owner, question.data_version)
    # Reading checks the digest of the file; that the file is this data version was checked when it was written.
    data = decode_table(question.store.get(snapshot.artifact))
    places = {key: place for place, key in enumerate(_values(data, snapshot.key))}
    try:
        found = [places[key] for key in _values(tested, "key")]
    except KeyError as error:
        raise ArtifactError(
            f"run {question.run_id}: row {error} of its results is not in data version {snapshot.data_version}"
        ) from error
    predictions = [name for name in tested.column_names if name not in ABOUT_THE_ROW]
    return rows_of(data, found), from_table(tested.select(predictions))


def _values(table: "pa.Table", column: str) -> list[Any]:
    """Without a frame of pandas where that is not needed: it costs more than the values themselves."""
    from resources.parquet import from_table, is_as_stored

    if is_as_stored(table, column):
        values: list[Any] = table.column(column).to_pylist()
        return values
    return from_table(table.select([column]))[column].tolist()


def _spread(rows: "pd.DataFrame", most: int) -> "pd.DataFrame":
    """At most that many, from all over them."""
    import numpy as np

    return rows if len(rows) <= most else rows.iloc[np.linspace(0, len(rows) - 1, most).astype(int)]


def difference(predicted: "pd.DataFrame", expected: "pd.DataFrame") -> str:
    """What differs between predictions and those that were stored, in a few words; empty where nothing does."""
    import numpy as np

    missing = [str(name) for name in expected.columns if name not in predicted.columns]
    if missing:
        return f"predict returns no {', '.join(missing)} (it returns {', '.join(map(str, predicted.columns))})"
    if len(predicted) != len(expected):
        return f"{len(predicted)} predictions for {len(expected)} rows"
    for name in expected.columns:
        there, here = expected[name], predicted[name]
        apart = _apart(there, here)
        if apart.any():
            first = int(np.flatnonzero(apart)[0])
            return (
                f"column {name!r} differs in {int(apart.sum())} of {len(expected)} rows, such as "
                f"{here.iloc[first]} instead of {there.iloc[first]}"
            )
    return ""


def _apart(there: "pd.Series[Any]", here: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """Which values differ. A store may hold a type in another width or form: values count, missing ones are equal."""
    import numpy as np
    import pandas as pd

    kinds = pd.api.types
    missing = [side.isna().to_numpy(dtype=bool) for side in (there, here)]
    if all(kinds.is_numeric_dtype(side.dtype) for side in (there, here)):
        whole = all(kinds.is_integer_dtype(side.dtype) or kinds.is_bool_dtype(side.dtype) for side in (there, here))
        dtype, filler = ("int64", 0) if whole else ("float64", np.nan)
        sides = [side.to_numpy(dtype=dtype, na_value=filler) for side in (there, here)]
    else:
        sides = [np.array([str(value) for value in side.tolist()], dtype=object) for side in (there, here)]
    apart = sides[0] != sides[1]
    return np.asarray((apart & ~(missing[0] & missing[1])) | (missing[0] != missing[1]), dtype=bool)
