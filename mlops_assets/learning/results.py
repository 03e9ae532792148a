"""The rows of a run with their results, put together again from the data and what is stored of the run."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def rows_with_results(data: "pd.DataFrame", key: str, results: "pd.DataFrame", split: str) -> "pd.DataFrame":
    """The ``split`` rows of a run as ``evaluate`` was given them: own columns, truth, prediction (and probabilities).

    In the order of ``results``, with an index from 0. Raises KeyError for results of rows that are not in ``data``.
    """
    import pandas as pd

    part = results.loc[[name == split for name in results["split"].tolist()]]
    places = {name: place for place, name in enumerate(data[key].tolist())}
    rows = data.iloc[[places[name] for name in part["key"].tolist()]].reset_index(drop=True)
    outcome = part[[name for name in part.columns if name not in ("key", "split", "fold")]].reset_index(drop=True)
    if outcome.columns.intersection(rows.columns).empty:
        # In one go: every column that is added by itself makes the names anew.
        return pd.concat([rows, outcome], axis="columns")
    return rows.assign(**{str(name): outcome[name].array for name in outcome.columns})
