"""Datasets that this worker has read lately: the trials of an HPO run read the same rows thousands of times."""

from collections import OrderedDict
from typing import TYPE_CHECKING

from resources.datasets import DatasetStore

if TYPE_CHECKING:
    import pandas as pd

# What all of them together may take; the last one is kept whatever its size.
MOST_BYTES = 256 * 2**20
_recent: "OrderedDict[tuple[str, str, str], tuple[pd.DataFrame, int]]" = OrderedDict()


def recent_rows(store: DatasetStore, owner: str, data_version: str) -> "pd.DataFrame":
    """As ``store.read``, without reading again what was read lately. The rows may be used by others: not to be changed.

    A data version names its content, so that what is remembered is never out of date.
    """
    key = (store.artifacts.url, owner, data_version)
    known = _recent.pop(key, None)
    if known is None:
        rows = store.read(owner, data_version)
        known = rows, int(rows.memory_usage(deep=True).sum())
    _recent[key] = known
    while len(_recent) > 1 and sum(size for _, size in _recent.values()) > MOST_BYTES:
        _recent.popitem(last=False)
    return known[0]
