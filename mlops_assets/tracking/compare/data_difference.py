"""What differs between the data versions of runs: rows by their key, columns, and single values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.digests import plain
from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.compare.row_keys import row_keys
from partitions.errors import UnknownName
from resources.datasets import Snapshot

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, eq=False)
class ChangedRows:
    """The rows that two data versions have in common: their positions in both, and which values differ in which."""

    before: "pd.DataFrame"
    after: "pd.DataFrame"
    keys: "pd.Index[Any]"
    cells: "Mapping[str, np.ndarray[Any, Any]]"
    added: "pd.Index[Any]"
    removed: "pd.Index[Any]"

    @property
    def any_cell(self) -> "np.ndarray[Any, Any]":
        import numpy as np

        return np.asarray(np.logical_or.reduce([*self.cells.values(), np.zeros(len(self.keys), dtype=bool)]))


@dataclass(frozen=True, eq=False)
class DataDifference:
    """The data of runs, compared with the base's.

    versions: run, data_version, rows, columns, since, until, taken. rows: run, same, changed, added, removed (counts by
    row key). columns: run, column, change ("added", "removed", "retyped", "changed"), before, after (types), and
    rows_changed. notes: what could not be read or is withheld, and why.
    """

    versions: "pd.DataFrame"
    rows: "pd.DataFrame"
    columns: "pd.DataFrame"
    notes: tuple[str, ...] = ()
    by_run: Mapping[str, ChangedRows] = field(default_factory=dict, repr=False)

    @property
    def same(self) -> bool:
        """Whether all runs have one data version."""
        return bool(self.versions["data_version"].notna().all()) and self.versions["data_version"].nunique() == 1

    def changes(self, run: str = "b", limit: int = 20) -> "pd.DataFrame":
        """At most so many changed values: key, column, before (in the base), after. None where versions are equal."""
        import numpy as np
        import pandas as pd

        if run not in set(self.versions["run"]):
            raise UnknownName(f"there is no run {run!r} in this comparison: {', '.join(self.versions['run'])}")
        columns = ["key", "column", "before", "after"]
        found = self.by_run.get(run)
        if found is None:
            return pd.DataFrame(columns=columns)
        lines: list[list[Any]] = []
        for position in np.flatnonzero(found.any_cell)[:limit]:
            for name, changed in found.cells.items():
                if changed[position]:
                    values = [frame[name].iloc[position] for frame in (found.before, found.after)]
                    lines.append([found.keys[position], name, *values])
        return pd.DataFrame(lines[:limit], columns=columns, dtype=object)


def data_difference(runs: ComparedRuns) -> DataDifference:
    """From the manifests; rows are read only where the data versions of a run and of the base differ."""
    import pandas as pd

    base = runs.snapshots.get(runs.base)
    notes = [note for snapshot in _different(runs.snapshots) for note in _withheld(runs, snapshot)]
    rows: list[dict[str, Any]] = []
    columns: list[dict[str, Any]] = []
    by_run: dict[str, ChangedRows] = {}
    for label in runs.others:
        snapshot = runs.snapshots.get(label)
        if base is None or snapshot is None:
            continue
        if _is_same(base, snapshot):
            rows.append({"run": label, "same": base.rows, "changed": 0, "added": 0, "removed": 0})
            continue
        frames = runs.data.frames
        if runs.base in frames and label in frames:
            by_run[label] = changed_rows(frames[runs.base], frames[label], (base.key, snapshot.key))
            rows.append({"run": label, **_counts(by_run[label])})
        columns += [{"run": label, **line} for line in _columns(base, snapshot, by_run.get(label))]
    read = bool(by_run) or any(not _is_same(a, b) for a in runs.snapshots.values() for b in runs.snapshots.values())
    return DataDifference(
        versions=pd.DataFrame([_version(runs, label) for label in runs.labels]),
        rows=pd.DataFrame(rows, columns=["run", "same", "changed", "added", "removed"]),
        columns=pd.DataFrame(columns, columns=["run", "column", "change", "before", "after", "rows_changed"]),
        notes=(*notes, *(runs.data.gaps if read else runs.snapshot_gaps)),
        by_run=by_run,
    )


def _is_same(first: Snapshot, second: Snapshot) -> bool:
    return first.data_version == second.data_version


def _different(snapshots: Mapping[str, Snapshot]) -> list[Snapshot]:
    return list({snapshot.data_version: snapshot for snapshot in snapshots.values()}.values())


def _version(runs: ComparedRuns, label: str) -> dict[str, Any]:
    snapshot = runs.snapshots.get(label)
    line = {"run": label, "data_version": runs.by_label[label].data_version}
    if snapshot is None:
        return {**line, "rows": None, "columns": None, "since": None, "until": None, "taken": None}
    since, until = snapshot.time_range or (None, None)
    about = {"rows": snapshot.rows, "columns": len(snapshot.columns), "since": since, "until": until}
    return {**line, **about, "taken": snapshot.created_at}


def _withheld(runs: ComparedRuns, snapshot: Snapshot) -> list[str]:
    words = {"hash": "hashed", "drop": "left out"}
    return [
        f"column {column!r} is private now and was not in data version {snapshot.data_version[:12]}: it is {words[how]}"
        for column, how in runs.withheld(snapshot).items()
    ]


def changed_rows(before: "pd.DataFrame", after: "pd.DataFrame", key_columns: tuple[str, str]) -> ChangedRows:
    """Rows joined on their keys, and every value that is not the same in both; missing beside missing is the same."""
    keys = row_keys({"before": before[key_columns[0]], "after": after[key_columns[1]]})
    old, new = keys["before"], keys["after"]
    if old.equals(new):
        common, rows = old, (before, after)
    else:
        places = new.get_indexer(old)
        common = old[places >= 0]
        rows = (before[places >= 0].reset_index(drop=True), after.iloc[places[places >= 0]].reset_index(drop=True))
    shared = [c for c in before.columns if c in after.columns and c not in key_columns]
    cells = {str(name): _differ(rows[0][name], rows[1][name]) for name in shared}
    return ChangedRows(*rows, common, cells, new.difference(old), old.difference(new))


def _differ(before: "pd.Series[Any]", after: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """Where two columns of equal length hold different values, whatever types they are stored in."""
    import numpy as np
    import pandas as pd

    kinds = pd.api.types
    old, new = plain(before), plain(after)
    missing = [column.isna().to_numpy(dtype=bool) for column in (old, new)]
    if all(kinds.is_datetime64_any_dtype(column.dtype) for column in (old, new)):
        # Without a zone, or numpy gets an object for every single moment.
        moments = [pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy() for column in (old, new)]
        unequal = moments[0] != moments[1]
    elif all(kinds.is_numeric_dtype(column.dtype) for column in (old, new)):
        unequal = _numbers(old) != _numbers(new)
    else:
        unequal = _unequal_values(old, new)
    return np.asarray(np.where(missing[0] | missing[1], missing[0] != missing[1], unequal))


def _numbers(column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """Integers stay integers: two of more than 53 bits may be one and the same floating number."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_integer_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return np.asarray(
            column.fillna(0).to_numpy(dtype="uint64" if "uint64" in str(column.dtype).lower() else "int64")
        )
    return np.asarray(column.to_numpy(dtype=float, na_value=np.nan))


