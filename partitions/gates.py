"""Quality gates: what a model must pass to be deployed. Values only; ``mlops_assets.quality`` judges by them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from partitions.errors import DeclarationError
from partitions.values import Value

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Gate(Value):
    """What every gate has. A gate that is not ``required`` warns and does not stop a deployment."""

    required: bool = True

    @property
    def title(self) -> str:
        """One line for people: what must hold."""
        raise NotImplementedError


class _Bounds(_Gate):
    """A gate on a metric with a lower bound, an upper bound, or both; the bounds themselves pass."""

    positional: ClassVar[tuple[str, ...]] = ("metric",)

    metric: str
    min: Finite | None = None
    max: Finite | None = None

    @model_validator(mode="after")
    def _some_bound(self) -> "_Bounds":
        if self.min is None and self.max is None:
            raise DeclarationError("", "needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise DeclarationError("", f"bounds reversed: min {self.min:g} is above max {self.max:g}")
        return self

    @property
    def bounds(self) -> str:
        """``at least 0.2 and at most 0.9``."""
        texts = (("at least", self.min), ("at most", self.max))
        return " and ".join(f"{words} {bound:g}" for words, bound in texts if bound is not None)


class Threshold(_Bounds):
    """The metric of the test rows lies between ``min`` and ``max``."""

    type: Literal["threshold"] = "threshold"

    if TYPE_CHECKING:

        def __init__(
            self, metric: str, *, min: float | None = None, max: float | None = None, required: bool = True
        ) -> None: ...

    @property
    def title(self) -> str:
        return f"{self.metric} {self.bounds}"


class SliceFloor(_Bounds):
    """No group of rows with the same value of ``column`` is worse than the bounds; groups below ``min_rows`` are left
    out."""

    positional: ClassVar[tuple[str, ...]] = ("column", "metric")

    type: Literal["slice_floor"] = "slice_floor"
    column: str
    min_rows: int = Field(default=30, ge=1)

    if TYPE_CHECKING:

        def __init__(self, column: str, metric: str, **fields: Any) -> None: ...

    @property
    def title(self) -> str:
        return f"{self.metric} {self.bounds} for every {self.column} with {self.min_rows} rows or more"


class NotWorseThanChampion(_Gate):
    """The metric is not worse than that of the model deployed now, on the same fresh test rows, by more than
    ``tolerance`` (a share of the champion's: 0.02 is 2 %). With fewer than ``min_rows`` such rows it could not look."""

    positional: ClassVar[tuple[str, ...]] = ("metric",)

    type: Literal["not_worse_than_champion"] = "not_worse_than_champion"
    metric: str
    tolerance: NotNegative = 0.0
    min_rows: int = Field(default=100, ge=1)

    if TYPE_CHECKING:

        def __init__(
            self, metric: str, *, tolerance: float = 0.0, min_rows: int = 100, required: bool = True
        ) -> None: ...

    @property
    def title(self) -> str:
        return f"{self.metric} not worse than the champion's by more than {self.tolerance:.3g} of it"


class BetterThanBaseline(_Gate):
    """The metric is better than that of ``Pipeline.baseline`` by at least ``by`` (a share of the baseline's)."""

    positional: ClassVar[tuple[str, ...]] = ("metric",)

    type: Literal["better_than_baseline"] = "better_than_baseline"
    metric: str
    by: NotNegative = 0.0

    if TYPE_CHECKING:

        def __init__(self, metric: str, *, by: float = 0.0, required: bool = True) -> None: ...

    @property
    def title(self) -> str:
        return f"{self.metric} better than the baseline's" + (f" by {self.by:.3g} of it" if self.by else "")


class StableOverSeeds(_Gate):
    """Trained with ``seeds`` seeds, the largest and smallest metric differ by at most ``max_spread``, in its unit."""

    positional: ClassVar[tuple[str, ...]] = ("metric", "max_spread")

    type: Literal["stable_over_seeds"] = "stable_over_seeds"
    metric: str
    max_spread: Positive
    seeds: int = Field(default=3, ge=2)

    if TYPE_CHECKING:

        def __init__(self, metric: str, max_spread: float, *, seeds: int = 3, required: bool = True) -> None: ...

    @property
    def title(self) -> str:
        return f"{self.metric} spreads by at most {self.max_spread:g} over {self.seeds} seeds"


class PredictionSanity(_Gate):
    """Predictions of the test rows lie between ``low`` and ``high``, at most ``max_constant_share`` of them are one and
    the same value, and at most ``max_missing`` of them are missing."""

    type: Literal["prediction_sanity"] = "prediction_sanity"
    low: Finite | None = None
    high: Finite | None = None
    max_constant_share: Share = 0.9
    max_missing: Share = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> "PredictionSanity":
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise DeclarationError("", f"bounds reversed: low {self.low:g} is not below high {self.high:g}")
        return self

    @property
    def title(self) -> str:
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"predictions between {low} and {high}, at most {self.max_constant_share:.0%} of them equal"


class PredictLatency(_Gate):
    """Predicting ``rows`` rows takes at most ``max_ms`` milliseconds."""

    positional: ClassVar[tuple[str, ...]] = ("max_ms",)

    type: Literal["predict_latency"] = "predict_latency"
    max_ms: Positive
    rows: int = Field(default=1, ge=1)

    if TYPE_CHECKING:

        def __init__(self, max_ms: float, *, rows: int = 1, required: bool = True) -> None: ...

    @property
    def title(self) -> str:
        return f"predicts {self.rows} row{'s' if self.rows > 1 else ''} in at most {self.max_ms:g} ms"


class ModelSize(_Gate):
    """The model file has at most ``max_mb`` megabytes (10**6 bytes)."""

    positional: ClassVar[tuple[str, ...]] = ("max_mb",)

    type: Literal["model_size"] = "model_size"
    max_mb: Positive

    if TYPE_CHECKING:

        def __init__(self, max_mb: float, *, required: bool = True) -> None: ...

    @property
    def title(self) -> str:
        return f"model file of at most {self.max_mb:g} MB"


class Verdict(Value):
    """What a gate of one's own found, where yes or no (and a reason) is too little.

    passed: None where it could not look, which stops a deployment as a no does; ``reason`` then says why.
    value: the number it judged. evidence: whatever lets a person see why; numbers and texts.
    """

    positional: ClassVar[tuple[str, ...]] = ("passed",)

    passed: bool | None
    reason: str = ""
    value: Finite | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)

    if TYPE_CHECKING:

        def __init__(
            self,
            passed: bool | None,
            *,
            reason: str = "",
            value: float | None = None,
            evidence: Mapping[str, Any] = ...,
        ) -> None: ...

    @field_validator("passed", "value", mode="before")
    @classmethod
    def _of_numpy(cls, value: Any) -> Any:
        return value.item() if hasattr(value, "item") else value


