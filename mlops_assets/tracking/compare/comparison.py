"""The comparison of runs that people look at: on a terminal, in a notebook, as a document for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.canvas import Figure
from mlops_assets.tracking.compare.compared_runs import ComparedRuns, Sources
from mlops_assets.tracking.compare.document import plain_value, records_of
from mlops_assets.tracking.compare.findings import Findings
from mlops_assets.tracking.compare.html import page, report
from mlops_assets.tracking.compare.plots import figures
from mlops_assets.tracking.compare.sections import Section, as_text, short
from mlops_assets.tracking.compare.side_by_side import differing
from mlops_assets.tracking.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
MOST_TURNED = 5


class Comparison(Findings):
    """What ``p.compare(a, b)`` returns: ``metrics``, ``configuration``, ``code``, ``data``, ``environment``, ``rows``,
    ``slices`` and more, each found out when it is first asked for; a report in a notebook."""

    def __repr__(self) -> str:
        named = ", ".join(f"{label}={record.run_id}" for label, record in self.compared.by_label.items())
        return f"<comparison of {named}>"

    def __str__(self) -> str:
        sections = self.sections(rows=True)
        return as_text(self.verdict(rows=True), sections, self.notes)

    def _repr_html_(self) -> str:
        sections = self.sections(rows=True)
        return report(self.verdict(rows=True), sections, self.figures(), self.notes)

    def page(self) -> str:
        """The report as a page of its own; it loads nothing from anywhere."""
        return page("Comparison of runs", self._repr_html_())

    def verdict(self, *, rows: bool) -> str:
        """Who is better, one sentence for each run but the base."""
        return ". ".join(self.headline(label, rows=rows) for label in self.compared.others)

    def figures(self) -> list[Figure]:
        """Error against error, difference by slice and disagreement over time, as PNG; none without row level."""
        if self.row_level is None:
            return []
        return figures(self.compared, self.row_level, self.slices)

    def sections(self, *, rows: bool, limit: int = SHOWN) -> list[Section]:
        """The tables of a report, of single rows and slices at most ``limit``. Without ``rows`` no results are read."""
        runs = short(self.runs, "code_version", "data_version", "configuration", "predictions")
        runs = runs.drop(columns=["fingerprint"]).dropna(axis="columns", how="all")
        found = [
            Section("Runs", runs[[name for name in runs if not (runs[name] == "").all()]]),
            _changed("Configuration", self.configuration, "the configurations are the same"),
            *self._code_sections(limit),
            *self._data_sections(limit),
            _changed("Environment", self.environment, "the environments are the same"),
            Section("Metrics", self.metrics) if len(self.metrics) else Section("Metrics", said="no run has metrics"),
        ]
        return [*found, *self._step_sections(), *(self._row_sections(limit) if rows else [])]

    def to_dict(self, limit: int = 20) -> dict[str, Any]:
        """All of it as plain data; of single rows at most ``limit``."""
        level = self.row_level
        others = self.compared.others
        code, data = self.code, self.data
        rows = {
            "loss": level.loss if level is not None else None,
            "summary": records_of(self.row_summary),
            "disagreements": {label: records_of(self.disagreements(label, limit)) for label in others},
        }
        patches = {label: {path: code.patch(label, path) for path in _paths(code.files, label)} for label in others}
        found = {
            "verdict": {label: self.headline(label, rows=True) for label in others},
            "runs": records_of(self.runs),
            "configuration": records_of(self.configuration),
            "code": {
                "same": code.same,
                **{name: records_of(getattr(code, name)) for name in ("versions", "files", "commits")},
                "patches": patches,
                "uncommitted": dict(code.uncommitted),
            },
            "data": {
                "same": data.same,
                **{name: records_of(getattr(data, name)) for name in ("versions", "rows", "columns")},
                "changes": {label: records_of(data.changes(label, limit)) for label in others},
            },
            "environment": records_of(self.environment),
            "metrics": records_of(self.metrics),
            "common_metrics": records_of(self.common_metrics),
            "steps": {label: parted.as_plain() if parted else None for label, parted in (self.steps or {}).items()},
            "rows": rows,
            "slices": records_of(self.slices),
        }
        return {name: plain_value(value) for name, value in {**found, "notes": list(self.notes)}.items()}

    def _step_sections(self) -> list[Section]:
        base, found = self.compared.base, []
        for label, parted in (self.steps or {}).items():
            if parted is None:
                found.append(Section("Steps", said=f"{base} and {label} do not part at any step asked for"))
            else:
                said = f"{base} and {label} part at step {parted.position}, {parted.step!r}: {parted.reason}"
                found.append(Section("Steps", parted.examples, said))
        return found

    def _code_sections(self, limit: int) -> list[Section]:
        code = self.code
        if code.same:
            return [Section("Code", said="the code version is the same")]
        found = [Section("Code", short(code.versions, "code_version", "commit"))]
        if len(code.files):
            found.append(Section("Code: files changed since a", code.files))
        if len(code.commits):
            said = f"{limit} of {len(code.commits)}" if len(code.commits) > limit else ""
            found.append(Section("Code: commits between", short(code.commits.head(limit), "commit"), said))
        return found

    def _data_sections(self, limit: int) -> list[Section]:
        data = self.data
        if data.same:
            return [Section("Data", said="the data version is the same")]
        found = [Section("Data", short(data.versions, "data_version"))]
        if len(data.rows):
            found.append(Section("Data: rows compared with a, by row key", data.rows))
        if len(data.columns):
            found.append(Section("Data: columns", data.columns))
        changes = [(label, data.changes(label, limit)) for label in self.compared.others]
        found += [Section(f"Data: some changed values in {label}", table) for label, table in changes if len(table)]
        return found

    def _row_sections(self, limit: int) -> list[Section]:
        level = self.row_level
        if level is None:
            return [Section("Rows", said="there are not two runs with results to compare row by row")]
        said = f"loss: {level.loss}; only rows tested in both are judged"
        found = [Section("Rows", level.summary, said, turning=len(level.summary))]
        if len(self.common_metrics):
            found.append(Section("Metrics of the rows tested in all", self.common_metrics))
        if len(self.slices):
            clear = int(self.slices["verdict"].str.endswith(" better").sum())
            said = f"{len(self.slices)} slices, {clear} of them no noise (all intervals together hold with 95 %)"
            found.append(Section("Slices", self.slices.head(limit), said))
        for label in level.judged:
            table = self.disagreements(label, limit)
            if len(table):
                found.append(Section(f"Where {level.base} and {label} disagree most", table, turning=MOST_TURNED))
        return found


def compare(records: Sequence[RunRecord], sources: Sources, *, across_subprojects: bool = False) -> Comparison:
    """Put runs beside each other; the first is the base. Raises NotComparable (see ``ComparedRuns.of``)."""
    return Comparison(ComparedRuns.of(records, sources, across_subprojects=across_subprojects))


def _changed(title: str, table: "pd.DataFrame", otherwise: str) -> Section:
    different = differing(table)
    return Section(title, different) if len(different) else Section(title, said=otherwise)


def _paths(files: "pd.DataFrame", label: str) -> list[str]:
    return [str(path) for path in files.loc[files["run"] == label, "path"]]
