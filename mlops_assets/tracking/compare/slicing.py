"""A column as groups of rows: quantiles of numbers, values of categories, calendar periods of times."""

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 5
FEW_VALUES = 12
MOST_VALUES = 20
MOST_PERIODS = 24
PERIODS = {"Y": "%Y", "M": "%Y-%m", "D": "%Y-%m-%d", "h": "%Y-%m-%d %H:00"}
MISSING = "missing"
OTHERS = "others"


class Groups(NamedTuple):
    """The group of every row as a number from 0, and what each group is called."""

    codes: "np.ndarray[Any, Any]"
    names: list[str]


def groups_of(column: "pd.Series[Any]") -> Groups | None:
    """None for a column that makes no groups: one value in all rows, or nearly every row its own."""
    import pandas as pd

    kinds = pd.api.types
    missing = column.isna().to_numpy(dtype=bool)
    if missing.all():
        return None
    if kinds.is_datetime64_any_dtype(column.dtype):
        groups: Groups | None = _periods(column, missing)
    elif kinds.is_numeric_dtype(column.dtype) and not kinds.is_bool_dtype(column.dtype):
        groups = _numbers(column, missing)
    else:
        groups = _values(column, missing)
    return groups if groups is not None and len(groups.names) > 1 else None


def _numbers(column: "pd.Series[Any]", missing: "np.ndarray[Any, Any]") -> Groups | None:
    import numpy as np

    values = column.to_numpy(dtype=float, na_value=np.nan)
    # A column with few values shows them in any thousand rows; sorting all of many numbers costs more than the rest.
    few = len(np.unique(values[~missing][:1000])) <= FEW_VALUES and len(np.unique(values[~missing])) <= FEW_VALUES
    if few:
        return _values(column, missing, ordered=True)
    finite = values[np.isfinite(values)]
    edges = np.quantile(finite, np.linspace(0, 1, BINS + 1), method="nearest")
    # A value that fills a whole bin (no rain at all) is a group of its own; the others are parted without it.
    heavy = np.unique(edges[:-1][edges[:-1] == edges[1:]])
    light = finite[~np.isin(finite, heavy)]
    codes = np.searchsorted(heavy, values)
    names = [_name(float(value)) for value in heavy]
    if len(light):
        parts = np.unique(np.quantile(light, np.linspace(0, 1, max(2, BINS - len(heavy)) + 1), method="nearest"))
        inner = np.searchsorted(parts[1:-1], values, side="right")
        codes = np.where(np.isin(values, heavy), codes, len(heavy) + inner)
        names += [f"{low:.6g} to {high:.6g}" for low, high in itertools.pairwise(parts)] or [_name(float(parts[0]))]
    return _with_missing(codes, names, missing)


def _values(column: "pd.Series[Any]", missing: "np.ndarray[Any, Any]", *, ordered: bool = False) -> Groups | None:
    """The most frequent values, and the others as one."""
    import numpy as np
    import pandas as pd

    objects = column.to_numpy(dtype=object)
    try:
        found, uniques = pd.factorize(objects, use_na_sentinel=True)
    except TypeError:
        # Lists and the like: no value is met twice.
        return None
    rows = len(objects) - int(missing.sum())
    if len(uniques) > MOST_VALUES and len(uniques) > rows / 2:
        return None
    counts = np.bincount(found[found >= 0], minlength=len(uniques))
    kept = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    if ordered:
        kept = kept[np.argsort(uniques[kept].astype(float))]
    place = np.full(len(uniques), len(kept))
    place[kept] = np.arange(len(kept))
    names = [_name(uniques[position]) for position in kept]
    if len(uniques) > len(kept):
        names.append(f"{OTHERS} ({len(uniques) - len(kept)} values)")
    return _with_missing(place[np.maximum(found, 0)], names, missing)


def _name(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _periods(column: "pd.Series[Any]", missing: "np.ndarray[Any, Any]") -> Groups:
    """The shortest of decade, year, month, day and hour of which there are at most 24."""
    import numpy as np
    import pandas as pd

    times = (column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column)[~missing]
    codes, decades = pd.factorize(times.dt.year.to_numpy() // 10, sort=True)
    names = [f"{decade}0s" for decade in decades]
    for period, form in PERIODS.items():
        found, starts = pd.factorize(times.dt.to_period(period).astype("int64").to_numpy(), sort=True)
        if len(starts) > MOST_PERIODS:
            break
        _, first = np.unique(found, return_index=True)
        codes, names = found, [str(name) for name in times.iloc[first].dt.strftime(form)]
    placed = np.zeros(len(column), dtype=int)
    placed[~missing] = codes
    return _with_missing(placed, names, missing)


def _with_missing(codes: "np.ndarray[Any, Any]", names: list[str], missing: "np.ndarray[Any, Any]") -> Groups:
    import numpy as np

    if not missing.any():
        return Groups(codes, names)
    return Groups(np.where(missing, len(names), codes), [*names, MISSING])
