"""Retraining: newest data, a model, its gates, and the deployment, for any number of subprojects in one stage.

What a run needs is done on one worker (see ``travel``); what is decided about it is decided here, in batches: proof of
parity, ledger, events. A gate's no is no failure of the Dagster run.

Killed at any moment, doing it again finishes it: what is deployed is unchanged, what was trained is taken as it is.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import dagster as dg

from mlops_assets.assets.deciding import Candidate, Deciding, Order, Prove
from mlops_assets.assets.decision import Decision
from mlops_assets.assets.deployment import announce, decided, deployed, unannounced
from mlops_assets.assets.events import dataset_made, metrics_made, model_made, not_made
from mlops_assets.assets.following import OnArrival, Progress, ignored, raise_if_failed
from mlops_assets.assets.gating import forget
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.lifecycle import DatasetChecks
from mlops_assets.assets.parity import Proving
from mlops_assets.assets.recording import died
from mlops_assets.assets.retrain_plan import Group, RetrainPlan, RetrainRequest, plan_retraining, retraining_of
from mlops_assets.assets.stream import Stream
from mlops_assets.assets.travel import travel
from mlops_assets.assets.way import Arrived, Way
from mlops_assets.quality.verdicts import GateVerdict
from mlops_assets.tracking.record import RunError, RunRecord, now
from mlops_assets.tracking.tracker import Tracker, index_folder
from partitions.errors import MlopsError, UnknownName
from partitions.project import Project
from partitions.stage_order import stage_named
from resources.artifacts import ArtifactStore
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.event_storage.entries import AssetEvent, NotMade, RunStep


class RetrainFields(dg.Config):
    """The run config of ``retrain``: which subprojects, in which stage, why, and what set it off.

    deploy: set the stage's code version, to ``code_version`` (a tag, branch or commit) or to the code at hand; else the
    stage keeps its own. reason: person, schedule, new data or drift. due: by subproject, the moment it was due
    (ISO 8601). now: up to which moment data counts; default this one. by: who asked; default who runs it.
    """

    subprojects: list[str]
    stage: str
    why: str
    deploy: bool = False
    code_version: str | None = None
    reason: str = "person"
    due: dict[str, str] = {}
    now: str | None = None
    by: str | None = None
    seed: int | None = None

    def request(self, who: str, run: dg.DagsterRun) -> RetrainRequest:
        """The request, validated. Raises MlopsError where a field cannot be read."""
        order = Order(
            stage=self.stage,
            action="deploy" if self.deploy or self.code_version is not None else "retrain",
            why=self.why,
            by=self.by or who,
            reason=self.reason,
            revision=self.code_version,
            dagster_run_id=run.run_id,
        )
        return RetrainRequest(order, self._now(), self.seed, run.root_run_id or run.run_id)

    def _now(self) -> datetime:
        if self.now is None:
            return now()
        try:
            return datetime.fromisoformat(self.now)
        except ValueError:
            raise MlopsError(f"now: {self.now!r} is no ISO 8601 time, such as 2013-06-01T00:00:00Z") from None


class MetricChecks(Protocol):
    """The asset checks on a project's metrics: its gates. Stated by mlops_assets.checks."""

    specs: list[dg.AssetCheckSpec]

    def evaluation(self, verdict: GateVerdict, partition: str, about: Any = None) -> dg.AssetCheckEvaluation: ...


@dataclass(frozen=True)
class Checks:
    """Where verdicts on data and on models are shown."""

    dataset: DatasetChecks
    metrics: MetricChecks


