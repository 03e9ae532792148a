"""The best configuration of each subproject: what is considered best, since when, by whom or by which rule, and why.

A choice is a materialisation of ``best_config``. Nothing is overwritten: the last one holds, all of them are history.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import dagster as dg

from mlops_assets.learning.choice import Choice
from mlops_assets.tracking.latest_stored import StoredMaterialization, latest_stored
from mlops_assets.tracking.record import RunRecord, now
from partitions.errors import MlopsError
from partitions.values import Value, digest_of
from resources.event_log import DATA_VERSION_TAG, EventLog

ASSET = "best_config"
ENTRY = "best"


class BestConfiguration(Value):
    """One choice. ``run_id``: the run that stands for it; ``parameters``: complete, as that run had them.

    ``run_ids``: all runs that it was judged by, where a rule did. ``by``: a person's name, or the rule.
    ``replaces``: the run that stood for the choice before.
    """

    project: str
    subproject: str
    run_id: str
    parameters: dict[str, Any]
    metrics: dict[str, float]
    code_version: str
    data_version: str | None
    source: Literal["person", "rule"]
    by: str
    why: str
    since: datetime
    replaces: str | None = None
    run_ids: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """64 hexadecimal characters over the parameters: equal for choices of the same configuration."""
        return digest_of(self.parameters)

    def row(self) -> dict[str, Any]:
        """The choice as a flat row, for tables and ``--json``."""
        row = self.model_dump(mode="json", exclude={"project", "parameters", "metrics"})
        row |= {f"params.{name}": value for name, value in self.parameters.items()}
        return row | {f"metrics.{name}": value for name, value in self.metrics.items()}


@dataclass(frozen=True)
class LatestBest:
    """The choice that holds for one subproject, read when asked for."""

    stored: StoredMaterialization

    @cached_property
    def chosen(self) -> BestConfiguration:
        return BestConfiguration.model_validate_json(self.stored.entry(ENTRY))

    def row(self) -> dict[str, Any]:
        chosen = self.chosen
        said = {"source": chosen.source, "by": chosen.by, "why": chosen.why}
        return {"run_id": chosen.run_id, "since": chosen.since.isoformat(), **said, "metrics": chosen.metrics}


def latest_best(event_log: EventLog, project: str, subprojects: Iterable[str] | None = None) -> dict[str, LatestBest]:
    """The choice that holds, of every subproject (or of these) for which anything was chosen; made for 10,000."""
    found = latest_stored(event_log, (project, ASSET), subprojects)
    return {key: LatestBest(stored) for key, stored in found.items()}


class BestConfigurations:
    """The choices of one project."""

    def __init__(self, event_log: EventLog, project: str) -> None:
        self.event_log = event_log
        self.asset = (project, ASSET)

    def current(self, subprojects: Iterable[str] | None = None) -> dict[str, BestConfiguration]:
        """What is considered best now, of every subproject (or of those named) for which anything was chosen."""
        return {key: _read(event) for key, event in self.event_log.latest(self.asset, subprojects).items()}

    def history(self, subproject: str) -> list[BestConfiguration]:
        """Every choice for a subproject, oldest first."""
        return [_read(event) for event in self.event_log.events(self.asset, [subproject])]

    def run_ids(self) -> set[str]:
        """The runs that stand, or ever stood, for a choice, of all subprojects."""
        return {_read(event).run_id for event in self.event_log.events(self.asset)}

    def choose(self, record: RunRecord, source: Literal["person", "rule"], by: str, why: str) -> BestConfiguration:
        """Consider the configuration of a run best from now on. Raises MlopsError for a run that did not succeed."""
        if record.status != "succeeded":
            raise MlopsError(f"{record.where}: run {record.run_id} {record.status}; choose one that succeeded")
        if not why.strip():
            raise MlopsError(f"{record.where}: say why run {record.run_id} is best, for those who ask later (--why)")
        before = self.current([record.subproject]).get(record.subproject)
        chosen = BestConfiguration(
            project=record.project,
            subproject=record.subproject,
            run_id=record.run_id,
            parameters=record.parameters,
            metrics=record.metrics,
            code_version=record.code_version.digest,
            data_version=record.data_version,
            source=source,
            by=by,
            why=why,
            since=now(),
            replaces=before.run_id if before else None,
        )
        self.event_log.store([chosen_event(chosen)])
        return chosen


def chosen_by_rule(
    project: str, choice: Choice, metrics: Mapping[str, float], before: BestConfiguration | None
) -> BestConfiguration:
    """What a rule chose, not logged yet. ``metrics``: means over the runs that it was judged by."""
    chosen = choice.evaluation
    return BestConfiguration(
        project=project,
        subproject=chosen.subproject,
        run_id=chosen.run_ids[0],
        parameters=dict(chosen.parameters),
        metrics={chosen.metric: chosen.mean, **metrics},
        code_version=chosen.code_version,
        data_version=chosen.data_version,
        source="rule",
        by=f"rule {choice.rule}",
        why=choice.reason,
        since=now(),
        replaces=before.run_id if before is not None else None,
        run_ids=chosen.run_ids,
    )


def chosen_event(chosen: BestConfiguration) -> dg.AssetMaterialization:
    """A choice as the event that makes it known."""
    parameters = "\n".join(f"| `{name}` | `{value}` |" for name, value in chosen.parameters.items())
    return dg.AssetMaterialization(
        dg.AssetKey([chosen.project, ASSET]),
        partition=chosen.subproject,
        metadata={
            ENTRY: chosen.model_dump_json(),
            "run_id": chosen.run_id,
            "why": f"{chosen.why} ({chosen.by})",
            "parameters": dg.MetadataValue.md(f"| parameter | value |\n|---|---|\n{parameters}"),
            **{name: float(value) for name, value in chosen.metrics.items()},
        },
        tags={DATA_VERSION_TAG: chosen.digest},
    )


def _read(event: Any) -> BestConfiguration:
    return BestConfiguration.model_validate_json(event.metadata[ENTRY])
