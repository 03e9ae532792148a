"""Quality rules as asset checks; made only here, because partitioned checks are a preview of Dagster."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.assets.check_ports import Checks
from mlops_assets.quality.expectations import DataVerdict
from mlops_assets.quality.gates import all_gate_names
from mlops_assets.quality.verdicts import GateVerdict
from partitions.dynamic import subproject_partitions
from partitions.gates import Gate
from partitions.project import Project

EXPECTATIONS = "expectations"
VERDICT_ENTRY = "verdict"


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


class GateChecks:
    """A check per gate on a project's metrics: the union over its subprojects and stages, each evaluated for those that
    have it."""

    def __init__(self, project: Project) -> None:
        self.metrics = dg.AssetKey([project.name, "metrics"])
        self.names = all_gate_names(_gate_lists(project))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=dg.PreviewWarning)
            self.specs = [
                dg.AssetCheckSpec(
                    name,
                    asset=self.metrics,
                    description=f"Gate: {gate.title}. Subprojects and stages may have bounds of their own; the "
                    "evaluation says which.",
                    partitions_def=subproject_partitions(project.name),
                )
                for name, gate in self.names.items()
            ]

    def evaluation(
        self, verdict: GateVerdict, partition: str, about: Mapping[str, str] | None = None
    ) -> dg.AssetCheckEvaluation:
        """The verdict as an event of one of many partitions. ``about``: what else is said with it (run, stage)."""
        return dg.AssetCheckEvaluation(
            asset_key=self.metrics,
            check_name=verdict.gate,
            passed=verdict.passed,
            severity=_gate_severity(verdict),
            description=verdict.reason,
            metadata=_gate_metadata(verdict, about or {}),
            partition=partition,
        )

    def results(
        self, verdicts: Sequence[GateVerdict], about: Mapping[str, str] | None = None
    ) -> list[dg.AssetCheckResult]:
        """The verdicts as results of a run of one partition: of the gates that the code location knows by name.

        A gate that was registered after it was loaded is no check of it yet; Dagster would fail the run for it.
        """
        return [
            dg.AssetCheckResult(
                asset_key=self.metrics,
                check_name=verdict.gate,
                passed=verdict.passed,
                severity=_gate_severity(verdict),
                description=verdict.reason,
                metadata=_gate_metadata(verdict, about or {}),
            )
            for verdict in verdicts
            if verdict.gate in self.names
        ]


def _gate_lists(project: Project) -> Iterator[Sequence[Gate]]:
    """Every different list of gates that some subproject has at some stage."""
    seen: set[int] = set()
    stages = [project.stages, *(one.stages for one in project.subprojects if one.stages is not None)]
    lists = [project.gates, *(one.gates for one in project.subprojects if one.gates is not None)]
    lists += [stage.gates for some in stages for stage in some if stage.gates is not None]
    for gates in lists:
        # 10,000 subprojects made in a loop share their lists.
        if id(gates) not in seen:
            seen.add(id(gates))
            yield gates


def _gate_severity(verdict: GateVerdict) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if verdict.required else dg.AssetCheckSeverity.WARN


def _gate_metadata(verdict: GateVerdict, about: Mapping[str, str]) -> dict[str, Any]:
    """``verdict`` holds all of it for programs; the others are for people, and numbers that the web UI plots."""
    said: dict[str, Any] = {**about, "outcome": verdict.outcome.replace("_", " "), "threshold": verdict.title}
    if verdict.value is not None:
        said["value"] = float(verdict.value)
    if verdict.evidence:
        said["evidence"] = dg.MetadataValue.md(verdict.table())
    if verdict.source is not None:
        said["source"] = verdict.source
    return {**said, VERDICT_ENTRY: dg.MetadataValue.json(verdict.model_dump(mode="json"))}


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


def checks_of(project: Project) -> Checks:
    """All asset checks of a project: on its datasets, and on its metrics."""
    return Checks(ExpectationChecks(project.name), GateChecks(project))
