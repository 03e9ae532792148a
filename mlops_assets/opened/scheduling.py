"""Scheduling: when each subproject is retrained by itself, and asking for a retraining on a signal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.automation.retraining_sensor import RETRAIN_DUE
from mlops_assets.automation.stage_facts import StageFacts
from mlops_assets.opened.registration import Registering
from mlops_assets.tracking.overview import chosen
from mlops_assets.tracking.retraining_requests import Asked, ask_to_retrain
from mlops_assets.tracking.sensor_state import SensorState, sensor_state
from mlops_assets.tracking.stage_status import StageStatus
from partitions.errors import MlopsError, UnknownName, nearest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scheduled:
    """One retrainer that starts by itself."""

    subproject: str
    status: StageStatus

    def row(self) -> dict[str, Any]:
        status = self.status
        row = status.row()
        last = ("last_retraining", "last_retraining_status", "last_retraining_at")
        return {
            "subproject": self.subproject,
            "stage": status.stage.name,
            **status.schedule_row(),
            "deployed": row["run_id"],
            "deployed_since": row["since"],
            **{name: row[name] for name in last},
        }


class Scheduling(Registering):
    """Schedules and signals."""

    def schedules(
        self, subprojects: str | Sequence[str] = (), *, tags: Mapping[str, str] | None = None
    ) -> "pd.DataFrame":
        """A row per subproject and stage that is retrained by itself: cron, time zone, next time (UTC), last outcome.

        What is registered counts, not what is declared and not yet applied.
        """
        import pandas as pd

        return pd.DataFrame([one.row() for one in self.scheduled(subprojects, tags=tags)])

    def scheduled(
        self, subprojects: str | Sequence[str] = (), *, tags: Mapping[str, str] | None = None
    ) -> list[Scheduled]:
        """The same as values, what is due next first. Raises UnknownName for what is not registered."""
        patterns = [subprojects] if isinstance(subprojects, str) else list(subprojects)
        declared = self.declared()
        known = {key: declared[key].tags if key in declared else {} for key in self.subprojects}
        keys = chosen(self.project.name, known, patterns, tags or {}) if patterns or tags else None
        facts = StageFacts(self.registry, self.tracker, self.ledger, datetime.now(UTC), declared)
        found = [
            Scheduled(key, status)
            for key, stages in facts.of(keys).items()
            for status in stages.values()
            if status.cron or status.on_new_data
        ]
        far = datetime.max.replace(tzinfo=UTC)
        return sorted(found, key=lambda one: (one.status.next or far, one.subproject, one.status.stage.name))

    def retraining_sensor(self) -> SensorState:
        """Whether the sensor that starts retrainings is on, and whether a daemon runs it."""
        package = type(self.project.pipeline).__module__.rpartition(".")[0]
        return sensor_state(self.event_log.instance, RETRAIN_DUE, package)

    def ask_to_retrain(self, subprojects: str | Sequence[str], *, stage: str, reason: str, why: str) -> None:
        """Have the sensor retrain these, together with all else that is due: ``reason="drift"``, ``why`` in a sentence.

        What monitoring calls on a signal. A stage in which nothing was ever deployed is left as it is.
        """
        keys = [subprojects] if isinstance(subprojects, str) else list(subprojects)
        stages = [declared.name for declared in self.project.stages]
        if stage not in stages:
            raise UnknownName(f"project {self.project.name!r}: {nearest(stage, stages, noun='stage')}")
        registered = self.subprojects
        for key in keys:
            if key not in registered:
                raise UnknownName(f"project {self.project.name!r}: {nearest(key, registered, noun='subproject')}")
        if not keys:
            raise MlopsError(f"project {self.project.name!r}: name the subprojects to retrain")
        ask_to_retrain(self.event_log, self.project.name, keys, Asked(stage, reason, why))
