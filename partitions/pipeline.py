"""The pipeline contract: what a data scientist writes, with a default for everything that can have one.

The smallest useful pipeline has a schema, ``metrics``, ``ingest`` and ``build``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar, overload

from pydantic import ConfigDict, Field, model_validator

from partitions.schema import DataSchema
from partitions.values import Value

if TYPE_CHECKING:
    import pandas as pd

Better = Literal["min", "max", "zero"]


def as_utc(moment: datetime) -> datetime:
    """The moment with its zone; one without a zone is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


class Window(Value):
    """Which live data to read: ``since <= time < until``; a missing bound is open. Times without a zone are UTC."""

    since: datetime | None = None
    until: datetime | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Window":
        if self.since is not None and self.until is not None and as_utc(self.since) >= as_utc(self.until):
            raise ValueError(f"since {self.since} must lie before until {self.until}")
        return self


class SplitSettings(Value):
    """How the default ``Pipeline.split`` parts the rows. ``auto`` splits by time where the schema names a time."""

    method: Literal["auto", "random", "time"] = "auto"
    test_size: float = Field(default=0.25, gt=0.0, lt=1.0)


class Config(Value):
    """Base class for a subproject's configuration: the values that make it this subproject."""

    model_config = ConfigDict(validate_default=True)


class Parameters(Value):
    """Base class for a pipeline's parameters: everything that may be varied from run to run, each with a default."""

    # A default is read like a given value (2 for a float is 2.0), so that both have one digest.
    model_config = ConfigDict(validate_default=True)

    split: SplitSettings = SplitSettings()


class Split(NamedTuple):
    """Two disjoint, non-empty sets of rows: the estimator is fitted on ``train`` and judged on ``test``."""

    train: "pd.DataFrame"
    test: "pd.DataFrame"


class Folds(Sequence[Split]):
    """Folds by the places of their rows, each made when it is taken: a run needs only one of them."""

    def __init__(self, rows: "pd.DataFrame", places: Sequence[tuple[Any, Any]]) -> None:
        self._rows = rows
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Split: ...
    @overload
    def __getitem__(self, index: slice) -> "Folds": ...
    def __getitem__(self, index: int | slice) -> "Split | Folds":
        if isinstance(index, slice):
            return Folds(self._rows, self._places[index])
        train, test = self._places[index]
        return Split(self._rows.iloc[train], self._rows.iloc[test])


class Estimator(Protocol):
    """Anything with fit and predict, as scikit-learn, LightGBM and XGBoost have them; predict_proba is used too."""

    def fit(self, X: Any, y: Any) -> Any: ...

    def predict(self, X: Any) -> Any: ...


C = TypeVar("C")
P = TypeVar("P")


class Pipeline(ABC, Generic[C, P]):
    """One project's code. ``Pipeline[MyConfig, MyParams]`` names the types of subproject configuration and parameters.

    A pipeline holds no state of its own: the framework makes it anew wherever it is needed. ``metrics`` declares what
    ``evaluate`` returns, and for each which way is better.
    """

    schema: ClassVar[DataSchema]
    metrics: ClassVar[dict[str, Better]]

    @abstractmethod
    def ingest(self, config: C, window: Window | None) -> "pd.DataFrame":
        """Read live data for one subproject: a row per key, the target known. ``window`` None means all there is."""

    def expectations(self, config: C) -> list[Any]:
        """Great Expectations for the dataset: objects, or ``{"type": ..., "kwargs": {...}, "severity": ...}``."""
        return []

    def split(self, data: "pd.DataFrame", params: P, seed: int) -> Split:
        """Part the rows into train and test; by default as ``params.split`` says (see SplitSettings)."""
        settings = getattr(params, "split", None) or SplitSettings()
        rows = len(data)
        n_test = min(max(1, round(rows * settings.test_size)), rows - 1)
        if settings.method == "time" or (settings.method == "auto" and self.schema.time):
            if self.schema.time is None:
                raise ValueError("a split by time needs a time column in the schema")
            ordered = data.sort_values([self.schema.time, self.schema.key], kind="stable")
            return Split(ordered.iloc[: rows - n_test], ordered.iloc[rows - n_test :])
        import numpy as np

        order = np.random.default_rng(seed).permutation(rows)
        return Split(data.iloc[np.sort(order[n_test:])], data.iloc[np.sort(order[:n_test])])

    def folds(self, data: "pd.DataFrame", params: P, seed: int, n: int) -> Sequence[Split]:
        """``n`` folds of the train rows for cross-validation: growing windows where split is by time, else shuffled."""
        from sklearn.model_selection import KFold, TimeSeriesSplit

        settings = getattr(params, "split", None) or SplitSettings()
        if settings.method == "time" or (settings.method == "auto" and self.schema.time):
            ordered = data.sort_values([self.schema.time or self.schema.key, self.schema.key], kind="stable")
            parts = TimeSeriesSplit(n_splits=n).split(ordered)
        else:
            ordered = data
            parts = KFold(n_splits=n, shuffle=True, random_state=seed).split(ordered)
        return Folds(ordered, list(parts))

    @abstractmethod
    def build(self, params: P, seed: int) -> Estimator:
        """An unfitted estimator, features included; fitted on ``train[features], train[target]``."""

    def baseline(self, params: P, seed: int) -> Estimator | None:
        """What the model has to beat, fitted on the same rows; None for none. Default: the median, or class shares."""
        from sklearn.dummy import DummyClassifier, DummyRegressor

        if self.schema.task == "classification":
            return DummyClassifier(strategy="prior")  # type: ignore[no-any-return]
        return DummyRegressor(strategy="median")  # type: ignore[no-any-return]

    def predict(self, model: Any, rows: "pd.DataFrame") -> "pd.DataFrame":
        """THE inference path, at training, when serving and in monitoring.

        Returns a frame with the index of ``rows`` and a column ``prediction``; for classification with an estimator
        that has predict_proba also ``probability_<class>``.
        """
        import pandas as pd

        features = self.schema.features_of(rows)
        predictions = pd.DataFrame({"prediction": model.predict(features)}, index=rows.index)
        if self.schema.task == "classification" and hasattr(model, "predict_proba"):
            probabilities = model.predict_proba(features)
            for position, label in enumerate(model.classes_):
                predictions[f"probability_{label}"] = probabilities[:, position]
        return predictions

    def evaluate(self, results: "pd.DataFrame") -> dict[str, float]:
        """Metrics from rows with results: the rows' own columns plus ``truth``, ``prediction`` (and probabilities).

        Exactly the names in ``metrics``. The default knows, for regression: mae, rmse, r2, bias, median_ae; for
        classification: accuracy, balanced_accuracy, f1, log_loss, roc_auc, brier.
        """
        from partitions.metrics import default_metrics

        return default_metrics(results, list(self.metrics), self.schema.task)
