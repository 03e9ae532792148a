"""Where one run wins: the losses of the judged rows by groups of any column."""

from typing import TYPE_CHECKING

from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.compare.paired import FEWEST, paired_means
from mlops_assets.tracking.compare.row_comparison import RowComparison
from mlops_assets.tracking.compare.row_features import row_features
from mlops_assets.tracking.compare.slicing import groups_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "run",
    "column",
    "slice",
    "rows",
    "loss_base",
    "loss_run",
    "difference",
    "interval_low",
    "interval_high",
    "verdict",
)


def slices(runs: ComparedRuns, rows: RowComparison) -> "pd.DataFrame":
    """For each run but the base a line per slice of every column of the data, the target's among them.

    difference: mean loss of the run less that of the base, with an interval; all intervals of one run hold together
    with 95 %. verdict: who is better, "noise", "equal" or "few rows" (under 20). What is no noise comes first,
    then by how much the slice adds to the difference as a whole.
    """
    import numpy as np
    import pandas as pd

    tables = []
    for label, judged in rows.judged.items():
        chosen = rows.frame[judged]
        columns = row_features(runs, chosen["key"])
        groups = {str(name): found for name in columns if (found := groups_of(columns[name])) is not None}
        sides = [chosen[f"loss_{one}"].to_numpy(dtype=float) for one in (rows.base, label)]
        tests = sum(int((np.bincount(found.codes) >= FEWEST).sum()) for found in groups.values())
        for name, found in groups.items():
            means = paired_means((sides[0], sides[1]), found.codes, tests)
            table = pd.DataFrame(
                {
                    "run": label,
                    "column": name,
                    "slice": found.names[: len(means.rows)],
                    "rows": means.rows,
                    "loss_base": means.base,
                    "loss_run": means.other,
                    "difference": means.difference,
                    "interval_low": means.low,
                    "interval_high": means.high,
                    "verdict": means.verdicts(rows.base, label),
                }
            )
            tables.append(table[table["rows"] > 0])
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    return _ranked(pd.concat(tables, ignore_index=True), rows.base)


def _ranked(table: "pd.DataFrame", base: str) -> "pd.DataFrame":
    clear = table["verdict"].str.endswith(" better")
    weight = (table["difference"] * table["rows"]).abs()
    order = table.assign(_clear=clear, _weight=weight)
    order = order.sort_values(["run", "_clear", "_weight"], ascending=[True, False, False], kind="stable")
    return order[list(COLUMNS)].reset_index(drop=True)
