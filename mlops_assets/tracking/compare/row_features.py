"""What the rows of a comparison looked like: the columns of the base's data, and what only other data versions have."""

from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.compare.row_keys import row_keys

if TYPE_CHECKING:
    import pandas as pd


def row_features(runs: ComparedRuns, keys: "pd.Series[Any]", only: str | None = None) -> "pd.DataFrame":
    """The columns (without the key) of the rows with these keys, in their order; missing where no data has the row.

    A column is taken from the base's data, and from another run's where the base's has it not. ``only``: the one
    column that is wanted.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    of_version: set[str] = set()
    for label, frame in runs.data.frames.items():
        snapshot = runs.snapshots[label]
        if snapshot.data_version in of_version:
            continue
        of_version.add(snapshot.data_version)
        wanted = [name for name in frame.columns if name != snapshot.key and name not in columns]
        wanted = [name for name in wanted if only in (None, name)]
        if wanted:
            found = row_keys({"asked": keys, "data": frame[snapshot.key]})
            part = _picked(frame[wanted], found["data"], found["asked"])
            columns |= {name: part[name].array for name in wanted}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(keys)))


def _picked(frame: "pd.DataFrame", has: "pd.Index[Any]", asked: "pd.Index[Any]") -> "pd.DataFrame":
    if has.equals(asked):
        return frame
    places = has.get_indexer(asked)
    if (places >= 0).all():
        return frame.iloc[places]
    return frame.set_axis(has, axis="index").reindex(asked)
