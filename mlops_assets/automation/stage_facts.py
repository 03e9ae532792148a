"""The stages of many subprojects with what serves there and when each is due next, in a few queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlops_assets.automation.due import next_times
from mlops_assets.tracking.last_retrainings import last_retrainings
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.retrainers import registered_stages
from mlops_assets.tracking.stage_status import Stages, StageStatus
from mlops_assets.tracking.tracker import Tracker
from partitions.catalogue import SubprojectConfiguration
from partitions.changes import digests_of
from partitions.stages import Stage
from resources.ledger.ledger import Ledger

# Of more than so many, what speaks for each deployment (verdicts, the proof of parity) is not read.
WITH_EVIDENCE = 200


@dataclass(frozen=True)
class StageFacts:
    """Registered stages, the ledger, the index of runs, at one moment.

    ``declared``: of a subproject that is registered as it is declared, the stages are not read again.
    """

    registry: Registry
    tracker: Tracker
    ledger: Ledger
    now: datetime
    declared: Mapping[str, SubprojectConfiguration] = field(default_factory=dict)

    def of(self, subprojects: Sequence[str] | None = None) -> dict[str, Stages]:
        """The registered stages of every registered subproject (or of these), in their order, by name."""
        registered = self.registry.digests()
        among = registered if subprojects is None else set(subprojects)
        wanted = [key for key in registered if key in among]
        stages = self._stages({key: registered[key] for key in wanted})
        places = {(key, stage.name): stage for key in wanted if key in stages for stage in stages[key]}
        if not places:
            return {}
        project = self.registry.project
        some = None if subprojects is None else wanted
        deployed = self.ledger.current(project, subprojects=some, evidence=len(wanted) <= WITH_EVIDENCE)
        last = last_retrainings(self.tracker, some)
        crons = {place: of.retraining.schedule for place, of in places.items() if of.retraining}
        following = next_times({place: cron for place, cron in crons.items() if cron is not None}, self.now)
        found: dict[str, dict[str, StageStatus]] = {}
        for (key, name), stage in places.items():
            place = (key, name)
            status = StageStatus(stage, deployed.get(place), last.get(place), following.get(place))
            found.setdefault(key, {})[name] = status
        return dict(found)

    def _stages(self, registered: Mapping[str, str]) -> dict[str, tuple[Stage, ...]]:
        some = {key: self.declared[key] for key in registered if key in self.declared}
        digests = digests_of(some)
        same = {key: some[key].stages for key, digest in digests.items() if registered[key] == digest}
        return {**same, **registered_stages(self.registry, [key for key in registered if key not in same])}
