"""Reading what was run: rows, groups, single runs and their artifacts, and notes on them."""

import getpass
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from mlops_assets.opened.ports import Opened
from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.compare.compared_runs import Sources
from mlops_assets.tracking.groups import Group, direction_of, group_query, grouped
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.run_query import RunFields, RunQuery
from mlops_assets.tracking.state import RunState
from partitions.errors import ArtifactError, UnknownName, nearest
from resources.parquet import decode

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.tracking.compare.comparison import Comparison
    from resources.models import LoadedModel


class Reading(Opened):
    """Tracked runs."""

    def runs(self, subprojects: str | Sequence[str] | None = None, **asked: Unpack[RunFields]) -> "pd.DataFrame":
        """Tracked runs as typed rows, newest first: run_id, subproject, kind, status ..., params.*, metrics.*, tags.*.

        ``p.runs("AA", where="metrics.rmse < 12 and params.max_depth >= 4", sort="metrics.rmse", limit=20)``; also by
        ``kind`` and ``status``. ``sort="-metrics.r2"`` puts the largest first. The language of ``where`` is described
        in ``mlops_assets.tracking.where``. Raises UnknownName for a subproject or column that there is not.
        """
        return self.tracker.frame(self.run_query(subprojects, **asked))

    def groups(
        self, subprojects: str | Sequence[str] | None = None, *, metric: str | None = None, **asked: Unpack[RunFields]
    ) -> "pd.DataFrame":
        """Runs of one configuration together, over seeds and folds: is one better, or is that noise?

        A row per code version, data version and configuration of each subproject, the best first: number of runs,
        parameters that differ, means, the spread of ``metric`` (default: what is optimised), and the difference to the
        best one, paired over seeds and folds, with its 95 % interval: ``noise`` if that holds zero.
        """
        import pandas as pd

        metric = metric or self.metric
        return pd.DataFrame([group.row(metric) for group in self.run_groups(subprojects, metric=metric, **asked)])

    def run_groups(
        self, subprojects: str | Sequence[str] | None = None, *, metric: str, **asked: Unpack[RunFields]
    ) -> list[Group]:
        """As ``groups``, as values."""
        better = direction_of(metric, self.project.pipeline.metrics)
        return grouped(self.tracker.rows(group_query(self.run_query(subprojects, **asked))), metric, better)

    @property
    def metric(self) -> str:
        """The metric that runs are ranked by: what HPO optimises, else the first that the pipeline declares."""
        return self.project.hpo.metric if self.project.hpo else next(iter(self.project.pipeline.metrics))

    def run_query(self, subprojects: str | Sequence[str] | None = None, **asked: Unpack[RunFields]) -> RunQuery:
        """The runs to ask for. Raises UnknownName for a subproject that is neither declared nor registered nor tracked.

        One that was retired has its runs for ever.
        """
        keys = None if subprojects is None else (subprojects,) if isinstance(subprojects, str) else tuple(subprojects)
        strange = [key for key in keys or () if key not in self.project.keys]
        if strange:
            known = {*self.project.keys, *self.subprojects, *self.tracker.subprojects()}
            for key in strange:
                if key not in known:
                    raise UnknownName(f"project {self.project.name!r}: {nearest(key, known, noun='subproject')}")
        return RunQuery(keys, **asked)

    def note(self, run_id: str, text: str) -> RunRecord:
        """Note something about a run: an event, over the record and never in it. An empty text takes the note away."""
        return self.tracker.annotate(run_id, getpass.getuser(), Overlay(note=text))

    def tag(self, run_id: str, /, **tags: str | None) -> RunRecord:
        """Tag a run: ``p.tag(run, reviewed="yes")``; None takes a tag away."""
        return self.tracker.annotate(run_id, getpass.getuser(), Overlay(tags=tags))

    def record(self, run_id: str) -> RunRecord:
        """One run, complete. Takes any beginning or end of its id that no other run shares."""
        return self.tracker.find(run_id)

    def compare(self, *runs: str, across_subprojects: bool = False, step: bool | str = False) -> "Comparison":
        """What differs between runs and which is better, down to the row; the first run named is the base.

        ``step=True`` also finds the first step of the fitted pipelines at which each run parts from the base; the name
        of a step looks at the frames after that one.

        Raises NotComparable for runs of several subprojects, unless asked for: their results are of other rows.
        """
        from mlops_assets.tracking.compare.comparison import compare

        records = [self.tracker.find(run) for run in runs]
        found = compare(records, Sources.of(self.home, self.project), across_subprojects=across_subprojects)
        if step is False:
            return found
        base, *others = (self.state(record) for record in records)
        only = step if isinstance(step, str) else None
        parted = [base.compare_steps(other, step=only) for other in others]
        return replace(found, steps=dict(zip(found.compared.others, parted, strict=True)))

    def state(self, run: str | RunRecord) -> RunState:
        """The complete state of a run: configuration, data, model, results, predict, the frame after every step.

        Nothing is read until it is asked for; not even whether there is such a run, where the id is a complete one.
        """
        return RunState(run, self.tracker, self.home)

    def configuration_file(self, run_id: str) -> str:
        """The run configuration file of a run: give it to ``mlops run -c`` to run the same again."""
        return self._artifact(run_id, "configuration").decode()

    def results(self, run_id: str) -> "pd.DataFrame":
        """The results of a run by row key: key, split, fold, truth, prediction (and probabilities)."""
        return decode(self._artifact(run_id, "results"))

    def model(self, run_id: str) -> "LoadedModel":
        """The model of a run, loaded from its file, with the predict of the code that trained it."""
        from resources.models import load_model

        return load_model(self._artifact(run_id, "model"))

    def _artifact(self, run_id: str, name: str) -> bytes:
        record = self.tracker.find(run_id)
        if name not in record.artifacts:
            raise ArtifactError(f"run {record.run_id} ({record.status}) has no {name}")
        return self.artifacts.get(record.artifacts[name].uri)
