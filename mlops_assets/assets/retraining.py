"""Retraining: newest data, a model, its gates, and the deployment, for any number of subprojects in one stage.

What a run needs is done on one worker (see ``travel``); what is decided about it is decided here, in batches: proof of
parity, ledger, events. A gate's no is no failure of the Dagster run.

Killed at any moment, doing it again finishes it: what is deployed is unchanged, what was trained is taken as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.deciding import Candidate, Deciding, Order
from mlops_assets.assets.deployment import announce, unannounced
from mlops_assets.assets.following import OnArrival, Progress, handle_settled, ignored, raise_if_failed
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.parity import proving
from mlops_assets.assets.recording import died
from mlops_assets.assets.retrain_plan import Group, RetrainPlan, RetrainRequest, plan_retraining, retraining_of
from mlops_assets.assets.settling import Also, Settling, nothing_more
from mlops_assets.assets.stream import Stream, moment_for
from mlops_assets.assets.travel import travel
from mlops_assets.assets.way import Arrived, Way
from mlops_assets.tracking.record import RunError, now
from partitions.errors import MlopsError
from partitions.project import Project
from partitions.stage_order import before, stage_named
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.event_storage.entries import RunStep


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
        """The request, validated. Raises MlopsError where a field cannot be read, and where there is no reason."""
        if not self.why.strip():
            raise MlopsError("say why, for those who ask later (why)")
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


@dataclass(frozen=True)
class RetrainWalk:
    """One execution of a retraining. ``looked_at``: that the code takes what is registered is known already.

    ``also``: what else is logged of a subproject that is settled.
    """

    project: Project
    checks: Checks
    on_arrival: OnArrival | None = None
    looked_at: bool = False
    also: Also = nothing_more

    def go(self, context: Any, fields: RetrainFields, who: str, mlops: MlopsResource) -> None:
        """Log events as subprojects arrive; at the end raise Failure if some of them failed, naming each."""
        ports = Ports(mlops.open_home(), EventLog(context.instance), mlops.compute())
        keys = list(dict.fromkeys(fields.subprojects))
        progress = Progress(len(keys))
        self.walk(context, ports, (keys, fields.request(who, context.run), fields.due), progress)
        raise_if_failed(progress)

    def walk(
        self,
        context: Any,
        ports: Ports,
        asked: tuple[list[str], RetrainRequest, Mapping[str, str]],
        progress: Progress,
    ) -> None:
        """The same for subprojects, a request and due times; failures are counted in ``progress``."""
        keys, request, due = asked
        missed = announce(ports.event_log, unannounced(ports.event_log, ports.ledger, self.project.name))
        if missed:
            context.log.info(f"{missed} deployments of somebody who was interrupted are shown from now on")
        left = self._left(context, ports, keys)
        progress.done += len(keys) - len(left)
        if not left:
            return
        plan = plan_retraining(ports, self.project, left, request, self.looked_at)
        under_way = UnderWay(plan, due)
        with proving(ports) as prove:
            settling = Settling(
                ports=ports,
                project=self.project.name,
                deciding=Deciding(ports.ledger, request.order, prove),
                checks=self.checks,
                candidate=under_way.candidate,
                unchanged=under_way.said_unchanged,
                also=self.also,
                step=RunStep.of(context),
            )
            tell = self.on_arrival or ignored
            stream: Stream[Arrived] = Stream(
                lambda some: handle_settled(context, settling.settle(some), progress, tell), moment_for(progress.total)
            )
            with stream:
                for arrived in under_way.arrivals():
                    prove.foresee(arrived)
                    stream.put(arrived)

    def _left(self, context: Any, ports: Ports, keys: list[str]) -> list[str]:
        """Without those that an earlier run of the same re-execution family has brought all the way."""
        run = context.run
        if run.root_run_id is None:
            return keys
        earlier = [run_id for run_id in ports.event_log.family(run.run_id) if run_id != run.run_id]
        done = {deployment.subproject for deployment in ports.ledger.made_by(self.project.name, earlier)}
        return [key for key in keys if key not in done]


@dataclass(frozen=True)
class UnderWay:
    """The ways of a plan while they are gone. ``due``: by subproject, the moment it was due."""

    plan: RetrainPlan
    due: Mapping[str, str]
    ways: dict[str, Way] = field(default_factory=dict)
    revisions: dict[str, str | None] = field(default_factory=dict)

    def arrivals(self) -> Iterator[Arrived]:
        """Every subproject as it arrives; those that cannot be retrained first. None stops another."""
        for key, reason in self.plan.refused.items():
            yield Arrived(key, error=RunError(message=reason))
        for group in self.plan.groups:
            yield from self._of_group(group)

    def _of_group(self, group: Group) -> Iterator[Arrived]:
        started: dict[int, str] = {}

        def start() -> Iterator[Way]:
            for index, way in enumerate(self.plan.ways(group)):
                started[index] = way.subproject.key
                self.ways[way.subproject.key] = way
                self.revisions[way.subproject.key] = group.version.revision
                yield way

        for outcome in self.plan.ports.compute.map(travel, start(), environment=group.version.environment):
            key = started.pop(outcome.index)
            if outcome.error is None:
                yield outcome.get()
            else:
                message = f"{self.ways[key].where}: {outcome.error}"
                yield died(self.ways[key], RunError(message=message, traceback=outcome.error.traceback))

    def candidate(self, arrived: Arrived) -> Candidate:
        """What is decided about, once: what it takes is not kept any longer."""
        way = self.ways.pop(arrived.subproject)
        configuration, stage = way.subproject, self.plan.request.order.stage
        retraining = retraining_of(stage_named(configuration, stage)).model_dump(mode="json")
        window = way.window.model_dump(mode="json") if way.window is not None else None
        evidence: dict[str, Any] = {"reused": arrived.reused}
        if arrived.subproject in self.due:
            evidence["due"] = self.due[arrived.subproject]
        unseen = self._unseen_in(way) if self.plan.request.order.action == "deploy" else []
        note = f"; this code version does not serve in {', '.join(unseen)}" if unseen else ""
        if unseen:
            evidence["code_not_in"] = unseen
        row = {
            "revision": self.revisions.pop(arrived.subproject),
            "configuration": {**retraining, "window": window, "digest": configuration.digest},
            "evidence": evidence,
        }
        standing = self.plan.standing(arrived.subproject)
        return Candidate(configuration, arrived.records[-1], standing, arrived.verdicts, row, note)

    def _unseen_in(self, way: Way) -> list[str]:
        """The stages before this one in which the code version does not serve: allowed, and told."""
        key, digest = way.subproject.key, way.origin.code.digest
        earlier = {
            name: self.plan.current.get((key, name)) for name in before(way.subproject, self.plan.request.order.stage)
        }
        return [name for name, row in earlier.items() if row is None or not row.serves or row.code_version != digest]

    def said_unchanged(self, arrived: Arrived) -> str:
        """Where there is no run: the one that already is what it would be."""
        self.ways.pop(arrived.subproject, None)
        serving = self.plan.standing(arrived.subproject).serving
        there = serving is not None and arrived.same_as == serving.run_id
        which = "serves there" if there else "was rolled back there"
        return (
            f"unchanged: data, code and configuration are those of run {arrived.same_as}, which {which}; "
            "nothing new was deployed"
        )
