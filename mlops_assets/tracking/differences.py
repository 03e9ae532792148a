"""What differs between what two runs were made of, in words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.record import CodeIdentity, RunRecord, flat
from mlops_assets.tracking.replay import ABSENT, environment_of
from partitions.values import canonical_json

if TYPE_CHECKING:
    import pandas as pd

    from resources.datasets import Snapshot

MOST = 8


def code_differs(one: CodeIdentity, other: CodeIdentity, files: Sequence[str]) -> list[str]:
    """``files``: the code files that differ."""
    said = [f"{_code(one)} -> {_code(other)}"]
    return [*said, f"{_counted(len(files), 'file')}: {_some(files)}"] if files else said


def data_differs(one: "Snapshot", other: "Snapshot", rows: str | None) -> list[str]:
    """``rows``: as ``rows_differ`` has it, where the rows were looked at."""
    from mlops_assets.tracking.data_versions import ColumnChanges

    said = [f"data version {one.data_version[:12]} -> {other.data_version[:12]}, {one.rows} -> {other.rows} rows"]
    columns = str(ColumnChanges.between(one.columns, other.columns))
    return [*said, *([rows] if rows else []), *([f"columns: {columns}"] if columns else [])]


def rows_differ(one: "pd.DataFrame", other: "pd.DataFrame", key: str) -> str:
    """``3 rows added, 2 removed, 40 changed (in temp, wind)``: rows of the same key in the columns that both have."""
    import numpy as np

    from mlops_assets.tracking.state_steps import column_differs

    left, right = one.set_index(key), other.set_index(key)
    both = left.index[left.index.isin(right.index)]
    added, removed = len(right) - len(both), len(left) - len(both)
    left, right = left.loc[both], right.loc[both]
    columns = {n: column_differs(left[n], right[n])[0] for n in left.columns if n in right.columns}
    changed = [name for name, differs in columns.items() if differs.any()]
    count = int(np.logical_or.reduce([columns[name] for name in changed]).sum()) if changed else 0
    where = f" (in {_some(changed)})" if changed else ""
    return f"{_counted(added, 'row')} added, {removed} removed, {count} changed{where}"


def configuration_differs(one: RunRecord, other: RunRecord) -> list[str]:
    """Field by field: parameters, subproject configuration, folds."""
    before, after = _configuration(one), _configuration(other)
    changed = [name for name in {**before, **after} if _text(before, name) != _text(after, name)]
    lines = [f"{name}: {_text(before, name)} -> {_text(after, name)}" for name in changed]
    return lines if len(lines) <= MOST else [*lines[:MOST], f"and {len(lines) - MOST} more"]


def seed_differs(one: RunRecord, other: RunRecord) -> list[str]:
    return [f"seed {one.seed} -> {other.seed}"]


def environment_differs(one: RunRecord, other: RunRecord) -> list[str]:
    """Of Python, packages, threads, lock file and framework."""
    before, after = environment_of(one), environment_of(other)
    return [
        f"{name}: {before.get(name, ABSENT)} -> {after.get(name, ABSENT)}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def judged_on_other_rows(one: "pd.DataFrame", other: "pd.DataFrame") -> str | None:
    """How the test rows of two results differ; None where they are the same."""
    before, after = (set(results.loc[results["split"] == "test", "key"].tolist()) for results in (one, other))
    if before == after:
        return None
    return f"{len(before)} test rows before, {len(after)} after, {len(before & after)} of them the same"


def _configuration(record: RunRecord) -> dict[str, Any]:
    folds = {"folds": record.settings.get("folds"), "fold": record.fold} if record.fold is not None else {}
    return {**flat("params", record.parameters), **flat("config", record.configuration), **folds}


def _text(values: Mapping[str, Any], name: str) -> str:
    return canonical_json(values[name]) if name in values else ABSENT


def _code(code: CodeIdentity) -> str:
    if code.commit is None:
        return f"code version {code.digest[:12]}"
    return f"commit {code.commit[:12]}{' with changes not committed' if code.dirty else ''}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"{', '.join(names[:MOST])}{more}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
