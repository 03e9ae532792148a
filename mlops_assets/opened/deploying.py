"""Deploying: which model serves in which stage, and how another one gets there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.configuration import author
from mlops_assets.assets.deciding import Order
from mlops_assets.assets.decision import Decision
from mlops_assets.assets.following import OnArrival, ignored
from mlops_assets.assets.moving import Moving
from mlops_assets.assets.promoting import PromoteFields, Promotion
from mlops_assets.assets.retrain_plan import RetrainRequest, plan_retraining
from mlops_assets.assets.way import Arrived
from mlops_assets.automation.jobs import op_name, promote_job, retrain_job
from mlops_assets.checks import checks_of
from mlops_assets.opened.launching import QUIET, Launching, RunsFailed, new_dagster_run_id
from mlops_assets.tracking.failures import RETRAIN
from mlops_assets.tracking.record import RunRecord
from partitions.errors import MlopsError, UnknownName, nearest
from partitions.stage_order import ARCHIVE
from resources.event_log import EventLog
from resources.ledger.deployment import Action, Deployment

if TYPE_CHECKING:
    import pandas as pd

Keys = str | Sequence[str]


class DeployFailed(RunsFailed):
    """Some subprojects failed. ``decisions``: what became of each, the failed ones among them."""

    def __init__(self, failed: dict[str, str], decisions: list[Decision], run: tuple[list[RunRecord], str]) -> None:
        super().__init__(failed, *run)
        self.decisions = decisions


class Deploying(Launching):
    """Stages and what serves there."""

    def deploy(
        self,
        subprojects: Keys,
        *,
        stage: str,
        why: str,
        code_version: str | None = None,
        on_arrival: OnArrival | None = None,
        **fields: Any,
    ) -> list[Decision]:
        """Set the stage's code version (a tag, branch or commit; default the code at hand), retrain, and deploy what
        passes the gates.

        A decision per subproject: deployed, rejected, unchanged, or lost to another deployer. Raises DeployFailed if
        some failed, the others are done; and MlopsError, before anything starts, where the stage is unknown, git does
        not know the code version, or that does not take what is registered. ``now``: up to when data counts; ``seed``.
        """
        asked = {"deploy": True, "code_version": code_version, "stage": stage, "why": why, **fields}
        return self._retrain(_listed(subprojects), asked, on_arrival)[0]

    def retrain(
        self,
        subprojects: Keys,
        *,
        stage: str,
        why: str = "retrained by hand",
        on_arrival: OnArrival | None = None,
        **fields: Any,
    ) -> list[Decision]:
        """Train anew with the code version that the stage has, and deploy what passes the gates. As ``deploy``."""
        return self._retrain(_listed(subprojects), {"stage": stage, "why": why, **fields}, on_arrival)[0]

    def finish(self, dagster_run_id: str, *, on_arrival: OnArrival | None = None) -> list[RunRecord]:
        """As ``Launching.finish``; also of a retraining: what it has decided about is not decided about again."""
        left = self.unfinished(dagster_run_id)
        if left.job != RETRAIN or not left.keys:
            return super().finish(dagster_run_id, on_arrival=on_arrival)
        return self._retrain(left.keys, left.fields, on_arrival)[1]

    def promote(
        self, subprojects: Keys, *, source: str, target: str, why: str, on_arrival: OnArrival | None = None
    ) -> list[Decision]:
        """The model that serves in ``source`` is to serve in ``target``, too, if it passes the gates there.

        Raises MlopsError where ``target`` does not come after ``source``, and where nothing serves in ``source``.
        """
        keys = _listed(subprojects)
        fields = PromoteFields(subprojects=keys, source=source, stage=target, why=said(why), by=author())
        Promotion.over(self._ports(), self.project, fields)
        heard = _Heard(on_arrival or ignored)
        heard.execute(
            self.event_log, promote_job(self.project, checks_of(self.project), self.mlops, heard), dict(fields)
        )
        return heard.decisions

    def rollback(self, subprojects: Keys, *, stage: str, why: str, to: int | None = None) -> list[Decision]:
        """An earlier deployment serves again, at once: the one before, or the one with the sequence ``to``."""
        return self._moving(subprojects, Order(stage, "rollback", said(why), author())).roll_back(to)

    def undeploy(self, subprojects: Keys, *, stage: str, why: str) -> list[Decision]:
        """Nothing serves in the stage any more, at once. Raises MlopsError where nothing does."""
        return self._moving(subprojects, Order(stage, "undeploy", said(why), author())).undeploy()

    def deployments(
        self, subprojects: Keys | None = None, *, at: datetime | str | None = None, stage: str | None = None
    ) -> "pd.DataFrame":
        """What serves now, or served at a moment, as rows: run, since when, by whom, why, with which evidence."""
        import pandas as pd

        return pd.DataFrame([row.row() for row in self.serving(subprojects, at=at, stage=stage)])

    def serving(
        self, subprojects: Keys | None = None, *, at: datetime | str | None = None, stage: str | None = None
    ) -> list[Deployment]:
        """The same as values, in the order of subprojects and stages."""
        keys = None if subprojects is None else _listed(subprojects)
        order = self._stage_order(stage)
        self._check_known(keys)
        name = self.project.name
        found = (
            self.ledger.current(name, stage, keys)
            if at is None
            else self.ledger.at(name, moment(at) if isinstance(at, str) else at, stage, keys)
        )
        rows = [row for row in found.values() if row.serves]
        return sorted(rows, key=lambda row: (row.subproject, order.get(row.stage, len(order))))

    def deployment_history(self, subprojects: Keys | None = None, stage: str | None = None) -> list[Deployment]:
        """Every deployment (of these subprojects, in a stage), oldest first."""
        self._stage_order(stage)
        keys = None if subprojects is None else _listed(subprojects)
        self._check_known(keys)
        if keys is not None and len(keys) == 1:
            return self.ledger.history(self.project.name, keys[0], stage)
        among = None if keys is None else set(keys)
        rows = self.ledger.history(self.project.name, stage=stage)
        return [row for row in rows if among is None or row.subproject in among]

    def checks(self, subprojects: Keys | None = None) -> "pd.DataFrame":
        """The last verdict of every gate and of the expectations on data, a row per subproject and check."""
        import pandas as pd

        return pd.DataFrame(self.last_verdicts(subprojects))

    def last_verdicts(self, subprojects: Keys | None = None) -> list[dict[str, Any]]:
        """As ``checks``, as plain rows."""
        from mlops_assets.tracking.verdicts import last_verdicts

        keys = None if subprojects is None else _listed(subprojects)
        self._check_known(keys)
        checks = checks_of(self.project)
        specs = [*checks.dataset.specs, *checks.metrics.specs]
        return last_verdicts(self.event_log, [spec.key for spec in specs], self.subprojects if keys is None else keys)

    def _retrain(
        self, keys: list[str], fields: dict[str, Any], on_arrival: OnArrival | None
    ) -> tuple[list[Decision], list[RunRecord]]:
        self._register_first(keys)
        config = _settings({"by": author(), **fields, "subprojects": keys})
        action: Action = "deploy" if config.get("deploy") or config.get("code_version") else "retrain"
        order = Order(fields["stage"], action, said(fields["why"]), author(), revision=config.get("code_version"))
        now = moment(config["now"]) if "now" in config else datetime.now(UTC)
        plan_retraining(self._ports(), self.project, keys, RetrainRequest(order, now))
        heard = _Heard(on_arrival or ignored)
        heard.execute(
            self.event_log, retrain_job(self.project, checks_of(self.project), self.mlops, heard, True), config
        )
        return heard.decisions, heard.records

    def _moving(self, subprojects: Keys, order: Order) -> Moving:
        return Moving(self._ports(), self.project, order, _listed(subprojects))

    def _stage_order(self, asked: str | None) -> dict[str, int]:
        """The place of every stage, the archive last. Raises UnknownName for one that is asked for and not there."""
        names = [*(stage.name for stage in self.project.stages), ARCHIVE]
        if asked is not None and asked not in names:
            raise UnknownName(f"project {self.project.name!r}: {nearest(asked, names, noun='stage')}")
        return {name: place for place, name in enumerate(names)}

    def _check_known(self, keys: Sequence[str] | None) -> None:
        """Raises UnknownName for a subproject that is neither declared nor registered nor has ever served."""
        strange = [key for key in keys or () if key not in self.project.keys]
        if not strange:
            return
        served = {key for key, _ in self.ledger.current(self.project.name, subprojects=strange, evidence=False)}
        known = {*self.project.keys, *self.subprojects, *served}
        for key in strange:
            if key not in known:
                raise UnknownName(f"project {self.project.name!r}: {nearest(key, known, noun='subproject')}")


@dataclass
class _Heard:
    """What a job tells while it runs. ``tell``: who else is told."""

    tell: OnArrival
    decisions: list[Decision] = field(default_factory=list)
    records: list[RunRecord] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __call__(self, arrived: Arrived) -> None:
        self.records.extend(arrived.records)
        if arrived.decision is not None:
            self.decisions.append(arrived.decision)
        if arrived.error is not None:
            self.failed[arrived.subproject] = arrived.error.message
        self.tell(arrived)

    def execute(self, event_log: EventLog, job: dg.JobDefinition, config: dict[str, Any]) -> None:
        """Raises DeployFailed if some subprojects failed."""
        run_config = {"ops": {op_name(job.name): {"config": config}}, **QUIET}
        run_id = new_dagster_run_id()
        try:
            job.execute_in_process(run_config=run_config, instance=event_log.instance, run_id=run_id)
        except dg.Failure:
            if not self.failed:
                raise
            raise DeployFailed(self.failed, self.decisions, (self.records, run_id)) from None


def said(why: str) -> str:
    """The reason. Raises MlopsError where there is none."""
    if not why.strip():
        raise MlopsError("say why, for those who ask later (--why)")
    return why


def moment(text: str) -> datetime:
    """A moment as people write it (ISO 8601). Raises MlopsError for what is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MlopsError(f"{text!r} is no ISO 8601 time, such as 2026-06-01 or 2026-06-01T12:00:00Z") from None


def _listed(subprojects: Keys) -> list[str]:
    return [subprojects] if isinstance(subprojects, str) else list(dict.fromkeys(subprojects))


def _settings(fields: dict[str, Any]) -> dict[str, Any]:
    """Run config holds plain values, and nothing of what was left out."""
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}
    return {name: value for name, value in plain.items() if value is not None}
