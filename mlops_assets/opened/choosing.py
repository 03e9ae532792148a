"""Choosing: which configuration of a subproject is considered best, and which ones were before."""

import getpass
from collections.abc import Sequence

from mlops_assets.opened.reading import Reading
from mlops_assets.tracking.best import BestConfiguration, BestConfigurations
from partitions.errors import MlopsError, UnknownName, nearest


class Choosing(Reading):
    """The best configurations."""

    @property
    def best_configurations(self) -> BestConfigurations:
        return BestConfigurations(self.event_log, self.project.name)

    def best(self, subproject: str) -> BestConfiguration | None:
        """What is considered best for a subproject; None while nothing was chosen: then what is declared is trained."""
        return self.best_configurations.current([self._known(subproject)]).get(subproject)

    def bests(self, subprojects: Sequence[str] | None = None) -> dict[str, BestConfiguration]:
        """What is considered best, of every subproject (or of those named) for which anything was chosen."""
        return self.best_configurations.current(subprojects)

    def set_best(self, subproject: str, run_id: str, *, why: str) -> BestConfiguration:
        """Consider the configuration of a run best from now on: ``model`` trains it until the next choice.

        Raises MlopsError for a run of another subproject, and for one that did not succeed.
        """
        record = self.tracker.find(run_id)
        if record.subproject != self._known(subproject):
            raise MlopsError(
                f"run {record.run_id} is of {record.where}, not of {self.project.name}/{subproject}: "
                "results of other subprojects say nothing about this one"
            )
        return self.best_configurations.choose(record, "person", getpass.getuser(), why)

    def best_history(self, subproject: str) -> list[BestConfiguration]:
        """Every configuration that was considered best, oldest first: since when, by whom or by which rule, and why."""
        return self.best_configurations.history(self._known(subproject))

    def _known(self, subproject: str) -> str:
        known = {*self.project.keys, *self.subprojects}
        if subproject not in known:
            raise UnknownName(f"project {self.project.name!r}: {nearest(subproject, known, noun='subproject')}")
        return subproject