@dataclass(frozen=True)
class RetrainWalk:
    """One execution of the ``retrain`` job."""

    project: Project
    checks: Checks
    on_arrival: OnArrival | None = None
    proving: Callable[[Ports], AbstractContextManager[Prove]] = Proving

    def go(self, context: Any, fields: RetrainFields, who: str, mlops: MlopsResource) -> None:
        """Log events as subprojects arrive; at the end raise Failure if some of them failed, naming each."""
        ports = Ports(mlops.open_home(), EventLog(context.instance), mlops.compute())
        request = fields.request(who, context.run)
        missed = announce(ports.event_log, unannounced(ports.event_log, ports.ledger, self.project.name))
        if missed:
            context.log.info(f"{missed} deployments of somebody who was interrupted are shown from now on")
        keys = self._left(context, ports, list(dict.fromkeys(fields.subprojects)))
        if not keys:
            return
        plan = plan_retraining(ports, self.project, keys, request)
        progress = Progress(len(keys))
        with self.proving(ports) as prove:
            deciding = Deciding(ports.ledger, request.order, prove)
            batches = _Batches(context, plan, deciding, self.checks, fields.due)
            with Stream(lambda arrived: self._handle(batches, arrived, progress)) as stream:
                for arrived in _arrivals(plan, batches.under_way):
                    stream.put(arrived)
        raise_if_failed(progress)

    def _left(self, context: Any, ports: Ports, keys: list[str]) -> list[str]:
        """Without those that an earlier run of the same re-execution family has brought all the way."""
        run = context.run
        if run.root_run_id is None:
            return keys
        earlier = [run_id for run_id in ports.event_log.family(run.run_id) if run_id != run.run_id]
        done = {deployment.subproject for deployment in ports.ledger.made_by(self.project.name, earlier)}
        return [key for key in keys if key not in done]

    def _handle(self, batches: "_Batches", batch: list[Arrived], progress: Progress) -> None:
        context = batches.context
        settled = batches.settle(batch)
        for arrived in settled:
            progress.count(arrived)
            if arrived.error is not None:
                context.log.error(f"{arrived.error.message}\n{arrived.error.traceback}")
        for line in progress.lines(settled):
            context.log.info(line)
        for arrived in settled:
            (self.on_arrival or ignored)(arrived)


def _arrivals(plan: RetrainPlan, under_way: dict[str, Way]) -> Iterator[Arrived]:
    """Every subproject as it arrives; those that cannot be retrained first. None stops another."""
    for key, reason in plan.refused.items():
        yield Arrived(key, error=RunError(message=reason))
    for group in plan.groups:
        yield from _of_group(plan, group, under_way)


def _of_group(plan: RetrainPlan, group: Group, under_way: dict[str, Way]) -> Iterator[Arrived]:
    started: dict[int, Way] = {}

    def start() -> Iterator[Way]:
        for index, way in enumerate(plan.ways(group)):
            started[index] = under_way[way.subproject.key] = way
            yield way

    for outcome in plan.ports.compute.map(travel, start(), environment=group.version.environment):
        way = started.pop(outcome.index)
        if outcome.error is None:
            yield outcome.get()
        else:
            message = f"{way.where}: {outcome.error}"
            yield died(way, RunError(message=message, traceback=outcome.error.traceback))


