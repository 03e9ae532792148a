"""One run: a pipeline, its configuration, parameters, a seed and rows in; a model, results and metrics out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.contract import (
    check_estimator,
    check_metrics,
    check_predictions,
    check_split,
    result_columns,
)
from mlops_assets.learning.data import check_rows
from mlops_assets.learning.determinism import limited_threads, seeded
from mlops_assets.learning.digests import in_key_order, key_order, results_digests
from mlops_assets.learning.results import joined
from mlops_assets.learning.user_code import user_code
from partitions.errors import DeclarationError, PipelineError
from partitions.pipeline import Pipeline, Split

if TYPE_CHECKING:
    import pandas as pd

_BASELINE_ADVICE = "override baseline: return an estimator that predict can use, or None for no baseline"


@dataclass(frozen=True, eq=False)
class RunInput:
    """All that decides a run's predictions, and the number of threads it may use.

    data: the rows of one dataset version, in any order. Their index is not used.
    folds, fold: both or neither. With them the run is fold ``fold`` (from 0) of ``folds`` of the train rows, and the
        test rows of the split are never touched.
    """

    pipeline: Pipeline[Any, Any]
    config: Any
    params: Any
    seed: int
    data: "pd.DataFrame"
    folds: int | None = None
    fold: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise DeclarationError("run: seed", f"{self.seed} is not a whole number from 0 to {2**32 - 1}")
        if (self.folds is None) != (self.fold is None):
            raise DeclarationError("run: fold", f"folds={self.folds} and fold={self.fold}; give both, or neither")
        if self.folds is not None and self.fold is not None and not (self.folds >= 2 and 0 <= self.fold < self.folds):
            raise DeclarationError(
                "run: fold", f"{self.fold} of {self.folds}; folds is at least 2, fold from 0 to folds - 1"
            )


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run leaves.

    results: a row per row of the split, in key order, with columns key, split ("train" or "test"), fold (Int64, missing
        without folds), truth, prediction and probability_<class> where the pipeline gives them.
    metrics, train_metrics: of the test and of the train rows. baseline: of the baseline on the test rows; empty
        where the pipeline has none.
    timings: seconds by step (split, build, fit, predict, evaluate, baseline, total). rows: count by "train" and "test".
    """

    model: Any
    results: "pd.DataFrame"
    metrics: dict[str, float]
    train_metrics: dict[str, float]
    baseline: dict[str, float]
    timings: dict[str, float]
    predictions_digest: str
    split_digest: str
    rows: dict[str, int]


def execute_run(run: RunInput) -> RunResult:
    """Do one run. Reads and writes nothing outside ``run``; the same inputs give the same predictions, anywhere.

    DataError for rows that cannot be trained on; PipelineError, one line, where the pipeline's code raises or breaks
    the contract. ``run.data`` is left as it was; so are the global random generators and thread limits.
    """
    with seeded(run.seed), limited_threads(run.threads):
        return _Execution(run).result()


