"""Quality rules as asset checks; made only here, because partitioned checks are a preview of Dagster."""

import warnings
from typing import Any

import dagster as dg

from mlops_assets.quality.expectations import DataVerdict
from partitions.dynamic import subproject_partitions

EXPECTATIONS = "expectations"


class ExpectationChecks:
    """The check ``expectations`` on a project's dataset: what the pipeline expects of each subproject's data."""

    def __init__(self, project: str) -> None:
        self.dataset = dg.AssetKey([project, "dataset"])
        with warnings.catch_warnings():
            # Dagster warns that partitioned checks are a preview; what is used of them is tested here.
            warnings.simplefilter("ignore", category=dg.PreviewWarning)
            self.specs = [
                dg.AssetCheckSpec(
                    EXPECTATIONS,
                    asset=self.dataset,
                    description="Great Expectations declared by the pipeline. A failed one of severity error stops "
                    "the subproject before training.",
                    partitions_def=subproject_partitions(project),
                )
            ]

    def evaluation(self, verdict: DataVerdict, partition: str) -> dg.AssetCheckEvaluation:
        """The verdict as an event of one of many partitions."""
        return dg.AssetCheckEvaluation(
            asset_key=self.dataset,
            check_name=EXPECTATIONS,
            passed=_passed(verdict),
            severity=_severity(verdict),
            metadata=_metadata(verdict),
            partition=partition,
        )

    def result(self, verdict: DataVerdict) -> dg.AssetCheckResult:
        """The verdict as a result of a run of one partition."""
        return dg.AssetCheckResult(
            asset_key=self.dataset,
            check_name=EXPECTATIONS,
            passed=_passed(verdict),
            severity=_severity(verdict),
            metadata=_metadata(verdict),
        )


def _passed(verdict: DataVerdict) -> bool:
    return verdict.passed and not verdict.warned


def _severity(verdict: DataVerdict) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.WARN if verdict.passed else dg.AssetCheckSeverity.ERROR


def _metadata(verdict: DataVerdict) -> dict[str, Any]:
    looked = {
        result.name: f"{'passed' if result.passed else 'failed'} ({result.severity}): {result.detail}"
        for result in verdict.results
    }
    return {"summary": dg.MetadataValue.md(verdict.table()), **looked}
