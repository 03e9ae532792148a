"""A model under judgement, with what several gates ask for computed once, and the code of the pipeline kept at arm's
length: whatever it raises is a reason why a gate could not look."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_assets.quality.judged import Champion, Judged
from mlops_assets.quality.plain import one_line
from partitions.errors import CouldNotLook, MlopsError
from partitions.metrics import PROBABILITY
from partitions.pipeline import Better
from partitions.row_metrics import RowMetric, row_metric

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Finding:
    """What looking by one gate found; ``passed`` None is "could not look". The rest as in GateVerdict."""

    passed: bool | None
    reason: str
    value: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Contest:
    """The model and the champion on the same rows, none of which the champion was trained on.

    challenger, champion: these rows as ``evaluate`` gets them, each with its own predictions. trained_on: how many test
    rows are left out because the champion was trained on them.
    """

    challenger: "pd.DataFrame"
    champion: "pd.DataFrame"
    trained_on: int


@dataclass(eq=False)
class Case:
    """``judged``, and what was found out about it so far."""

    judged: Judged
    _retrained: dict[int, dict[str, float]] = field(default_factory=dict)
    _row_metrics: dict[str, RowMetric | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What messages call the pipeline."""
        return type(self.judged.pipeline).__name__

    def value_of(self, metric: str) -> float:
        """The metric of the test rows."""
        return self._in(self.judged.metrics, metric, "evaluate")

    def better(self, metric: str) -> Better:
        """Which way is better, at the code version that made the model."""
        if metric not in self.judged.pipeline.metrics:
            raise CouldNotLook(f"{self.name} of this code version declares no metric {metric!r}")
        return self.judged.pipeline.metrics[metric]

    def evaluate(self, rows: "pd.DataFrame") -> dict[str, float]:
        """The pipeline's metrics of some rows with results."""
        what = f"{self.name}.evaluate"
        values = asked(what, lambda: self.judged.pipeline.evaluate(rows.copy(deep=False)))
        if not isinstance(values, Mapping):
            raise CouldNotLook(f"{what} returned a {type(values).__name__}, no dict of metrics")
        return {str(name): float(value) for name, value in values.items()}

    def metric_of(self, metric: str, rows: "pd.DataFrame") -> float:
        """One metric of some rows; could not look where it is not there or no finite number."""
        value = self._in(self.evaluate(rows), metric, "evaluate")
        if not math.isfinite(value):
            raise CouldNotLook(f"{self.name}.evaluate returned {metric} = {value} for {len(rows)} rows")
        return value

    def row_metric(self, metric: str) -> RowMetric | None:
        """The metric of the test rows by rows, if that is what this pipeline means by its name."""
        if metric not in self._row_metrics:
            found = row_metric(metric, self.judged.rows, self.judged.pipeline.schema.task)
            means_it = found is not None and same(found.value, self.value_of(metric))
            self._row_metrics[metric] = found if means_it else None
        return self._row_metrics[metric]

    def retrained(self, seed: int) -> dict[str, float]:
        """The metrics of the same with another seed."""
        retrain = self.judged.retrain
        if retrain is None:
            raise CouldNotLook("the data or the code to train with other seeds is not at hand here")
        if seed not in self._retrained:
            self._retrained[seed] = asked(f"training with seed {seed}", lambda: retrain(seed))
        return self._retrained[seed]

    @cached_property
    def given(self) -> "pd.DataFrame":
        """The test rows as they are when serving: no target and no results."""
        schema = self.judged.pipeline.schema
        return self.judged.rows.drop(columns=["truth", schema.target, *self._own_results], errors="ignore")

    @cached_property
    def _own_results(self) -> list[str]:
        return result_columns(self.judged.rows, self.judged.pipeline.schema.task)

    def contest(self, champion: Champion, fewest: int) -> Contest:
        """Both on the rows new to the champion; could not look where there are fewer than ``fewest`` of them."""
        fresh = self._fresh
        if len(fresh) < fewest:
            known = len(self.judged.rows) - len(fresh)
            raise CouldNotLook(
                f"{len(fresh)} of {len(self.judged.rows)} test rows are new to the champion, at least {fewest} are "
                f"needed (it was trained on the other {known})"
            )
        return self._contest

    @cached_property
    def _fresh(self) -> list[int]:
        champion = self.judged.champion
        trained = champion.trained_keys if champion is not None else frozenset()
        keys = self.judged.rows[self.judged.pipeline.schema.key].tolist()
        return [position for position, key in enumerate(keys) if key not in trained]

    @cached_property
    def _contest(self) -> Contest:
        champion = self.judged.champion
        assert champion is not None
        fresh, total = self._fresh, len(self.judged.rows)
        rows = self.judged.rows if len(fresh) == total else self.judged.rows.iloc[fresh]
        given = self.given if len(fresh) == total else self.given.iloc[fresh]
        what = f"predict of the champion (run {champion.run_id})"
        predicted = asked(what, lambda: champion.predict(given.copy(deep=False)))
        task = self.judged.pipeline.schema.task
        theirs = _checked(predicted, given, what)
        made = result_columns(theirs, task)
        # Of the model's own results none may stay; what both have is replaced where it stands, which costs less.
        left = [name for name in self._own_results if name not in made]
        champions = rows.drop(columns=left) if left else rows
        champions = champions.assign(**{name: theirs[name].array for name in made})
        return Contest(rows, champions, total - len(fresh))

    def _in(self, values: Mapping[str, float], metric: str, what: str) -> float:
        if metric not in values:
            raise CouldNotLook(f"{self.name}.{what} of this code version returns no {metric!r} ({', '.join(values)})")
        return values[metric]


def asked(what: str, ask: Callable[[], T]) -> T:
    """What ``ask`` returns; anything raised inside is a CouldNotLook that opens with ``what``."""
    try:
        return ask()
    except MlopsError as error:
        raise CouldNotLook(one_line(error, 400)) from error
    # sys.exit() in a pipeline must not end the process that judges many of them.
    except (Exception, SystemExit) as error:
        raise CouldNotLook(one_line(f"{what} raised {type(error).__name__}: {error}", 400)) from error


def same(one: float, other: float) -> bool:
    """Whether two ways to compute a number gave the same, but for the order of summing."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def result_columns(frame: "pd.DataFrame", task: str) -> list[str]:
    """The columns that predict makes; in regression, a name that begins like a probability's is a feature's."""
    likely = [str(name) for name in frame.columns if str(name).startswith(PROBABILITY)]
    return ["prediction", *(likely if task == "classification" else [])]


def _checked(predicted: Any, given: "pd.DataFrame", what: str) -> "pd.DataFrame":
    import pandas as pd

    if not isinstance(predicted, pd.DataFrame) or "prediction" not in predicted.columns:
        raise CouldNotLook(f"{what} returned no frame with a column 'prediction'")
    if len(predicted) != len(given) or not predicted.index.equals(given.index):
        raise CouldNotLook(f"{what} returned other rows than it was given")
    missing = int(predicted["prediction"].isna().sum())
    if missing:
        raise CouldNotLook(f"{what} returned no prediction for {missing} of {len(given)} rows")
    return predicted