class _Execution:
    """One run under way: the input, the clock, and the names that messages open with."""

    def __init__(self, run: RunInput) -> None:
        self.run = run
        self.pipeline = run.pipeline
        self.schema = run.pipeline.schema
        self.name = type(run.pipeline).__name__
        self.timings: dict[str, float] = {}

    def result(self) -> RunResult:
        with self._timed("total"):
            data = in_key_order(check_rows(self.run.data, self.schema, self.name), self.schema.key)
            split = self._split(data)
            model = self._build()
            # Limited again: building the estimator may have loaded libraries with threads of their own.
            with limited_threads(self.run.threads):
                with self._timed("fit"):
                    self._fit(model, split.train, "build")
                predicted = {name: self._predict(model, rows, name) for name, rows in split._asdict().items()}
                metrics = {name: self._evaluate(rows, name) for name, rows in predicted.items()}
                baseline = self._baseline(split)
            results = self._results(predicted)
            digests = results_digests(results)
        return RunResult(
            model=model,
            results=results,
            metrics=metrics["test"],
            train_metrics=metrics["train"],
            baseline=baseline,
            timings=self.timings,
            predictions_digest=digests.predictions,
            split_digest=digests.split,
            rows={name: len(rows) for name, rows in split._asdict().items()},
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timings[step] = self.timings.get(step, 0.0) + time.perf_counter() - began

    def _split(self, data: "pd.DataFrame") -> Split:
        run, what = self.run, f"{self.name}.split"
        with self._timed("split"):
            # A shallow copy is safe to hand out: pandas copies on write.
            with user_code(what):
                parts = self.pipeline.split(data.copy(deep=False), run.params, run.seed)
            split = check_split(parts, data, self.schema, what)
            if run.folds is None or run.fold is None:
                return split
            what = f"{self.name}.folds"
            with user_code(what):
                given = self.pipeline.folds(split.train.copy(deep=False), run.params, run.seed, run.folds)
                folds = given if isinstance(given, Sequence) else list(given)
                chosen = folds[run.fold] if len(folds) == run.folds else None
            if chosen is None:
                raise PipelineError(f"{what} returned {len(folds)} folds; asked for {run.folds}")
            return check_split(chosen, split.train, self.schema, f"{what} (fold {run.fold} of {run.folds})")

    def _build(self) -> Any:
        what = f"{self.name}.build"
        with self._timed("build"):
            with user_code(what):
                built = self.pipeline.build(self.run.params, self.run.seed)
            return check_estimator(built, what)

    def _fit(self, model: Any, train: "pd.DataFrame", method: str) -> None:
        with user_code(f"{self.name}.{method}: fit of {type(model).__name__}"):
            model.fit(self.schema.features_of(train), train[self.schema.target])

    def _predict(self, model: Any, rows: "pd.DataFrame", part: str) -> "pd.DataFrame":
        with self._timed("predict"):
            return self._with_predictions(model, rows, f"{self.name}.predict on the {part} rows")

    def _with_predictions(self, model: Any, rows: "pd.DataFrame", what: str, advice: str = "") -> "pd.DataFrame":
        """The rows with their results: own columns, truth, prediction, probabilities."""
        # Without the target, as when serving: a predict that peeks fails here and not in production.
        given = rows.copy(deep=False)
        del given[self.schema.target]
        with user_code(what, advice):
            predictions = self.pipeline.predict(model, given.copy(deep=False))
        checked = check_predictions(predictions, given, self.schema, what)
        return rows.assign(truth=rows[self.schema.target], **{name: checked[name].array for name in checked.columns})

    def _evaluate(self, rows: "pd.DataFrame", part: str) -> dict[str, float]:
        what = f"{self.name}.evaluate on the {part} rows"
        with self._timed("evaluate"):
            with user_code(what):
                values = self.pipeline.evaluate(rows.copy(deep=False))
            return check_metrics(values, self.pipeline.metrics, what)

    def _baseline(self, split: Split) -> dict[str, float]:
        what = f"{self.name}.baseline"
        with self._timed("baseline"):
            with user_code(what):
                built = self.pipeline.baseline(self.run.params, self.run.seed)
            if built is None:
                return {}
            model = check_estimator(built, what)
            self._fit(model, split.train, "baseline")
            path = f"{self.name}.predict with the baseline {type(model).__name__}"
            rows = self._with_predictions(model, split.test, path, _BASELINE_ADVICE)
            what = f"{self.name}.evaluate of the baseline"
            with user_code(what, _BASELINE_ADVICE):
                values = self.pipeline.evaluate(rows)
            return check_metrics(values, self.pipeline.metrics, what)

    def _results(self, predicted: "dict[str, pd.DataFrame]") -> "pd.DataFrame":
        import numpy as np
        import pandas as pd

        parts = list(predicted.values())
        keys = pd.Series(joined([part[self.schema.key] for part in parts]))
        # In order before there is a frame: sorting one of several types takes as long as a prediction.
        order = key_order(keys)
        fold = np.full(len(keys), self.run.fold or 0, dtype="int64")
        of_part = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        outcome = ("truth", *result_columns(parts[0], self.schema))
        return pd.DataFrame(
            {
                "key": keys.array[order],
                "split": pd.Series(list(predicted), dtype="str").array[of_part[order]],
                "fold": pd.arrays.IntegerArray(fold, np.full(len(keys), self.run.fold is None)),
                **{name: joined([part[name] for part in parts])[order] for name in outcome},
            }
        )
