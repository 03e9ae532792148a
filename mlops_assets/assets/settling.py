"""What arrives, brought to its end: runs tracked, models deployed, events logged; a batch at a time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import dagster as dg

from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.deciding import Candidate, Deciding
from mlops_assets.assets.decision import Decision
from mlops_assets.assets.deployment import decided, deployed
from mlops_assets.assets.events import dataset_made, metrics_made, model_made, not_made
from mlops_assets.assets.gating import forget
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.way import Arrived
from mlops_assets.tracking.record import RunError, RunRecord
from partitions.errors import UnknownName
from resources.artifacts import ArtifactStore
from resources.event_storage.entries import AssetEvent, NotMade, RunStep

Also = Callable[[Arrived], Iterable[AssetEvent | NotMade]]


def nothing_more(_: Arrived) -> Iterable[AssetEvent | NotMade]:
    """Where no more is logged."""
    return ()


@dataclass(frozen=True)
class Settling:
    """``candidate``: what an arrival with a run is decided about as. ``unchanged``: what is said of one without.

    ``also``: what else is logged of an arrival that is settled. ``new_runs``: whether the runs that arrive were made on
    the way, and are to be tracked. ``step``: that events belong
    to; None for none.
    """

    ports: Ports
    project: str
    deciding: Deciding
    checks: Checks
    candidate: Callable[[Arrived], Candidate]
    unchanged: Callable[[Arrived], str]
    also: Also = nothing_more
    new_runs: bool = True
    step: RunStep | None = None

    def settle(self, batch: list[Arrived]) -> list[Arrived]:
        """The same arrivals, each with its decision, once all of it is on disk.

        In this order: what the runs have made, then the ledger, then what shows the ledger. So whatever is deployed is
        a run that is tracked, and what is missing of the last step can be told from the ledger.
        """
        log = self.ports.event_log
        log.store((event for arrived in batch for event in self._made(arrived)), self.step)
        judged = [arrived for arrived in batch if arrived.error is None and arrived.records]
        answers = self.deciding.decide([self.candidate(arrived) for arrived in judged])
        decisions = {decision.subproject: decision for decision in answers}
        settled = [self._settled(arrived, decisions.get(arrived.subproject)) for arrived in batch]
        log.store((event for arrived in settled for event in self._shown(arrived)), self.step)
        if self.new_runs:
            artifacts = ArtifactStore(self.ports.home.artifacts_url)
            for arrived in settled:
                if arrived.decision is not None and arrived.decision.deployment is not None:
                    forget(artifacts, self.project, arrived.subproject, arrived.decision.stage)
        return settled

    def _made(self, arrived: Arrived) -> Iterator[AssetEvent | NotMade]:
        """What is logged of a subproject's data, run and verdicts."""
        dataset = dataset_made(self.project, arrived)
        if dataset is not None:
            yield dataset.as_event()
            if arrived.verdict is not None:
                yield self.checks.dataset.evaluation(arrived.verdict, arrived.subproject)
        if self.new_runs and not (arrived.reused and self._tracked(arrived.records[0])):
            yield from self._runs(arrived)
        for verdict in arrived.verdicts:
            about = {"stage": self.deciding.order.stage, "run_id": arrived.records[-1].run_id}
            yield self.checks.metrics.evaluation(verdict, arrived.subproject, about)

    def _runs(self, arrived: Arrived) -> Iterator[AssetEvent]:
        """A rejected run made no model that anybody uses, and metrics that are to be seen."""
        for record in arrived.records:
            if record.status == "succeeded":
                yield model_made(self.project, record).as_event()
            else:
                yield not_made(dg.AssetKey([self.project, "model"]), record, **_about_data(arrived))
            if record.status != "failed":
                yield metrics_made(self.project, arrived, record).as_event()

    def _tracked(self, record: RunRecord) -> bool:
        # It loads the storage, which a code location does not need.
        from mlops_assets.tracking.tracker import Tracker, index_folder

        try:
            Tracker(self.ports.event_log, self.project, index_folder(self.ports.home, self.project)).find(record.run_id)
        except UnknownName:
            return False
        return True

    def _settled(self, arrived: Arrived, decision: Decision | None) -> Arrived:
        stage = self.deciding.order.stage
        if decision is None and arrived.error is not None:
            decision = Decision(arrived.subproject, stage, "failed", arrived.error.message)
        elif decision is None:
            decision = Decision(arrived.subproject, stage, "unchanged", self.unchanged(arrived), arrived.same_as)
        if decision.result == "failed" and arrived.error is None:
            message = f"{self.project}/{arrived.subproject}: {decision.said}"
            arrived = replace(arrived, error=RunError(message=message))
        return replace(arrived, decision=decision)

    def _shown(self, arrived: Arrived) -> Iterator[AssetEvent | NotMade]:
        decision = arrived.decision
        if decision is not None:
            yield from events_of(self.project, decision)
            if decision.result == "failed" and not any(record.error for record in arrived.records):
                yield self._failed_without_a_run(arrived, decision)
        yield from self.also(arrived)

    def _failed_without_a_run(self, arrived: Arrived, decision: Decision) -> AssetEvent:
        """Why there is no model: of what failed before there was a run, or after it, nothing else says so."""
        metadata = {"error": decision.said, "stage": decision.stage, **_about_data(arrived)}
        key = dg.AssetKey([self.project, "model"])
        return dg.AssetObservation(key, partition=arrived.subproject, metadata=metadata)


def _about_data(arrived: Arrived) -> dict[str, str]:
    """Whether it was the data that failed: expectations on it were not met."""
    return {"data": "failed"} if arrived.verdict is not None and not arrived.verdict.passed else {}


def events_of(project: str, decision: Decision) -> Iterator[AssetEvent]:
    """What shows a decision in its stage: the new deployments, or why there is none."""
    if decision.deployment is not None:
        yield from (deployed(row) for row in (decision.deployment, *decision.moved))
    elif decision.result != "failed":
        yield decided(project, decision)
