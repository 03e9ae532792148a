"""Promoting: the model that serves in one stage is to serve in a later one, too.

Its gates there are asked again, on the run's stored test rows and at the code version that it was trained with; parity
is proven again. Nothing is trained.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.deciding import Candidate, Deciding, Order, Standing
from mlops_assets.assets.deployment import announce, unannounced
from mlops_assets.assets.following import OnArrival, Progress, handle_settled, ignored, raise_if_failed
from mlops_assets.assets.judging import Rejudging, judge_again
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.parity import proving
from mlops_assets.assets.retrain_plan import Code, ReadyVersion, code_of, ready_version
from mlops_assets.assets.settling import Settling
from mlops_assets.assets.stream import Stream, moment_for
from mlops_assets.assets.way import Aim, Arrived, Origin, Way
from mlops_assets.tracking.record import RunError
from mlops_assets.tracking.registry import Registry
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import MlopsError
from partitions.project import Project
from partitions.reference import PipelineReference
from partitions.stage_order import before, check_forward
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.event_storage.entries import RunStep
from resources.ledger.deployment import Deployment


class PromoteFields(dg.Config):
    """The run config of ``promote``: which subprojects, from which stage to which later one, and why."""

    subprojects: list[str]
    source: str
    stage: str
    why: str
    by: str | None = None


@dataclass(frozen=True)
class PromoteWalk:
    """One execution of the ``promote`` job."""

    project: Project
    checks: Checks
    on_arrival: OnArrival | None = None

    def go(self, context: Any, fields: PromoteFields, who: str, mlops: MlopsResource) -> None:
        """Log events as subprojects are judged; at the end raise Failure if some of them failed, naming each."""
        ports = Ports(mlops.open_home(), EventLog(context.instance), mlops.compute())
        announce(ports.event_log, unannounced(ports.event_log, ports.ledger, self.project.name))
        order = Order(fields.stage, "promote", fields.why, fields.by or who, dagster_run_id=context.run.run_id)
        promotion = Promotion.over(ports, self.project, fields)
        progress = Progress(len(promotion.configurations))
        with proving(ports) as prove:
            settling = Settling(
                ports=ports,
                project=self.project.name,
                deciding=Deciding(ports.ledger, order, prove),
                checks=self.checks,
                candidate=promotion.candidate,
                unchanged=lambda arrived: f"unchanged: run {arrived.same_as} serves there already",
                new_runs=False,
                step=RunStep.of(context),
            )
            tell = self.on_arrival or ignored
            stream: Stream[Arrived] = Stream(
                lambda some: handle_settled(context, settling.settle(some), progress, tell), moment_for(progress.total)
            )
            with stream:
                for arrived in promotion.arrivals():
                    prove.foresee(arrived)
                    stream.put(arrived)
        raise_if_failed(progress)


@dataclass(frozen=True)
class Promotion:
    """Of these subprojects, from ``source`` to ``target``, over what stands there now."""

    ports: Ports
    project: Project
    source: str
    target: str
    configurations: Mapping[str, SubprojectConfiguration]
    current: Mapping[tuple[str, str], Deployment]

    @classmethod
    def over(cls, ports: Ports, project: Project, fields: PromoteFields) -> "Promotion":
        """Raises MlopsError where a stage is unknown or does not come after the other, and where nothing serves in any
        of the subprojects."""
        keys = list(dict.fromkeys(fields.subprojects))
        configurations = Registry(ports.event_log, project.name).configurations(keys)
        source, target = fields.source, fields.stage
        for configuration in configurations.values():
            check_forward(configuration, source, target)
        current = ports.ledger.current(project.name, subprojects=list(configurations))
        promotion = cls(ports, project, source, target, configurations, current)
        if not any(promotion.standing(key, source).serving for key in configurations):
            raise MlopsError(promotion.said_nothing_serves(next(iter(configurations))))
        return promotion

    def standing(self, key: str, stage: str) -> Standing:
        return Standing.of(dict(self.current), key, stage)

    def said_nothing_serves(self, key: str) -> str:
        return (
            f"{self.project.name}/{key}: nothing serves in {self.source!r} that could be promoted: "
            f"`mlops deploy {key} --stage {self.source}` deploys a model there"
        )

    def arrivals(self) -> Iterator[Arrived]:
        """Every subproject, judged; those of which nothing can be promoted first. None stops another."""
        by_code: dict[Code, list[Deployment]] = {}
        for key in self.configurations:
            deployment, there = self.standing(key, self.source).serving, self.standing(key, self.target).serving
            if deployment is None:
                yield Arrived(key, error=RunError(message=self.said_nothing_serves(key)))
            elif there is not None and there.run_id == deployment.run_id:
                yield Arrived(key, same_as=deployment.run_id)
            else:
                by_code.setdefault(code_of(deployment), []).append(deployment)
        for code, deployments in by_code.items():
            yield from self._judged(ready_version(self.ports, self.project, code), deployments)

    def _judged(self, version: ReadyVersion, deployments: list[Deployment]) -> Iterator[Arrived]:
        asked = [Rejudging(self._way(one.subproject, version), str(one.run_id)) for one in deployments]
        for outcome in self.ports.compute.map(judge_again, asked, environment=version.environment):
            way = asked[outcome.index].way
            if outcome.error is None:
                yield outcome.get()
            else:
                message = f"{way.where}: {outcome.error}"
                yield Arrived(way.subproject.key, error=RunError(message=message, traceback=outcome.error.traceback))

    def _way(self, key: str, version: ReadyVersion) -> Way:
        configuration, there = self.configurations[key], self.standing(key, self.target).serving
        return Way(
            home=self.ports.home,
            subproject=configuration,
            reference=PipelineReference.of(self.project.pipeline),
            origin=Origin(version.identity, version.lock, kind="retrain", stage=self.target),
            fresh=False,
            runs=(),
            aim=Aim(self.target, configuration.gates_at(self.target), there.run_id if there is not None else None),
            threads=self.ports.compute.threads,
        )

    def candidate(self, arrived: Arrived) -> Candidate:
        configuration = self.configurations[arrived.subproject]
        source = self.standing(arrived.subproject, self.source).serving
        if source is None:
            raise MlopsError(self.said_nothing_serves(arrived.subproject))
        names = before(configuration, self.target)
        moved = {"stage": self.source, "sequence": source.sequence, "over": names[names.index(self.source) + 1 :]}
        facts: dict[str, Any] = {
            "revision": source.revision,
            "configuration": source.configuration,
            "evidence": {"promoted_from": moved},
        }
        standing = self.standing(arrived.subproject, self.target)
        return Candidate(configuration, arrived.records[-1], standing, arrived.verdicts, facts)
