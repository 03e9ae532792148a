"""A pipeline and a project for the tests of declarations; nothing here is ever fitted."""

from typing import Any

from partitions.gates import Check, Threshold
from partitions.hpo import HPO
from partitions.pipeline import Config, Parameters, Pipeline
from partitions.project import Project
from partitions.schema import DataSchema
from partitions.search_space import Float, Int, SearchSpace
from partitions.stages import Cron, Stage
from partitions.strategies import Canary
from partitions.subproject import Subproject


class Carrier(Config):
    carrier: str
    region: str = "east"


class Params(Parameters):
    learning_rate: float = 0.1
    max_depth: int = 4
    loss: str = "squared"
    scaled: bool = False


class Delays(Pipeline[Carrier, Params]):
    schema = DataSchema(key="flight", target="delay", private=["tail"])
    metrics = {"rmse": "min", "r2": "max", "bias": "zero"}

    def ingest(self, config: Carrier, window: Any) -> Any:
        raise NotImplementedError

    def build(self, params: Params, seed: int) -> Any:
        raise NotImplementedError

    def no_large_bias(self, results: Any) -> Any:
        raise NotImplementedError


def residual_bias(results: Any) -> bool:
    return bool(abs(results["prediction"] - results["truth"]).mean() < 1)


def carrier(key: str, **overrides: Any) -> Subproject:
    return Subproject(key, Carrier(carrier=key), **overrides)


def project(**fields: Any) -> Project:
    """A whole valid project, but for ``fields``."""
    declared: dict[str, Any] = {
        "name": "delays",
        "pipeline": Delays(),
        "subprojects": [carrier("AA", tags={"hub": "DFW"}), carrier("B6", tags={"hub": "JFK"}), carrier("DL")],
        "search_space": SearchSpace(learning_rate=Float(0.01, 0.3, log=True), max_depth=Int(2, 10)),
        "hpo": HPO(metric="rmse", direction="minimize", trials=40, folds=5),
        "gates": [Threshold("rmse", max=40), Check(residual_bias)],
        "stages": [
            Stage("testing"),
            Stage("production", retraining=Cron("0 3 * * 1"), strategy=Canary(0.1)),
        ],
    }
    return Project(**{**declared, **fields})
