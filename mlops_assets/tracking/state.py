"""The complete state of a run: what went in, what was fitted, what came out. Each part is read when it is asked for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.determinism import limited_threads
from mlops_assets.learning.results import rows_with_results
from mlops_assets.learning.user_code import user_code
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.state_steps import StepDifference, difference_at, first_difference
from mlops_assets.tracking.stored_run import recorded_configuration
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import ArtifactError, DataError, UnknownName
from partitions.pipeline import Pipeline
from partitions.run_configuration import RunConfiguration
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore, Snapshot
from resources.home import Home

if TYPE_CHECKING:
    import pandas as pd

    from resources.models import LoadedModel

# The length of a complete run id; one that is shorter is looked up at once, for it may fit several runs or none.
COMPLETE = 36
GIVEN = "rows given"


class RunState:
    """One run, with everything of it. A part that is not there raises ArtifactError, which says why.

    Works for a run of any code version: what predicts is the code stored with its model.
    """

    def __init__(self, run: RunRecord | str, tracker: Tracker, home: Home) -> None:
        self._tracker = tracker
        self._home = home
        self._artifacts = ArtifactStore(home.artifacts_url)
        self._asked = run if isinstance(run, str) else run.run_id
        if isinstance(run, RunRecord):
            self.__dict__["record"] = run
        elif len(run) < COMPLETE:
            self.__dict__["record"] = tracker.find(run)

    @cached_property
    def record(self) -> RunRecord:
        """The run's record. Raises UnknownName if no such run is tracked."""
        return self._tracker.find(self._asked)

    @property
    def config(self) -> dict[str, Any]:
        """The subproject configuration it ran with."""
        return self.record.configuration

    @cached_property
    def configuration(self) -> RunConfiguration:
        """The run configuration with the seed; of a run that left no file, as it was recorded."""
        record = self.record
        if "configuration" in record.artifacts:
            return RunConfiguration.from_yaml(self._read("configuration").decode(), f"run {record.run_id}")
        return recorded_configuration(record)

    @property
    def configuration_file(self) -> str:
        """The run configuration file: give it to ``mlops run -c`` to run the same again."""
        return self.configuration.to_yaml()

    @property
    def metrics(self) -> dict[str, float]:
        """Of the test rows. Those of the train rows and of the baseline are in ``record``."""
        return self._there("metrics", self.record.metrics)

    @cached_property
    def results(self) -> "pd.DataFrame":
        """A row per row of the split, in key order: key, split, fold, truth, prediction (and probabilities)."""
        from resources.parquet import decode

        return decode(self._read("results"))

    @cached_property
    def snapshot(self) -> Snapshot:
        """What is known of the dataset without reading it."""
        record = self.record
        if record.data_version is None:
            raise ArtifactError(self._why_not("dataset"))
        return self._datasets.find(record.where, record.data_version)

    @cached_property
    def dataset(self) -> "pd.DataFrame":
        """The snapshot it ran on, checked against its data version; private columns as they are stored."""
        return self._datasets.read(self.record.where, self.snapshot.data_version)

    @cached_property
    def train(self) -> "pd.DataFrame":
        """The train rows with their results: what ``evaluate`` was given."""
        return self._part("train")

    @cached_property
    def test(self) -> "pd.DataFrame":
        """The test rows with their results: what ``evaluate`` was given."""
        return self._part("test")

    @cached_property
    def profile(self) -> "pd.DataFrame":
        """The dataset described column by column. Nothing is told of the values of private columns."""
        from mlops_assets.learning.profile import profile

        return profile(self.dataset, unlisted=self.snapshot.private)

    @cached_property
    def loaded(self) -> "LoadedModel":
        """Model and pipeline as they were when the run was made, and what the model file says of itself."""
        from resources.models import load_model

        return load_model(self._read("model"))

    @property
    def model(self) -> Any:
        """The fitted estimator that ``Pipeline.build`` returned."""
        return self.loaded.model

    @property
    def pipeline(self) -> Pipeline[Any, Any]:
        """The pipeline of the code that ran, not of the code at hand."""
        return self.loaded.pipeline

    def predict(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The predictions of this run's model by the code of this run, with the index of ``rows``.

        Rows may have a target and results; neither is shown to the model. Private columns are treated as in the
        dataset, where they are not already.
        """
        given = self._features(rows)
        with self._as_it_ran(f"{type(self.pipeline).__name__}.predict"):
            return self.loaded.predict(given)

    def steps(self, rows: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
        """The frame after every step of the fitted pipeline, by the step's name; the last one holds the predictions.

        A model that is no scikit-learn Pipeline is one step. ``rows`` as for ``predict``.
        """
        walked = self._walked(rows)
        return {name: frame for name, frame in walked.items() if name != GIVEN}

    def compare_steps(
        self,
        other: "RunState",
        rows: "pd.DataFrame | None" = None,
        tolerance: float = 0.0,
        step: str | None = None,
    ) -> StepDifference | None:
        """The first step after which the two runs have different frames; None where they predict the same.

        ``step``: look at the frames after this one only. Raises UnknownName where a run has no such step.

        Both are given ``rows``; without them, each its own dataset's version of the test rows of this run that the
        other one has too (or of all rows both have). What is handed to the model comes first, as ``rows given``.
        """
        ours, theirs = (rows, rows) if rows is not None else self._in_common(other)
        walked = self._walked(ours), other._walked(theirs)
        if step is None:
            return first_difference(*walked, tolerance)
        return difference_at(step, *walked, tolerance)

    def nominal(self) -> "RunState":
        """The run to compare this one with: same code version, same configuration, succeeded, trained last in dev.

        Raises UnknownName where there is none, and says how to make one.
        """
        record = self.record
        same = [other for other in self._tracker.records([record.subproject]) if _is_nominal(other, record)]
        if not same:
            raise UnknownName(
                f"run {record.run_id}: no other dev run of {record.where} has its code version and configuration; "
                f"`mlops show {record.run_id} --config > run.yaml; mlops run {record.subproject} -c run.yaml` makes one"
            )
        return RunState(same[-1], self._tracker, self._home)

    @property
    def missing(self) -> dict[str, str]:
        """Why the parts that this run does not have are not there; reads nothing but the record."""
        record = self.record
        absent = [name for name in ("results", "model") if name not in record.artifacts]
        absent += [name for name, value in (("dataset", record.data_version), ("metrics", record.metrics)) if not value]
        return {name: self._why_not(name) for name in absent}

    def __repr__(self) -> str:
        try:
            record = self.record
        except UnknownName as error:
            return f"<state of no run: {error}>"
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in record.metrics.items())
        without = f"; without {', '.join(self.missing)}" if self.missing else ""
        return f"<state of run {record.run_id}: {record.where}, {record.kind}, {record.status} {metrics}{without}>"

    def _repr_html_(self) -> str:
        record = self.record
        code = record.code_version
        facts = {
            "run": f"{record.run_id} ({record.kind}, {record.status})",
            "subproject": record.where,
            "code": f"{code.digest[:12]} ({(code.commit or 'not in git')[:12]}{', dirty' if code.dirty else ''})",
            "data": f"{(record.data_version or 'none')[:12]}",
            "seed": f"{record.seed}" + ("" if record.fold is None else f", fold {record.fold}"),
            "parameters": ", ".join(f"{name}={value}" for name, value in record.parameters.items()),
            **{name: f"{value:.6g}" for name, value in record.metrics.items()},
            **{f"no {name}": why for name, why in self.missing.items()},
        }
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
        return f"<table>{rows}</table>"

    @cached_property
    def _datasets(self) -> DatasetStore:
        return DatasetStore(self._artifacts, self._home.secret())

    def _read(self, name: str) -> bytes:
        record = self.record
        if name not in record.artifacts:
            raise ArtifactError(self._why_not(name))
        return self._artifacts.get(record.artifacts[name].uri)

    def _there(self, name: str, value: dict[str, float]) -> dict[str, float]:
        if not value:
            raise ArtifactError(self._why_not(name))
        return value

    def _why_not(self, name: str) -> str:
        record = self.record
        reason = f": {record.error.message}" if record.error is not None else ""
        return f"run {record.run_id} has no {name}: it {record.status}{reason}"

    def _part(self, split: str) -> "pd.DataFrame":
        return rows_with_results(self.dataset, self.snapshot.key, self.results, split)

    def _features(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The rows as they are when serving: no target, no results, private columns treated."""
        from resources.private import treat_once

        schema = self.pipeline.schema
        results = ["truth", "prediction", schema.target]
        if schema.task == "classification":
            results += [name for name in rows.columns if str(name).startswith("probability_")]
        return treat_once(rows.drop(columns=results, errors="ignore"), schema, self._home.secret())

    @contextmanager
    def _as_it_ran(self, what: str) -> Iterator[None]:
        """With as many threads as the run had: more may change the last bit. Errors of its code name the run."""
        with limited_threads(self.record.environment.threads), user_code(f"run {self.record.run_id}: {what}"):
            yield

    def _walked(self, rows: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
        from mlops_assets.learning.steps import walk

        given = self._features(rows)
        with self._as_it_ran(f"steps of {type(self.model).__name__}"):
            walked = walk(self.pipeline, self.model, given)
        return {GIVEN: walked.given, **walked.steps}

    def _in_common(self, other: "RunState") -> "tuple[pd.DataFrame, pd.DataFrame]":
        """The rows that both datasets have by key, as each has them."""
        # Without a name for the index, which may not be a column's too.
        mine, theirs = (s.dataset.set_index(s.snapshot.key, drop=False).rename_axis(None) for s in (self, other))
        results = self.results
        tested: Sequence[Any] = results.loc[results["split"] == "test", "key"].tolist()
        known = set(theirs.index.tolist())
        keys = [key for key in tested if key in known] or [key for key in mine.index.tolist() if key in known]
        if not keys:
            raise DataError(
                f"runs {self.record.run_id} and {other.record.run_id} have no row in common (keys "
                f"{self.snapshot.key!r} and {other.snapshot.key!r}); give the rows to compare: rows=..."
            )
        return mine.loc[keys], theirs.loc[keys]


def _is_nominal(other: RunRecord, of: RunRecord) -> bool:
    return (
        other.kind == "dev"
        and other.status == "succeeded"
        and other.run_id != of.run_id
        and other.code_version.digest == of.code_version.digest
        and (other.digests.subproject, other.digests.run) == (of.digests.subproject, of.digests.run)
    )
