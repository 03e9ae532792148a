"""What a comparison of runs finds, as values and tables; what costs time is found out when it is first asked for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.compare.code_difference import CodeDifference, code_difference
from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.compare.data_difference import DataDifference, data_difference
from mlops_assets.tracking.compare.metric_difference import metric_table, metrics_of_common_rows
from mlops_assets.tracking.compare.row_comparison import SUMMARY, RowComparison, row_comparison
from mlops_assets.tracking.compare.row_features import row_features
from mlops_assets.tracking.compare.row_keys import row_keys
from mlops_assets.tracking.compare.side_by_side import configuration_table, environment_table, identity_table
from mlops_assets.tracking.compare.slices import COLUMNS, slices
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.state_steps import StepDifference
from partitions.errors import UnknownName

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Findings:
    """Two or more runs beside each other. In tables they are called a (the base), b, c ..., in the order given.

    steps: where each run parts from the base, step by step of the fitted pipelines; None where that was not asked for.
    """

    compared: ComparedRuns
    steps: Mapping[str, StepDifference | None] | None = None

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """The runs, complete."""
        return self.compared.records

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """A line per run: what it is called here, its id, and what defines it."""
        return identity_table(self.compared)

    @cached_property
    def configuration(self) -> "pd.DataFrame":
        """Every field of the configurations, side by side: field, a, b ..., change, note. No file is read."""
        return configuration_table(self.compared)

    @cached_property
    def environment(self) -> "pd.DataFrame":
        """Python, lock file, threads and packages, side by side: field, a, b ..., change. No file is read."""
        return environment_table(self.compared)

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """Metrics of test and train rows and of the baseline: metric, on, better_is, a, b ..., b - a ..., best."""
        return metric_table(self.compared)

    @cached_property
    def code(self) -> CodeDifference:
        """Code versions, files, commits between, and ``code.patch("b")``."""
        return code_difference(self.compared)

    @cached_property
    def data(self) -> DataDifference:
        """Data versions, rows added, removed and changed, columns, and ``data.changes("b")``."""
        return data_difference(self.compared)

    @cached_property
    def row_level(self) -> RowComparison | None:
        """The results joined on the row key; None where there are not two runs with results."""
        return row_comparison(self.compared)

    @property
    def rows(self) -> "pd.DataFrame":
        """``row_level.frame``: a line per row key, with the prediction and the loss of each run."""
        import pandas as pd

        return self.row_level.frame if self.row_level is not None else pd.DataFrame(columns=["key", "truth"])

    @property
    def row_summary(self) -> "pd.DataFrame":
        """A line per run but the base: how many rows are in both, judged, won; the mean losses and a verdict."""
        import pandas as pd

        return self.row_level.summary if self.row_level is not None else pd.DataFrame(columns=list(SUMMARY))

    @cached_property
    def slices(self) -> "pd.DataFrame":
        """Where one run wins, by any column of the data; noise is called noise."""
        import pandas as pd

        return slices(self.compared, self.row_level) if self.row_level else pd.DataFrame(columns=list(COLUMNS))

    @property
    def common_metrics(self) -> "pd.DataFrame":
        """``metrics`` for the rows that all runs tested, computed by the code at hand."""
        return self._common[0]

    def disagreements(self, run: str = "b", limit: int = 20) -> "pd.DataFrame":
        """The judged rows where ``run`` and the base are furthest apart, with their features.

        Columns: key, truth, and of both runs prediction, loss and (regression) error; disagreement; ``data_changed``,
        whether the row's data is not the same in both data versions; then the columns of the data, as the base has
        them. Private columns are as they are stored: hashed or not there.
        """
        import pandas as pd

        if run not in self.compared.others:
            raise UnknownName(f"there is no run {run!r} to compare with {self.compared.base!r}: {self._others}")
        level = self.row_level
        if level is None or run not in level.judged:
            return pd.DataFrame(columns=["key", "truth"])
        found = level.disagreements(run, limit)
        both = (level.base, run)
        parts = ("prediction", "error", "loss") if level.regression else ("prediction", "loss")
        columns = ["key", "truth", *(f"{part}_{label}" for part in parts for label in both), f"disagreement_{run}"]
        about = found[columns].assign(data_changed=self._changed(run, found["key"]))
        features = row_features(self.compared, found["key"])
        new = [name for name in features if name not in about and name != self._target]
        return pd.concat([about, features[new]], axis=1)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know before trusting a table; of rows only once they were asked for."""
        # What was asked for already is in the object's own dictionary: a cached property leaves it there.
        done = self.__dict__
        found = list(self._notes_of_records)
        found += self.code.notes if "code" in done else ()
        found += self.data.notes if "data" in done else ()
        if "row_level" in done:
            found += self.compared.results.gaps
            found += self.compared.data.gaps
        found += self._common[1] if "_common" in done else ()
        return tuple(dict.fromkeys(found))

    @property
    def _notes_of_records(self) -> list[str]:
        found = [
            f"{label} {record.status}{f': {record.error.message}' if record.error else ''}"
            for label, record in self.compared.by_label.items()
            if record.status != "succeeded"
        ]
        if self.compared.across:
            found.append("the runs are of several subprojects: no metric says which is better")
        splits = {record.settings.get("split") for record in self.records if record.status == "succeeded"}
        if len(splits) > 1:
            found.append("the runs were not tested on the same rows: compare the metrics of the rows tested in all")
        return found

    @property
    def _others(self) -> str:
        return ", ".join(self.compared.others)

    @property
    def _target(self) -> str:
        return self.compared.sources.pipeline.schema.target

    @cached_property
    def _common(self) -> "tuple[pd.DataFrame, tuple[str, ...]]":
        if self.row_level is None:
            return self.metrics.iloc[:0], ()
        return metrics_of_common_rows(self.compared, self.row_level)

    def _changed(self, run: str, keys: "pd.Series[Any]") -> list[bool]:
        changed = self.data.by_run.get(run)
        if changed is None:
            return [False] * len(keys)
        found = row_keys({"asked": keys, "changed": changed.keys.to_series()})
        places = found["changed"].get_indexer(found["asked"])
        any_cell = changed.any_cell
        return [bool(place >= 0 and any_cell[place]) for place in places]

    def headline(self, run: str, *, rows: bool) -> str:
        """One sentence: is ``run`` better than the base? With ``rows``, whether that is more than noise."""
        base = self.compared.base
        first, second = (self.compared.by_label[label] for label in (base, run))
        if first.predictions is not None and first.predictions == second.predictions:
            return f"{base} and {run} predict the same for every row"
        said = self._by_metric(run)
        if rows and self.row_level is not None and run in self.row_level.judged:
            said += f"; {self._by_rows(run)}"
        return said

    def _by_metric(self, run: str) -> str:
        base = self.compared.base
        tested = self.metrics[(self.metrics["on"] == "test") & (self.metrics["better_is"] != "")]
        if self.compared.across or not len(tested):
            return f"no metric says which of {base} and {run} is better"
        order = list(self.compared.sources.better)
        line = min(tested.to_dict("records"), key=lambda one: order.index(str(one["metric"])))
        name, before, after = line["metric"], float(line[base]), float(line[run])
        if math.isnan(before) or math.isnan(after):
            return f"{name} is not known of both {base} and {run}"
        gain = {"lower": before - after, "higher": after - before}.get(str(line["better_is"]), abs(before) - abs(after))
        word = "better" if gain > 0 else "worse" if gain < 0 else "equal"
        return f"{run} is {word} by {name}: {after:.4g} against {before:.4g}"

    def _by_rows(self, run: str) -> str:
        level = self.row_level
        assert level is not None
        line = level.summary[level.summary["run"] == run].to_dict("records")[0]
        if not line["judged"]:
            return "no row was tested in both"
        interval = f"{line['interval_low']:.3g} to {line['interval_high']:.3g}"
        verdict = {"noise": "which may be noise", "few rows": "too few to tell", "equal": "no difference"}
        told = verdict.get(line["verdict"], line["verdict"])
        return f"on {line['judged']:,} rows tested in both its {level.loss} differs by {interval} (95 %): {told}"
