"""What stands in each stage of a subproject, and when it is retrained next: for overviews."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_assets.tracking.last_retrainings import LastRetraining
from partitions.stages import Cron, Stage
from resources.ledger.deployment import Deployment


@dataclass(frozen=True)
class StageStatus:
    """One stage of one subproject. ``next``: when its schedule is due next.

    ``deployment``: the last decision, which may be that nothing serves; its evidence may have been left out.
    """

    stage: Stage
    deployment: Deployment | None = None
    last: LastRetraining | None = None
    next: datetime | None = None

    @property
    def serving(self) -> Deployment | None:
        return self.deployment if self.deployment is not None and self.deployment.serves else None

    @property
    def cron(self) -> Cron | None:
        return self.stage.retraining.schedule if self.stage.retraining else None

    @property
    def on_new_data(self) -> bool:
        return self.stage.retraining is not None and self.stage.retraining.on_new_data

    @property
    def verdicts(self) -> list[dict[str, Any]] | None:
        """Those with which it was deployed; None where they were not read."""
        verdicts = self.serving.evidence.get("verdicts") if self.serving else None
        return list(verdicts) if isinstance(verdicts, (list, tuple)) else None

    def row(self) -> dict[str, Any]:
        """As plain data, with the same keys for every stage."""
        serving, last = self.serving, self.last
        return {
            "run_id": serving.run_id if serving else None,
            "action": serving.action if serving else None,
            "since": serving.at.isoformat() if serving else None,
            "by": serving.by if serving else None,
            "why": serving.why if serving else None,
            "sequence": serving.sequence if serving else None,
            "code_version": serving.code_version if serving else None,
            "revision": serving.revision if serving else None,
            "data_version": serving.data_version if serving else None,
            "metrics": dict(serving.metrics) if serving else {},
            "verdicts": self.verdicts,
            "last_retraining": last.run_id if last else None,
            "last_retraining_status": last.status if last else None,
            "last_retraining_at": last.at.isoformat() if last else None,
            "next": self.next.isoformat() if self.next else None,
        }

    def schedule_row(self) -> dict[str, Any]:
        return {
            "cron": self.cron.expression if self.cron else None,
            "timezone": self.cron.timezone if self.cron else None,
            "on_new_data": self.on_new_data,
            "next": self.next.isoformat() if self.next else None,
        }


Stages = Mapping[str, StageStatus]


def stages_row(stages: Stages) -> dict[str, Any] | None:
    """By stage; None where a subproject has no stages."""
    return {name: status.row() for name, status in stages.items()} or None


def schedules_row(stages: Stages) -> dict[str, Any] | None:
    """By stage, those that are retrained by themselves; None where none is."""
    return {name: of.schedule_row() for name, of in stages.items() if of.cron or of.on_new_data} or None


def no_stages(subprojects: Sequence[str] | None) -> Mapping[str, Stages]:
    """Where nobody asks for stages."""
    return {}
