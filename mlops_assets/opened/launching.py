"""Making runs: dev runs, the lifecycle of many, and what an earlier launch has left."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from mlops_assets.assets.configuration import Terms, register
from mlops_assets.assets.following import OnArrival
from mlops_assets.assets.launch import Request, prepare
from mlops_assets.assets.lifecycle import STEPS
from mlops_assets.assets.way import Arrived
from mlops_assets.automation.jobs import experiment_job, op_name, train_job
from mlops_assets.checks import checks_of
from mlops_assets.opened.registration import Registering
from mlops_assets.tracking.failures import Unfinished, unfinished
from mlops_assets.tracking.record import RunRecord
from partitions.errors import MlopsError
from partitions.parameters import bind_params, params_type
from partitions.run_configuration import RunConfiguration

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


class Launching(Registering):
    """Runs and trains; registers a project that never was."""

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
        definition = make(self.project, checks_of(self.project), self.mlops, arrive)
        set_fields = {name: value for name, value in config.items() if value is not None}
        run_config = {"ops": {op_name(job): {"config": set_fields}}, **QUIET}
        dagster_run_id = new_dagster_run_id()
        try:
            with interrupted_as_usual():
                definition.execute_in_process(
                    run_config=run_config, instance=self.event_log.instance, run_id=dagster_run_id
                )
        except dg.Failure:
            if not failed:
                raise
            raise RunsFailed(failed, records, dagster_run_id) from None
        return records


@contextmanager
def interrupted_as_usual() -> Iterator[None]:
    """Ctrl-C is KeyboardInterrupt, as everywhere: while it executes, Dagster makes an error of its own of it."""
    try:
        yield
    except DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None


def new_dagster_run_id() -> str:
    """An id for a Dagster run that is executed in this process."""
    import uuid

    return str(uuid.uuid4())
