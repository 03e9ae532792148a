"""Where two runs part: the first step of their fitted pipelines after which the same rows are not the same any more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from partitions.errors import UnknownName, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

EXAMPLES = 10
FEW = 5


@dataclass(frozen=True)
class ColumnDifference:
    """One column that both frames have: in how many rows it differs, and by how much at most (None: no numbers)."""

    rows: int
    largest: float | None


@dataclass(frozen=True, eq=False)
class StepDifference:
    """The first step at which two runs part.

    step, position: its name and place, from 1. other_step: the name of the second run's step there; None where only one
    of the runs has a step there.
    columns: those in both frames whose values differ. only_a, only_b: columns that one of the frames lacks.
    rows: how many of the ``compared`` rows differ; rows_only_a, rows_only_b: rows that one of the frames lacks.
    examples: the rows that differ most, a column at a time as ``column (a)`` and ``column (b)``.
    """

    step: str
    position: int
    other_step: str | None
    columns: dict[str, ColumnDifference] = field(default_factory=dict)
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    rows: int = 0
    compared: int = 0
    rows_only_a: int = 0
    rows_only_b: int = 0
    examples: "pd.DataFrame | None" = None

    @property
    def reason(self) -> str:
        """What differs, in one line."""
        if self.other_step is None:
            return "only one of the runs has such a step"
        if self.other_step != self.step:
            return f"the other run has {self.other_step!r} here"
        said = []
        if self.columns:
            worst = sorted(self.columns, key=lambda name: -self.columns[name].rows)
            said.append(f"{self.rows} of {self.compared} rows differ, in {_named(worst)}")
        for names, which in ((self.only_a, "first"), (self.only_b, "second")):
            if names:
                said.append(f"only the {which} has column{'s' if len(names) > 1 else ''} {_named(names)}")
        for rows, which in ((self.rows_only_a, "first"), (self.rows_only_b, "second")):
            if rows:
                said.append(f"only the {which} has {rows} of the rows")
        return "; ".join(said)

    def as_plain(self) -> dict[str, Any]:
        """What differs as plain data, without the examples."""
        fields = (
            "step",
            "position",
            "other_step",
            "only_a",
            "only_b",
            "rows",
            "compared",
            "rows_only_a",
            "rows_only_b",
        )
        columns = {name: {"rows": found.rows, "largest": found.largest} for name, found in self.columns.items()}
        return {**{name: getattr(self, name) for name in fields}, "columns": columns, "reason": self.reason}

    def __repr__(self) -> str:
        return f"<the runs part at {self.step!r}: {self.reason}>"

    def _repr_html_(self) -> str:
        from html import escape

        shown = self.examples.to_html() if self.examples is not None else ""
        return f"<p>The runs part at <b>{escape(self.step)}</b>: {escape(self.reason)}</p>{shown}"


def first_difference(
    a: "Mapping[str, pd.DataFrame]", b: "Mapping[str, pd.DataFrame]", tolerance: float = 0.0
) -> StepDifference | None:
    """The first step of ``a`` and ``b`` (frame by name of step, in order) whose frames differ; None where none does.

    Missing values are equal to each other. Numbers may differ by ``tolerance``; what type holds them does not matter.
    Rows are matched by index.
    """
    names_a, names_b = list(a), list(b)
    for place in range(max(len(names_a), len(names_b))):
        name_a, name_b = (names[place] if place < len(names) else None for names in (names_a, names_b))
        if name_a is None or name_b is None or name_a != name_b:
            first = name_a if name_a is not None else name_b
            return StepDifference(first or "", place + 1, name_b if name_a is not None else None)
        found = _frames_differ(a[name_a], b[name_b], tolerance)
        if found:
            return StepDifference(name_a, place + 1, name_a, **found)
    return None


def difference_at(
    step: str, a: "Mapping[str, pd.DataFrame]", b: "Mapping[str, pd.DataFrame]", tolerance: float = 0.0
) -> StepDifference | None:
    """What differs after one step; None where nothing does. Raises UnknownName where ``a`` or ``b`` lacks it."""
    for frames in (a, b):
        if step not in frames:
            raise UnknownName(nearest(step, frames, noun="step"))
    found = _frames_differ(a[step], b[step], tolerance)
    return StepDifference(step, list(a).index(step) + 1, step, **found) if found else None


def _frames_differ(a: "pd.DataFrame", b: "pd.DataFrame", tolerance: float) -> dict[str, Any]:
    """The fields of a StepDifference; empty where the frames are equal."""
    import numpy as np

    only_a = tuple(str(name) for name in a.columns if name not in b.columns)
    only_b = tuple(str(name) for name in b.columns if name not in a.columns)
    left, right = _same_rows(a, b)
    outside = {"rows_only_a": len(a) - len(left), "rows_only_b": len(b) - len(right)}
    differs = np.zeros(len(left), dtype=bool)
    columns: dict[str, ColumnDifference] = {}
    distances: dict[str, Any] = {}
    for name in (name for name in a.columns if name in b.columns):
        unequal, distance = column_differs(left[name], right[name], tolerance)
        if unequal.any():
            largest = float(distance[unequal].max()) if distance is not None else None
            columns[str(name)] = ColumnDifference(int(unequal.sum()), largest)
            differs |= unequal
            distances[str(name)] = unequal if distance is None else distance
    if not (columns or only_a or only_b or any(outside.values())):
        return {}
    return {
        "columns": columns,
        "only_a": only_a,
        "only_b": only_b,
        "rows": int(differs.sum()),
        "compared": len(left),
        **outside,
        "examples": _examples(left, right, distances) if columns else None,
    }


def _same_rows(a: "pd.DataFrame", b: "pd.DataFrame") -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The rows that both have, in the order of the first."""
    if a.index.equals(b.index):
        return a, b
    if a.index.is_unique and b.index.is_unique:
        both = a.index[a.index.isin(b.index)]
        return a.loc[both], b.loc[both]
    shorter = min(len(a), len(b))
    return a.iloc[:shorter], b.iloc[:shorter]


