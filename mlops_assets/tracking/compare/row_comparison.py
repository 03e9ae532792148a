"""The results of runs joined on the row key: what each predicted for every row, and who was nearer to the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.compare.losses import Loss, disagreement, errors, is_regression, loss_for, losses
from mlops_assets.tracking.compare.paired import paired_means
from mlops_assets.tracking.compare.row_keys import row_keys, union_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SUMMARY = (
    "run",
    "in_both",
    "only_in_base",
    "only_in_run",
    "judged",
    "trained_in_one",
    "truth_differs",
    "base_better",
    "run_better",
    "equal",
    "loss_base",
    "loss_run",
    "difference",
    "interval_low",
    "interval_high",
    "verdict",
)


@dataclass(frozen=True, eq=False)
class RowComparison:
    """Rows of the runs that have results, joined on the row key.

    frame: a row per key of any run, in key order: key, truth (of the first run that has the row), then for each run x
    ``split_x``, ``prediction_x``, ``loss_x`` (and ``error_x``, prediction minus truth, in regression), for each but the
    base ``disagreement_x`` and ``difference_x`` (loss of x less loss of the base: negative where x is better), and
    ``judged``: whether the row was a test row in all runs, with the same truth. No others decide who is better.
    judged: the same by run, for the run and the base alone. loss: what ``loss_x`` is.
    """

    frame: "pd.DataFrame"
    judged: "Mapping[str, np.ndarray[Any, Any]]"
    truth_differs: "Mapping[str, np.ndarray[Any, Any]]"
    base: str
    loss: Loss
    regression: bool
    notes: tuple[str, ...] = ()

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """A line per run but the base: how the rows meet, how many each wins, the mean losses, and a verdict."""
        import pandas as pd

        return pd.DataFrame([self._summary(label) for label in self.judged], columns=list(SUMMARY))

    def _summary(self, label: str) -> dict[str, Any]:
        import numpy as np

        frame, base = self.frame, self.base
        splits = [frame[f"split_{one}"] for one in (base, label)]
        here = [split.notna().to_numpy(dtype=bool) for split in splits]
        tested = [(split == "test").to_numpy(dtype=bool) for split in splits]
        both = here[0] & here[1]
        judged = self.judged[label]
        counts = {
            "run": label,
            "in_both": int(both.sum()),
            "only_in_base": int((here[0] & ~here[1]).sum()),
            "only_in_run": int((here[1] & ~here[0]).sum()),
            "judged": int(judged.sum()),
            "trained_in_one": int((both & (tested[0] != tested[1])).sum()),
            "truth_differs": int(self.truth_differs[label].sum()),
        }
        sides = tuple(frame[f"loss_{one}"].to_numpy(dtype=float)[judged] for one in (base, label))
        wins = {
            "base_better": int((sides[0] < sides[1]).sum()),
            "run_better": int((sides[1] < sides[0]).sum()),
            "equal": int((sides[0] == sides[1]).sum()),
        }
        if not judged.any():
            return {**counts, **wins, "verdict": "no row was tested in both"}
        means = paired_means((sides[0], sides[1]), np.zeros(len(sides[0]), dtype=int))
        found = {
            "loss_base": float(means.base[0]),
            "loss_run": float(means.other[0]),
            "difference": float(means.difference[0]),
            "interval_low": float(means.low[0]),
            "interval_high": float(means.high[0]),
        }
        return {**counts, **wins, **found, "verdict": means.verdicts(base, label)[0]}

    def disagreements(self, run: str, limit: int = 20) -> "pd.DataFrame":
        """The judged rows where ``run`` and the base are furthest apart; the furthest first, equals in key order."""
        import numpy as np

        chosen = np.flatnonzero(self.judged[run])
        apart = self.frame[f"disagreement_{run}"].to_numpy(dtype=float)[chosen]
        order = np.argsort(-apart, kind="stable")
        order = order[apart[order] > 0][:limit]
        return self.frame.iloc[chosen[order]].reset_index(drop=True)


def row_comparison(runs: ComparedRuns) -> RowComparison | None:
    """None where the base, or every other run, has no results; ``runs.results.gaps`` says why."""
    results, gaps = runs.results
    if runs.base not in results or len(results) == 1:
        return None
    keys = row_keys({label: frame["key"] for label, frame in results.items()})
    union = union_of(keys)
    regression = is_regression(runs.sources.pipeline.schema.task, results.values())
    loss = loss_for(runs.sources.better, list(results.values()), regression)
    aligned = {label: _aligned(frame, keys[label], union) for label, frame in results.items()}
    columns: dict[str, Any] = {"key": union, "truth": _truth(aligned)}
    for label, frame in aligned.items():
        columns[f"split_{label}"] = frame["split"].array
        columns[f"prediction_{label}"] = frame["prediction"].array
        whole = results[label]
        if regression:
            columns[f"error_{label}"] = _placed(errors(whole), keys[label], union)
        columns[f"loss_{label}"] = _placed(losses(loss, whole), keys[label], union)
    judged, differs = {}, {}
    for label in [label for label in aligned if label != runs.base]:
        judged[label], differs[label] = _judged(aligned[runs.base], aligned[label])
        columns[f"disagreement_{label}"] = _apart(aligned[runs.base], aligned[label], regression)
        columns[f"difference_{label}"] = columns[f"loss_{label}"] - columns[f"loss_{runs.base}"]
    return RowComparison(_frame(columns, judged), judged, differs, runs.base, loss, regression, gaps)


def _frame(columns: dict[str, Any], judged: "Mapping[str, np.ndarray[Any, Any]]") -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    return pd.DataFrame({**columns, "judged": np.logical_and.reduce(list(judged.values()))})


def _aligned(frame: "pd.DataFrame", keys: "pd.Index[Any]", union: "pd.Index[Any]") -> "pd.DataFrame":
    """The results in the order of the union; rows that the run has not are missing."""
    return frame.reset_index(drop=True) if keys.equals(union) else frame.set_axis(keys, axis="index").reindex(union)


def _placed(values: "np.ndarray[Any, Any]", keys: "pd.Index[Any]", union: "pd.Index[Any]") -> "np.ndarray[Any, Any]":
    import numpy as np

    if keys.equals(union):
        return values
    placed = np.full(len(union), np.nan)
    placed[union.get_indexer(keys)] = values
    return placed


def _truth(aligned: "Mapping[str, pd.DataFrame]") -> Any:
    """What the first run that has the row knew of it."""
    first, *others = (frame["truth"].reset_index(drop=True) for frame in aligned.values())
    truth = first
    for other in others:
        if truth.isna().any():
            truth = truth.astype(object).where(truth.notna(), other.astype(object)).infer_objects()
    return truth.array


def _judged(base: "pd.DataFrame", other: "pd.DataFrame") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Which rows both runs tested with the same truth, and which both have with another one."""
    tested = [(frame["split"] == "test").to_numpy(dtype=bool) for frame in (base, other)]
    here = base["split"].notna().to_numpy(dtype=bool) & other["split"].notna().to_numpy(dtype=bool)
    differs = here & _unequal(base["truth"], other["truth"])
    return tested[0] & tested[1] & ~differs, differs


def _unequal(first: "pd.Series[Any]", second: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    import numpy as np
    import pandas as pd

    if all(pd.api.types.is_numeric_dtype(one.dtype) for one in (first, second)):
        numbers = [one.to_numpy(dtype=float, na_value=np.nan) for one in (first, second)]
        return np.asarray(numbers[0] != numbers[1])
    texts = [one.to_numpy(dtype=object).astype(str) for one in (first, second)]
    return np.asarray(texts[0] != texts[1])


def _apart(base: "pd.DataFrame", other: "pd.DataFrame", regression: bool) -> "np.ndarray[Any, Any]":
    """Missing where one of the two has not the row."""
    import numpy as np

    here = base["split"].notna().to_numpy(dtype=bool) & other["split"].notna().to_numpy(dtype=bool)
    apart = np.full(len(here), np.nan)
    apart[here] = disagreement(base[here], other[here], regression)
    return apart
