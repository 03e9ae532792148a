"""HPO runs: what each was asked to do, what came of it, and which of them never ended.

An HPO run begins with an observation of ``trials``, stored before its first run, that holds all that is needed to go on
with it. It ends with a materialisation that holds the summary, stored together with an observation that says so: runs
are many and observations are few, so that what ended is found without reading the runs. No end: it can be resumed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from mlops_assets.tracking.record import CodeIdentity
from partitions.hpo import HPO
from partitions.search_space import SearchSpace
from partitions.values import Value
from resources.event_log import DATA_VERSION_TAG, EventLog, LoggedEvent

ASSET = "trials"
START, END, SUMMARY = "hpo_run", "hpo_end", "hpo_summary"

StoppedBy = Literal["trials", "timeout", "failures", "cancelled", "space exhausted"]


class HPORun(Value):
    """One HPO run as it was asked for. ``hpo_run_id`` is the ``parent`` of its runs.

    space: the part that is sampled. base: complete parameters a trial starts from; those not sampled stay so.
    seed: of the first run of every trial; with several seeds the next ones. sampler_seed: the sampler's.
    config: the subproject configuration. lock: of the environment, as in the records of its runs.
    """

    hpo_run_id: str
    project: str
    subproject: str
    configuration: HPO
    space: SearchSpace
    base: dict[str, Any]
    config: dict[str, Any] = Field(default_factory=dict)
    code_version: CodeIdentity
    lock: str = ""
    data_version: str
    seed: int = 0
    sampler_seed: int = 0
    created_at: datetime
    created_by: str
    dagster_run_id: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.project}/{self.subproject}"


class TrialSummary(Value):
    """One trial. mean, standard_error: of the metric over its runs. reused: how many of its runs were not run again.

    origin: "sampled", or where the configuration came from ("earlier", "sibling:B6").
    """

    number: int
    parameters: dict[str, Any]
    state: Literal["complete", "pruned", "failed"]
    mean: float | None = None
    standard_error: float | None = None
    run_ids: tuple[str, ...] = ()
    reused: int = 0
    origin: str = "sampled"
    error: str | None = None


class ChosenBest(Value):
    """What the rule chose. run_id: the run that stands for it; trial: None where it was known before this HPO run."""

    run_id: str
    trial: int | None
    parameters: dict[str, Any]
    mean: float
    reason: str


class HPOSummary(Value):
    """What came of an HPO run. seconds: of wall clock; cpu_seconds: of its runs; cores: how many worked at most.

    told, tried: how many values of earlier runs, and how many configurations, it began with.
    """

    hpo_run_id: str
    metric: str
    direction: str
    stopped_by: StoppedBy
    reason: str = ""
    trials: tuple[TrialSummary, ...]
    told: int = 0
    tried: int = 0
    seconds: float
    cpu_seconds: float
    cores: int
    best: ChosenBest | None = None


@dataclass(frozen=True)
class Ended:
    """That an HPO run ended, with so many complete trials, and where its summary is: just before this event."""

    hpo_run_id: str
    stopped_by: str
    complete: int
    event_id: int

    @property
    def well(self) -> bool:
        """Whether it brought something, and was not stopped because its trials failed."""
        return self.complete > 0 and self.stopped_by != "failures"


class HPORuns:
    """The HPO runs of one project."""

    def __init__(self, event_log: EventLog, project: str) -> None:
        self.event_log = event_log
        self.asset = (project, ASSET)

    def started(self, subprojects: Iterable[str]) -> list[HPORun]:
        """Every HPO run of these subprojects, oldest first."""
        return [HPORun.model_validate_json(e.metadata[START]) for e in self._seen(subprojects) if START in e.metadata]

    def ended(self, subprojects: Iterable[str]) -> dict[str, Ended]:
        """Those that ended, by id."""
        events = [event for event in self._seen(subprojects) if END in event.metadata]
        ended = (
            Ended(event.metadata[END], event.metadata["stopped_by"], event.metadata["complete"], event.event_id)
            for event in events
        )
        return {one.hpo_run_id: one for one in ended}

    def open(self, subprojects: Iterable[str]) -> dict[str, HPORun]:
        """The last HPO run of each subproject that has none that ended later: what can be resumed."""
        last: dict[str, HPORun | None] = {}
        for event in self._seen(subprojects):
            if START in event.metadata:
                run = HPORun.model_validate_json(event.metadata[START])
                last[run.subproject] = run
            elif END in event.metadata:
                run_of = last.get(event.partition or "")
                if run_of is not None and run_of.hpo_run_id == event.metadata[END]:
                    last[run_of.subproject] = None
        return {key: run for key, run in last.items() if run is not None}

    def summary(self, subproject: str, hpo_run_id: str) -> HPOSummary | None:
        """The summary of an HPO run; None while it has not ended."""
        end = self.ended([subproject]).get(hpo_run_id)
        if end is None:
            return None
        before = self.event_log.before(self.asset, subproject, end.event_id)
        return None if before is None else HPOSummary.model_validate_json(before.metadata[SUMMARY])

    def _seen(self, subprojects: Iterable[str]) -> Iterable[LoggedEvent]:
        keys = list(subprojects)
        return self.event_log.events(self.asset, keys, "observation") if keys else ()


def started_event(run: HPORun) -> dg.AssetObservation:
    """That an HPO run begins, with all that is needed to go on with it."""
    hpo = run.configuration
    metadata: dict[str, Any] = {
        START: run.model_dump_json(),
        "hpo_run_id": run.hpo_run_id,
        "configuration": dg.MetadataValue.json(hpo.model_dump(mode="json")),
        "search_space": dg.MetadataValue.json(run.space.model_dump(mode="json")["dimensions"]),
    }
    return dg.AssetObservation(dg.AssetKey([run.project, ASSET]), partition=run.subproject, metadata=metadata)


def ended_events(
    run: HPORun, summary: HPOSummary, shown: Mapping[str, Any]
) -> list[dg.AssetMaterialization | dg.AssetObservation]:
    """That an HPO run ended: the summary, and the mark that it has ended. ``shown``: more metadata, for people.

    Without a trial that is complete nothing was made, so that the partition does not turn green.
    """
    key = dg.AssetKey([run.project, ASSET])
    metadata = {**shown, **summary_metadata(run, summary)}
    complete = sum(trial.state == "complete" for trial in summary.trials)
    made: dg.AssetMaterialization | dg.AssetObservation
    if complete:
        tags = {DATA_VERSION_TAG: run.hpo_run_id}
        made = dg.AssetMaterialization(key, partition=run.subproject, metadata=metadata, tags=tags)
    else:
        made = dg.AssetObservation(key, partition=run.subproject, metadata=metadata)
    mark: dict[str, Any] = {END: run.hpo_run_id, "stopped_by": summary.stopped_by, "complete": complete}
    return [made, dg.AssetObservation(key, partition=run.subproject, metadata=mark)]


def summary_metadata(run: HPORun, summary: HPOSummary) -> dict[str, Any]:
    """The summary for programs, and its figures as numbers, so that the web UI plots them over time."""
    states = [trial.state for trial in summary.trials]
    metadata: dict[str, Any] = {
        SUMMARY: summary.model_dump_json(),
        "hpo_run_id": run.hpo_run_id,
        "stopped_by": summary.stopped_by,
        **{name: states.count(name) for name in ("complete", "pruned", "failed")},
        "seconds": summary.seconds,
        "cpu_seconds": summary.cpu_seconds,
        "cores": summary.cores,
    }
    if summary.reason:
        metadata["reason"] = summary.reason
    if summary.best is not None:
        metadata |= {"best_run_id": summary.best.run_id, "best": summary.best.mean, "why": summary.best.reason}
    return metadata
