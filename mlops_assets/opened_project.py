"""A project in use: what notebooks, scripts and the command line do with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.configuration import plan, register
from mlops_assets.assets.following import OnArrival
from mlops_assets.assets.launch import Ports, Request, prepare, remember_code
from mlops_assets.assets.lifecycle import STEPS
from mlops_assets.assets.way import Arrived
from mlops_assets.automation.jobs import experiment_job, op_name, train_job
from mlops_assets.checks import ExpectationChecks
from mlops_assets.tracking.compare.compared_runs import Sources
from mlops_assets.tracking.failures import Unfinished, unfinished
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.tracker import Tracker
from partitions.catalogue import Changes, SubprojectConfiguration, catalogue
from partitions.errors import ArtifactError, MlopsError
from partitions.parameters import bind_params, params_type
from partitions.project import Project
from partitions.run_configuration import RunConfiguration
from resources.artifacts import ArtifactStore
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.home import Home
from resources.parquet import decode
from resources.workspace import find_project

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.tracking.compare.comparison import Comparison
    from resources.models import LoadedModel

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
        self.tracker = Tracker(self.event_log, project.name)
        self.artifacts = ArtifactStore(home.artifacts_url)
        self.mlops = MlopsResource(home=str(home.path))

    def __repr__(self) -> str:
        return f"<project {self.project.name}: {len(self.subprojects)} subprojects, home {self.home.path}>"

    @property
    def subprojects(self) -> list[str]:
        """The registered subprojects."""
        return self.registry.keys()

    def declared(self) -> dict[str, SubprojectConfiguration]:
        """What project.py says now, resolved for every subproject."""
        return catalogue(self.project)

    def plan(self) -> Changes:
        """What ``apply`` would register, change and retire."""
        return plan(self.registry, self.declared())

    def apply(self, *, allow_retire: bool = False) -> Changes:
        """Register what is declared; return what that changed."""
        return register(self.registry, self.declared(), allow_retire=allow_retire)

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

    def runs(self, subprojects: str | Sequence[str] | None = None, *, kind: str | None = None) -> "pd.DataFrame":
        """Tracked runs as rows, newest first: run_id, subproject, kind, status ..., params.*, metrics.*, tags.*."""
        import pandas as pd

        keys = [subprojects] if isinstance(subprojects, str) else subprojects
        records = [r for r in self.tracker.records(keys) if kind is None or r.kind == kind]
        return pd.DataFrame([record.row() for record in reversed(records)])

    def record(self, run_id: str) -> RunRecord:
        """One run, complete. Takes any beginning or end of its id that no other run shares."""
        return self.tracker.find(run_id)

    def configuration_file(self, run_id: str) -> str:
        """The run configuration file of a run: give it to ``mlops run -c`` to run the same again."""
        return self._artifact(run_id, "configuration").decode()

    def results(self, run_id: str) -> "pd.DataFrame":
        """The results of a run by row key: key, split, fold, truth, prediction (and probabilities)."""
        return decode(self._artifact(run_id, "results"))

    def compare(self, *runs: str, across_subprojects: bool = False) -> "Comparison":
        """What differs between runs and which is better, down to the row; the first run named is the base.

        Raises NotComparable for runs of several subprojects, unless asked for: their results are of other rows.
        """
        from mlops_assets.tracking.compare.comparison import compare

        records = [self.tracker.find(run) for run in runs]
        return compare(records, Sources.of(self.home, self.project), across_subprojects=across_subprojects)

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
        self.apply()

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
