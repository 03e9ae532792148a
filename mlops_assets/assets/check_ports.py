"""Where verdicts on data and on models are shown. Stated by mlops_assets.checks, the one place that makes checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import dagster as dg

from mlops_assets.quality.expectations import DataVerdict
from mlops_assets.quality.verdicts import GateVerdict


class DatasetChecks(Protocol):
    """The asset checks on a project's dataset."""

    specs: list[dg.AssetCheckSpec]

    def evaluation(self, verdict: DataVerdict, partition: str) -> dg.AssetCheckEvaluation: ...

    def result(self, verdict: DataVerdict) -> dg.AssetCheckResult: ...


class MetricChecks(Protocol):
    """The asset checks on a project's metrics: its gates."""

    specs: list[dg.AssetCheckSpec]

    def evaluation(
        self, verdict: GateVerdict, partition: str, about: Mapping[str, str] | None = None
    ) -> dg.AssetCheckEvaluation: ...


@dataclass(frozen=True)
class Checks:
    """Both of them."""

    dataset: DatasetChecks
    metrics: MetricChecks