@dataclass(frozen=True)
class _Batches:
    """What arrives, brought to its end: runs tracked, models deployed, events logged; a batch at a time."""

    context: Any
    plan: RetrainPlan
    deciding: Deciding
    checks: Checks
    due: dict[str, str]
    under_way: dict[str, Way] = field(default_factory=dict)

    def settle(self, batch: list[Arrived]) -> list[Arrived]:
        """The same arrivals, each with its decision, once all of it is on disk.

        In this order: what the runs have made, then the ledger, then what shows the ledger. So whatever is deployed is
        a run that is tracked, and what is missing of the last step can be told from the ledger.
        """
        log, step = self.plan.ports.event_log, RunStep.of(self.context)
        ways = {arrived.subproject: self.under_way.pop(arrived.subproject, None) for arrived in batch}
        log.store((event for arrived in batch for event in self._made(arrived)), step)
        judged = [arrived for arrived in batch if arrived.error is None and arrived.records]
        decisions = dict(
            zip(_keys(judged), self.deciding.decide([self._candidate(a, ways) for a in judged]), strict=True)
        )
        settled = [self._settled(arrived, decisions.get(arrived.subproject)) for arrived in batch]
        log.store((event for arrived in settled for event in self._shown(arrived)), step)
        artifacts = ArtifactStore(self.plan.ports.home.artifacts_url)
        for arrived in settled:
            if arrived.decision is not None and arrived.decision.result == "deployed":
                forget(artifacts, self.plan.project.name, arrived.subproject, arrived.decision.stage)
        return settled

    def _made(self, arrived: Arrived) -> Iterator[AssetEvent | NotMade]:
        """What is logged of a subproject's data and run. Metrics also of a run that was rejected: to be seen."""
        name = self.plan.project.name
        dataset = dataset_made(name, arrived)
        if dataset is not None:
            yield dataset.as_event()
            if arrived.verdict is not None:
                yield self.checks.dataset.evaluation(arrived.verdict, arrived.subproject)
        records = arrived.records if not (arrived.reused and self._tracked(arrived.records[0])) else ()
        for record in records:
            if record.status == "succeeded":
                yield model_made(name, record).as_event()
            else:
                yield not_made(dg.AssetKey([name, "model"]), record)
            if record.status != "failed":
                yield metrics_made(name, arrived, record).as_event()
        for verdict in arrived.verdicts:
            about = {"stage": self.deciding.order.stage, "run_id": arrived.records[-1].run_id}
            yield self.checks.metrics.evaluation(verdict, arrived.subproject, about)

    def _tracked(self, record: RunRecord) -> bool:
        ports, name = self.plan.ports, self.plan.project.name
        try:
            Tracker(ports.event_log, name, index_folder(ports.home, name)).find(record.run_id)
        except UnknownName:
            return False
        return True

    def _candidate(self, arrived: Arrived, ways: dict[str, Way | None]) -> Candidate:
        way = ways[arrived.subproject]
        if way is None:
            raise MlopsError(f"{arrived.subproject} arrived and was never under way")
        configuration, record = way.subproject, arrived.records[-1]
        retraining = retraining_of(stage_named(configuration, self.deciding.order.stage))
        evidence: dict[str, Any] = {"reused": arrived.reused}
        if arrived.subproject in self.due:
            evidence["due"] = self.due[arrived.subproject]
        window = way.window.model_dump(mode="json") if way.window else None
        row = {
            "configuration": {**retraining.model_dump(mode="json"), "window": window, "digest": configuration.digest},
            "evidence": evidence,
        }
        return Candidate(configuration, record, self.plan.standing(arrived.subproject), arrived.verdicts, row)

    def _settled(self, arrived: Arrived, decision: Decision | None) -> Arrived:
        stage = self.deciding.order.stage
        if decision is None and arrived.error is not None:
            decision = Decision(arrived.subproject, stage, "failed", arrived.error.message)
        elif decision is None:
            decision = self._unchanged(arrived)
        if decision.result == "failed" and arrived.error is None:
            where = f"{self.plan.project.name}/{arrived.subproject}"
            arrived = replace(arrived, error=RunError(message=f"{where}: {decision.said}"))
        return replace(arrived, decision=decision)

    def _unchanged(self, arrived: Arrived) -> Decision:
        stage = self.deciding.order.stage
        serving = self.plan.standing(arrived.subproject).serving
        there = serving is not None and arrived.same_as == serving.run_id
        which = "serves there" if there else "was rolled back there"
        said = (
            f"unchanged: data, code and configuration are those of run {arrived.same_as}, which {which}; "
            "nothing new was deployed"
        )
        return Decision(arrived.subproject, stage, "unchanged", said, run_id=arrived.same_as)

    def _shown(self, arrived: Arrived) -> Iterator[AssetEvent | NotMade]:
        decision = arrived.decision
        if decision is None:
            return
        if decision.deployment is not None:
            yield from (deployed(row) for row in (decision.deployment, *decision.moved))
        elif decision.result != "failed":
            yield decided(self.plan.project.name, decision)


def _keys(arrivals: list[Arrived]) -> list[str]:
    return [arrived.subproject for arrived in arrivals]