def column_differs(
    a: "pd.Series[Any]", b: "pd.Series[Any]", tolerance: float = 0.0
) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]":
    """Which rows differ, and, between numbers, by how much (infinite where only one of them is missing)."""
    import numpy as np
    import pandas as pd

    values = [_dense(a), _dense(b)]
    missing = [column.isna().to_numpy(dtype=bool) for column in values]
    either, both = missing[0] | missing[1], missing[0] & missing[1]
    if all(pd.api.types.is_numeric_dtype(column.dtype) for column in values):
        x, y = (column.to_numpy(dtype="float64", na_value=np.nan) for column in values)
        with np.errstate(invalid="ignore"):
            # Two equal infinities have no difference that can be computed.
            distance = np.where(x == y, 0.0, np.abs(x - y))
        distance = np.where(either, np.where(both, 0.0, np.inf), distance)
        return distance > tolerance, distance
    x, y = (column.to_numpy(dtype=object, copy=True) for column in values)
    x[either] = y[either] = None
    if any(pd.api.types.is_object_dtype(column.dtype) for column in values):
        # Objects may be arrays, which have no one answer to whether they are equal.
        unequal = np.fromiter((bool(np.any(p != q)) for p, q in zip(x, y, strict=True)), dtype=bool, count=len(x))
    else:
        unequal = np.asarray(x != y, dtype=bool)
    return np.where(either, ~both, unequal), None


def _dense(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The plain values of a sparse or categorical column."""
    import pandas as pd

    if isinstance(column.dtype, pd.SparseDtype):
        return column.astype(column.dtype.subtype)
    return column.astype(column.cat.categories.dtype) if isinstance(column.dtype, pd.CategoricalDtype) else column


def _examples(a: "pd.DataFrame", b: "pd.DataFrame", distances: Mapping[str, Any]) -> "pd.DataFrame":
    """The rows that differ most. Columns of numbers are scaled by their largest difference, so that none drowns out."""
    import numpy as np
    import pandas as pd

    weight = np.zeros(len(a))
    for distance in distances.values():
        finite = np.nan_to_num(distance.astype("float64"), posinf=0.0)
        scaled = finite / finite.max() if finite.max() > 0 else finite
        weight += np.where(np.isinf(distance.astype("float64")), 1.0, scaled)
    order = np.argsort(-weight, kind="stable")[:EXAMPLES]
    order = order[weight[order] > 0]
    some = list(distances)[: FEW * 2]
    pairs = {f"{name} ({side})": frame[name].iloc[order] for name in some for side, frame in (("a", a), ("b", b))}
    return pd.DataFrame(pairs)


def _named(names: Any) -> str:
    listed = list(names)
    more = f" and {len(listed) - FEW} more" if len(listed) > FEW else ""
    return ", ".join(listed[:FEW]) + more
