"""Exploring: any set of runs as configurations and parameters, and how much of a search space is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from mlops_assets.opened.reading import Reading
from mlops_assets.opened.registration import Registering
from mlops_assets.tracking.groups import direction_of
from mlops_assets.tracking.run_query import RunFields
from partitions.catalogue import SubprojectConfiguration, resolve
from partitions.errors import MlopsError, UnknownName

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.learning.exploring.journal import Exported
    from mlops_assets.tracking.exploring.exploration import Exploration
    from mlops_assets.tracking.exploring.hpo_report import HPOReport
    from mlops_assets.tracking.space import SampledSpace


class Exploring(Reading, Registering):
    """Runs explored."""

    def explore(
        self,
        subprojects: str | Sequence[str] | None = None,
        *,
        runs: "pd.DataFrame | Sequence[str] | None" = None,
        metric: str | None = None,
        **asked: Unpack[RunFields],
    ) -> "Exploration":
        """Runs as configurations over their seeds and folds, HPO or not: a table, importances, plots.

        ``p.explore("AA", where="kind = 'trial'").contour()``; in a notebook the whole is a report. runs: ids, or rows
        of ``p.runs``, instead. metric: default what is optimised. Raises UnknownName and MlopsError as ``runs`` does.
        """
        from mlops_assets.tracking.exploring.exploration import explored

        metric = metric or self.metric
        direction_of(metric, self.project.pipeline.metrics)
        if asked.get("sort") is not None or asked.get("limit") is not None:
            raise MlopsError("sort and limit are for rows; narrow what is explored with where, kind and status")
        if runs is not None:
            asked["where"] = _among(runs, asked.get("where"))
        query = self.run_query(subprojects, **asked)
        keys = query.subprojects if query.subprojects is not None else self.tracker.subprojects()
        space = self._configuration(keys[0]).search_space if len(keys) == 1 and self._is_known(keys[0]) else None
        return explored(self.tracker, query, metric, self.project.pipeline.metrics, space)

    def space(self, subproject: str, metric: str | None = None) -> "SampledSpace":
        """The search space of a subproject, and how much of it was sampled, over all code versions.

        Raises UnknownName for a subproject that is neither registered nor declared.
        """
        from mlops_assets.tracking.evaluations import evaluations
        from mlops_assets.tracking.space import Searched, sampled_space

        query = self.run_query(subproject)
        configuration = self._configuration(subproject)
        metric = metric or (configuration.hpo.metric if configuration.hpo else self.metric)
        direction = "maximize" if direction_of(metric, self.project.pipeline.metrics) == "max" else "minimize"
        searched = Searched(
            self.project.name, subproject, configuration.search_space, configuration.params, metric, direction
        )
        try:
            found = evaluations(self.tracker, metric, query)
        except UnknownName:
            found = []  # declared, and no run has it yet
        return sampled_space(searched, found)

    def hpo_report(self, subproject: str, hpo_run_id: str | None = None) -> "HPOReport":
        """An HPO run that ended, default the last one: what was asked, the best trials, plots; ``page()`` is HTML."""
        from mlops_assets.tracking.exploring.hpo_report import hpo_report

        self.run_query(subproject)
        return hpo_report(self.tracker, subproject, hpo_run_id)

    def export_journal(self, subprojects: str | Sequence[str], file: str | Path) -> "list[Exported]":
        """Write these subprojects' runs as an Optuna journal, for ``optuna-dashboard FILE``; return its studies."""
        from mlops_assets.tracking.exploring.export import export_journal

        keys = [subprojects] if isinstance(subprojects, str) else list(subprojects)
        return export_journal(self.tracker, {key: self._configuration(key) for key in keys}, Path(file))

    def _is_known(self, subproject: str) -> bool:
        return subproject in self.project.keys or subproject in self.subprojects

    def _configuration(self, subproject: str) -> SubprojectConfiguration:
        """What is registered; before the first ``apply``, what is declared."""
        if subproject in self.subprojects:
            return self.registry.configurations([subproject])[subproject]
        return resolve(self.project, subproject)


def _among(runs: "pd.DataFrame | Sequence[str]", where: str | None) -> str:
    """A condition that only these runs fulfil."""
    # mypy cannot tell a frame from a sequence by its columns, and pandas is not imported for that.
    listed = runs["run_id"] if hasattr(runs, "columns") else runs  # type: ignore[call-overload]
    ids = [str(run) for run in listed]
    if not ids:
        raise MlopsError("there are no runs to explore: none were given")
    quoted = ", ".join("'" + run.replace("'", "''") + "'" for run in ids)
    return f"run_id in ({quoted})" + (f" and ({where})" if where else "")
