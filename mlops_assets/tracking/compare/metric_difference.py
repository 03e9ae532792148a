"""Metrics of several runs side by side, with the difference to the base and which run is best."""

import math
from typing import TYPE_CHECKING

from mlops_assets.learning.contract import check_metrics, result_columns
from mlops_assets.learning.user_code import user_code
from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.compare.row_comparison import RowComparison
from mlops_assets.tracking.compare.row_features import row_features
from mlops_assets.tracking.compare.row_keys import row_keys
from partitions.errors import PipelineError
from partitions.pipeline import Better

if TYPE_CHECKING:
    import pandas as pd

WORDS = {"min": "lower", "max": "higher", "zero": "nearer 0"}


def metric_table(runs: ComparedRuns) -> "pd.DataFrame":
    """Columns metric, on ("test", "train", "baseline"), better_is, one per run, ``b - a`` ..., and best.

    best: the run, "equal", or empty where the pipeline at hand does not say which way is better, where a run lacks the
    metric, or where the runs are of several subprojects. Of the baseline, too: data that became easier shows there.
    """
    by_part = {
        "test": {label: record.metrics for label, record in runs.by_label.items()},
        "train": {label: record.train_metrics for label, record in runs.by_label.items()},
        "baseline": {label: record.baseline for label, record in runs.by_label.items()},
    }
    return table_of(runs, by_part)


def table_of(runs: ComparedRuns, by_part: dict[str, dict[str, dict[str, float]]]) -> "pd.DataFrame":
    """The same table of any metrics, by the rows they are of and by the label of the run."""
    import pandas as pd

    better = runs.sources.better
    lines = []
    for part, of_run in by_part.items():
        there = dict.fromkeys(name for metrics in of_run.values() for name in metrics)
        for name in [*(name for name in better if name in there), *(name for name in there if name not in better)]:
            values = {label: of_run.get(label, {}).get(name, math.nan) for label in runs.labels}
            way = better.get(name)
            base = values[runs.base]
            line: dict[str, object] = {"metric": name, "on": part, "better_is": WORDS[way] if way else "", **values}
            line |= {f"{label} - {runs.base}": values[label] - base for label in runs.others}
            lines.append(line | {"best": "" if way is None or runs.across else _best(values, way)})
    differences = [f"{label} - {runs.base}" for label in runs.others]
    return pd.DataFrame(lines, columns=["metric", "on", "better_is", *runs.labels, *differences, "best"])


def _best(values: dict[str, float], way: Better) -> str:
    if any(math.isnan(value) for value in values.values()):
        return ""
    cost = {label: {"min": value, "max": -value, "zero": abs(value)}[way] for label, value in values.items()}
    least = min(cost.values())
    best = [label for label, value in cost.items() if value == least]
    return "equal" if len(best) == len(values) else ", ".join(best)


def metrics_of_common_rows(runs: ComparedRuns, rows: RowComparison) -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """The table for the rows that all runs tested, by the ``evaluate`` of the code at hand; and what it could not do.

    Test metrics of runs with other test rows differ for that alone; these do not.
    """
    chosen = rows.frame[rows.frame["judged"]]
    metrics: dict[str, dict[str, float]] = {}
    notes = []
    if len(chosen):
        features = row_features(runs, chosen["key"])
        for label in runs.results.frames:
            try:
                metrics[label] = _evaluated(runs, label, chosen, features)
            except PipelineError as error:
                notes.append(f"metrics of {label} on the rows tested in all runs: {error}")
    return table_of(runs, {"tested in all": metrics}), tuple(notes)


def _evaluated(runs: ComparedRuns, label: str, chosen: "pd.DataFrame", features: "pd.DataFrame") -> dict[str, float]:
    pipeline = runs.sources.pipeline
    results = runs.results.frames[label]
    keys = row_keys({"asked": chosen["key"], "results": results["key"]})
    found = results.iloc[keys["results"].get_indexer(keys["asked"])].reset_index(drop=True)
    own = found[["truth", *result_columns(found, pipeline.schema)]]
    given = features[[name for name in features if name not in own]].copy()
    given[pipeline.schema.key] = found["key"].array
    for name in own:
        given[name] = own[name].array
    what = f"{type(pipeline).__name__}.evaluate"
    with user_code(what):
        values = pipeline.evaluate(given)
    return check_metrics(values, pipeline.metrics, what)