class Check(_Gate):
    """A gate of one's own: a function from results to a verdict, or the name of such a method of the pipeline.

    It is given the test rows as ``Pipeline.evaluate`` is, and returns True or False, one of these with a reason, or a
    Verdict. Where it raises, the verdict is that it could not look. The function is kept as ``module:name``, so that it
    can be stored and found again.
    """

    positional: ClassVar[tuple[str, ...]] = ("function",)

    type: Literal["check"] = "check"
    function: str

    if TYPE_CHECKING:

        def __init__(self, function: Callable[..., Any] | str, *, required: bool = True) -> None: ...

    @field_validator("function", mode="before")
    @classmethod
    def _by_name(cls, function: Any) -> Any:
        if isinstance(function, str):
            module, colon, name = function.rpartition(":")
            parts = [*module.split("."), name] if colon else [name]
            if not all(part.isidentifier() for part in parts):
                raise DeclarationError("", f"expected 'module:function' or the name of a method, not {function!r}")
            return function
        name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
        if not callable(function) or not name:
            raise DeclarationError("", f"expected a function or its name, not {function!r}")
        if module == "__main__" or "<" in name:
            raise DeclarationError("", f"{name} cannot be found again by name: define it with def, in a module")
        if "." in name:
            raise DeclarationError(
                "", f"a method of the pipeline is given by its name: Check({name.rpartition('.')[2]!r})"
            )
        return f"{module}:{name}"

    @property
    def title(self) -> str:
        return self.function.rpartition(":")[2].replace("_", " ")


Gate = Annotated[
    Threshold
    | NotWorseThanChampion
    | BetterThanBaseline
    | StableOverSeeds
    | SliceFloor
    | PredictionSanity
    | PredictLatency
    | ModelSize
    | Check,
    Field(discriminator="type"),
]
