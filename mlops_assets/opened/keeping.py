"""Keeping: what is stored of runs stays known, and what nobody needs is freed."""

from mlops_assets.assets.repairing import Repaired, repair
from mlops_assets.opened.reading import Reading
from mlops_assets.tracking.lost_runs import LostRuns, lost_runs, snapshots_without_events


class Keeping(Reading):
    """Repairs and collections."""

    def lost_runs(self) -> LostRuns:
        """Runs whose record.json is there and whose event is gone."""
        return lost_runs(self.tracker, self.artifacts)

    def repair(self) -> Repaired:
        """Report lost runs again, from their record.json. Notes and tags given later were events, and are not kept."""
        return repair(self.tracker, self.artifacts)

    def snapshots_without_events(self) -> int:
        """How many subprojects have stored snapshots and no event that tells of any."""
        known = self.event_log.latest_data_versions((self.project.name, "dataset"))
        return snapshots_without_events(self.artifacts, self.project.name, known)
