"""The run config of a Dagster run: the same fields as a run configuration file, and which data and code to take."""

from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.assets.launch import Request
from partitions.errors import MlopsError
from partitions.pipeline import Window
from partitions.run_configuration import RunConfiguration


class HPOFields(dg.Config):
    """What an HPO run is asked for; whatever is left out takes what is registered.

    hpo: fields of the HPO configuration, as in an HPO configuration file. trials, timeout (seconds): the budget.
    without: fields that are registered and are not to hold (folds, timeout ...): a run config of Dagster holds no null.
    hpo_seed: of the sampler, and of the first run of each trial. resume: go on with HPO runs that did not end.
    """

    hpo: dict[str, Any] = {}
    without: list[str] = []
    trials: int | None = None
    timeout: float | None = None
    hpo_seed: int | None = None
    resume: bool = False

    def asked(self) -> dict[str, Any]:
        """The fields of the HPO configuration that are asked for."""
        budget = {"trials": self.trials, "timeout": self.timeout}
        given = {**self.hpo, **{name: value for name, value in budget.items() if value is not None}}
        return {**dict.fromkeys(self.without), **given}


class RunFields(dg.Config):
    """A run configuration, as in a run configuration file; whatever is left out takes what is registered.

    since, until: which live data to ingest (ISO 8601). code_version: a commit, branch or tag to run instead.
    """

    data_version: str | None = None
    params: dict[str, Any] = {}
    folds: int | None = None
    fold: int | None = None
    seed: int | None = None
    since: str | None = None
    until: str | None = None
    code_version: str | None = None

    def request(self) -> Request:
        """The request, validated. Raises MlopsError where a field cannot be read."""
        configuration = RunConfiguration(
            data_version=self.data_version, params=dict(self.params), folds=self.folds, fold=self.fold, seed=self.seed
        )
        return Request(configuration=configuration, window=self._window(), revision=self.code_version)

    def _window(self) -> Window | None:
        if self.since is None and self.until is None:
            return None
        return Window(since=_time("since", self.since), until=_time("until", self.until))


class LifecycleFields(RunFields, HPOFields):
    """The run config of the lifecycle: of the runs, of HPO where ``trials`` is selected, and of a stage where one is.

    stage: the one that is decided about; default the first. why: for those who ask later.
    """

    stage: str | None = None
    why: str | None = None


class ListedHPOFields(HPOFields):
    """HPO of a list of subprojects. data_version: instead of the latest. code_version: a commit, branch or tag."""

    subprojects: list[str]
    data_version: str | None = None
    code_version: str | None = None


class ListedRunFields(RunFields):
    """The same for a list of subprojects: what is due need not lie side by side, as a partition range does."""

    subprojects: list[str]


def _time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MlopsError(f"{name}: {text!r} is no ISO 8601 time, such as 2013-06-01 or 2013-06-01T00:00:00Z") from None
