"""A project in use: what notebooks, scripts and the command line do with it."""

import getpass
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import dagster as dg

from mlops_assets.assets.configuration import OnProgress, Terms, plan, register, still_good
from mlops_assets.assets.following import OnArrival
from mlops_assets.assets.launch import Ports, Request, prepare, remember_code
from mlops_assets.assets.lifecycle import STEPS
from mlops_assets.assets.way import Arrived
from mlops_assets.automation.jobs import experiment_job, op_name, train_job
from mlops_assets.checks import ExpectationChecks
from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.data_versions import DataVersion, data_versions
from mlops_assets.tracking.failures import Unfinished, unfinished
from mlops_assets.tracking.groups import Group, direction_of, group_query, grouped
from mlops_assets.tracking.overview import Overview
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.registry import Registration, Registry
from mlops_assets.tracking.run_query import RunFields, RunQuery
from mlops_assets.tracking.tracker import Tracker, index_folder
from partitions.catalogue import SubprojectConfiguration, catalogue
from partitions.changes import Plan
from partitions.errors import ArtifactError, DataError, MlopsError, UnknownName, nearest
from partitions.parameters import bind_params, params_type
from partitions.project import Project
from partitions.run_configuration import RunConfiguration
from resources.artifacts import ArtifactStore
from resources.configured import MlopsResource
from resources.datasets import DatasetStore
from resources.event_log import EventLog
from resources.home import Home
from resources.parquet import decode
from resources.workspace import find_project

if TYPE_CHECKING:
    import pandas as pd

    from resources.models import LoadedModel

# Seconds. Registering 10,000 subprojects takes a few.
FIRST_RUN_PATIENCE = 120.0
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunsFailed(MlopsError):
    """Some subprojects failed. ``failed``: error by subproject; ``records``: all runs, the failed ones among them."""

    def __init__(self, failed: dict[str, str], records: list[RunRecord], dagster_run_id: str) -> None:
        self.failed = failed
        self.records = records
        self.dagster_run_id = dagster_run_id
        first = next(iter(failed.values()))
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        super().__init__(f"{first}{more}")


def open_project(name: str | None = None, home: str | Path | None = None) -> "OpenedProject":
    """Open a project by its name in workspace.yaml or by the module that holds ``project``; default the only one.

    ``home``: the folder with everything it writes; default MLOPS_HOME, or .mlops in the working folder.
    """
    opened = OpenedProject(find_project(name), Home(Path(home)) if home is not None else Home.default())
    remember_code(opened.home, opened.project)
    return opened


