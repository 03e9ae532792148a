"""Overseeing: every subproject at a glance, and the data of one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.automation.stage_facts import StageFacts
from mlops_assets.opened.registration import Registering
from mlops_assets.tracking.data_versions import DataVersion, data_versions
from mlops_assets.tracking.overview import Overview
from partitions.errors import DataError, UnknownName, nearest
from resources.datasets import DatasetStore

if TYPE_CHECKING:
    import pandas as pd


class Overseeing(Registering):
    """Status and data versions."""

    def status(self, subprojects: str | Sequence[str] = (), *, tags: Mapping[str, str] | None = None) -> "pd.DataFrame":
        """A row per subproject (keys or globs; default all): state, data, last run, ``tags.*`` and ``metrics.*``."""
        import pandas as pd

        patterns = [subprojects] if isinstance(subprojects, str) else list(subprojects)
        return pd.DataFrame([status.flat_row() for status in self.overview().statuses(patterns, tags)])

    def overview(self) -> Overview:
        """Declared against registered, with data and last runs: what ``status`` and ``mlops status`` show."""
        facts = StageFacts(self.registry, self.tracker, self.ledger, datetime.now(UTC), self.declared())
        return Overview(self.registry, self.tracker, self.declared(), facts.of)

    def data(self, subproject: str) -> "pd.DataFrame":
        """The data versions of a subproject as rows, the one taken last first; their columns by name and type."""
        import pandas as pd

        return pd.DataFrame([version.row() for version in self.data_versions(subproject)])

    def data_versions(self, subproject: str) -> list[DataVersion]:
        """The data versions of a subproject, the one taken last first.

        Raises DataError where it has none, and UnknownName where nobody knows such a subproject.
        """
        found = data_versions(self.tracker, self.datasets, subproject)
        if not found:
            known = list(dict.fromkeys([*self.subprojects, *self.project.keys]))
            if subproject not in known:
                raise UnknownName(f"project {self.project.name!r}: {nearest(subproject, known, noun='subproject')}")
            raise DataError(
                f"{self.project.name}/{subproject} has no dataset yet: `mlops train {subproject}` takes one, "
                f"as does the first `mlops run {subproject}`"
            )
        return found

    def dataset(self, subproject: str, version: str | None = None) -> "pd.DataFrame":
        """The rows of a data version, or of the one that begins so; default the one taken last."""
        version = version if version is not None else self.data_versions(subproject)[0].data_version
        return self.datasets.read(f"{self.project.name}/{subproject}", version)

    @cached_property
    def datasets(self) -> DatasetStore:
        """The stored snapshots of every subproject."""
        return DatasetStore(self.artifacts, self.home.secret())