def _unequal_values(old: "pd.Series[Any]", new: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    import numpy as np
    import pandas as pd

    if str(old.dtype) == str(new.dtype) and isinstance(old.dtype, pd.StringDtype):
        # One pass in Arrow; one by one, out of an Arrow column, takes a hundred times as long.
        return np.asarray((old != new).fillna(True).to_numpy(dtype=bool))
    pairs = zip(old.to_numpy(dtype=object).tolist(), new.to_numpy(dtype=object).tolist(), strict=True)
    texts = str(old.dtype) != str(new.dtype)
    return np.array([_text(a, texts) != _text(b, texts) for a, b in pairs], dtype=bool)


def _text(value: Any, as_text: bool) -> Any:
    """A value that can be compared: lists and arrays by their content; of another type, as text."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return str(value) if as_text else value


def _counts(found: ChangedRows) -> dict[str, int]:
    changed = int(found.any_cell.sum())
    return {
        "same": len(found.keys) - changed,
        "changed": changed,
        "added": len(found.added),
        "removed": len(found.removed),
    }


def _columns(base: Snapshot, other: Snapshot, found: ChangedRows | None) -> list[dict[str, Any]]:
    lines = []
    for name in dict.fromkeys([*base.columns, *other.columns]):
        before, after = base.columns.get(name), other.columns.get(name)
        changed = int(found.cells[name].sum()) if found is not None and name in found.cells else 0
        change = "added" if before is None else "removed" if after is None else "retyped" if before != after else None
        if change is None and changed:
            change = "changed"
        if change is not None:
            lines.append({"column": name, "change": change, "before": before, "after": after, "rows_changed": changed})
    return lines