class OpenedProject:
    """One project, with its registered subprojects, its runs and the ways to make new ones."""

    def __init__(self, project: Project, home: Home) -> None:
        self.project = project
        self.home = home
        self.event_log = EventLog.open(home)
        self.registry = Registry(self.event_log, project.name)
        self.tracker = Tracker(self.event_log, project.name, index_folder(home, project.name))
        self.artifacts = ArtifactStore(home.artifacts_url)
        self.mlops = MlopsResource(home=str(home.path))

    def __repr__(self) -> str:
        return f"<project {self.project.name}: {len(self.subprojects)} subprojects, home {self.home.path}>"

    @property
    def subprojects(self) -> list[str]:
        """The registered subprojects."""
        return self.registry.keys()

    def declared(self) -> dict[str, SubprojectConfiguration]:
        """What project.py says, resolved for every subproject."""
        return dict(self._declared)

    @cached_property
    def _declared(self) -> dict[str, SubprojectConfiguration]:
        return catalogue(self.project)

    def configurations(self, subprojects: str | Sequence[str] | None = None) -> dict[str, SubprojectConfiguration]:
        """The registered configuration of every subproject (or of those named): what every run goes by."""
        return self.registry.configurations([subprojects] if isinstance(subprojects, str) else subprojects)

    def history(self, subproject: str) -> list[Registration]:
        """Every change of a subproject's configuration, oldest first: when, by whom, why, what, and the whole of it."""
        return self.registry.history(subproject)

    def plan(self) -> Plan:
        """What ``apply`` would register, change, bring back and retire."""
        return plan(self.registry, self.declared())

    def apply(
        self,
        agreed: Plan | None = None,
        *,
        allow_retire: bool = False,
        why: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Plan:
        """Register what is declared; return what that changed.

        ``agreed``: a plan that was made before, and that is refused where it does not hold any more. Raises, having
        changed nothing, where subprojects would be retired without ``allow_retire``, and where someone else is
        registering at this moment.
        """
        agreed = self.still_good(agreed) if agreed is not None else None
        terms = Terms(retire="retire" if allow_retire else "refuse", why=why)
        return register(self.registry, self.declared(), terms, agreed, on_progress)

    def still_good(self, agreed: Plan) -> Plan:
        """The same plan made again. Raises Outdated, naming what is different, where it would be another one."""
        return still_good(self.registry, self.declared(), agreed)

    def run(
        self,
        subprojects: str | Sequence[str],
        *,
        configuration: RunConfiguration | None = None,
        code_version: str | None = None,
        on_arrival: OnArrival | None = None,
        **fields: Any,
    ) -> list[RunRecord]:
        """Dev runs, tracked under ``experiments``: ``p.run("AA", params={"max_depth": 4}, seed=7, folds=5)``.

        Runs on the latest snapshot of each subproject (or ``data_version=``), taking one where there is none. Returns
        the records, several for ``folds``. Raises RunsFailed if some run failed; the others are done and tracked.
        """
        keys = [subprojects] if isinstance(subprojects, str) else list(subprojects)
        asked = (configuration or RunConfiguration()).model_dump(mode="json")
        asked.update(RunConfiguration(**fields).model_dump(mode="json", exclude_unset=True))
        request = Request(RunConfiguration(**asked), ingest="missing", revision=code_version)
        self._register_first(keys, request.configuration.params if code_version is None else {})
        prepare(self._ports(), self.project, keys, request)
        config = {**asked, "code_version": code_version, "subprojects": keys}
        return self._execute("experiment", config, on_arrival)

    def train(
        self,
        subprojects: Sequence[str] | None = None,
        *,
        steps: Sequence[str] = STEPS,
        on_arrival: OnArrival | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> list[RunRecord]:
        """The lifecycle of these subprojects (default all): a new snapshot, its checks, a model, its metrics."""
        self._register_first(list(subprojects or ()))
        keys = list(subprojects) if subprojects is not None else self.subprojects
        config = {**(fields or {}), "subprojects": keys, "steps": list(steps)}
        return self._execute("train", config, on_arrival)

    def finish(self, dagster_run_id: str, *, on_arrival: OnArrival | None = None) -> list[RunRecord]:
        """Run again just those subprojects that a Dagster run did not finish, as it was asked to."""
        left = self.unfinished(dagster_run_id)
        if not left.keys:
            return []
        if not left.steps:
            return self._execute("experiment", {**left.fields, "subprojects": left.keys}, on_arrival)
        return self.train(left.keys, steps=left.steps, on_arrival=on_arrival, fields=left.fields)

    def unfinished(self, dagster_run_id: str) -> Unfinished:
        """Which subprojects a Dagster run did not finish, and what it was asked to do."""
        return unfinished(self.event_log, self.project.name, dagster_run_id)

    def status(self, subprojects: str | Sequence[str] = (), *, tags: Mapping[str, str] | None = None) -> "pd.DataFrame":
        """A row per subproject (keys or globs; default all): state, data, last run, ``tags.*`` and ``metrics.*``."""
        import pandas as pd

        patterns = [subprojects] if isinstance(subprojects, str) else list(subprojects)
        return pd.DataFrame([status.flat_row() for status in self.overview().statuses(patterns, tags)])

    def overview(self) -> Overview:
        """Declared against registered, with data and last runs: what ``status`` and ``mlops status`` show."""
        return Overview(self.registry, self.tracker, self.declared())

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

    def _ports(self) -> Ports:
        return Ports(self.home, self.event_log, self.mlops.compute())

    def _register_first(self, keys: Sequence[str], params: Mapping[str, Any] | None = None) -> None:
        """A project that was never applied is registered as it is declared; later changes wait for ``apply``.

        Not on behalf of a request that will be refused: its subprojects and parameters are looked at before.
        """
        if self.subprojects:
            return
        for key in keys:
            self.project.subproject(key)
            bind_params(params_type(self.project.pipeline), params or {}, f"{self.project.name}/{key}")
        # Of several first runs at once, one registers and the others wait for it.
        terms = Terms(retire="leave", why="first run of the project", patience=FIRST_RUN_PATIENCE)
        register(self.registry, self.declared(), terms)

    def _execute(self, job: str, config: Mapping[str, Any], on_arrival: OnArrival | None) -> list[RunRecord]:
        records: list[RunRecord] = []
        failed: dict[str, str] = {}

        def arrive(arrived: Arrived) -> None:
            records.extend(arrived.records)
            if arrived.error is not None:
                failed[arrived.subproject] = arrived.error.message
            if on_arrival is not None:
                on_arrival(arrived)

        make = {"experiment": experiment_job, "train": train_job}[job]
        definition = make(self.project, ExpectationChecks(self.project.name), self.mlops, arrive)
        set_fields = {name: value for name, value in config.items() if value is not None}
        run_config = {"ops": {op_name(job): {"config": set_fields}}, **QUIET}
        dagster_run_id = _new_dagster_run_id()
        try:
            definition.execute_in_process(
                run_config=run_config, instance=self.event_log.instance, run_id=dagster_run_id
            )
        except dg.Failure:
            if not failed:
                raise
            raise RunsFailed(failed, records, dagster_run_id) from None
        return records


def _new_dagster_run_id() -> str:
    import uuid

    return str(uuid.uuid4())
