"""Keeping: what is stored of runs stays known, and what nobody needs is freed."""

import getpass

from mlops_assets.assets.deployment import announce, never_announced
from mlops_assets.assets.repairing import Repaired, repair
from mlops_assets.opened.reading import Reading
from mlops_assets.tracking.collection import Collected, collect
from mlops_assets.tracking.lost_runs import LostRuns, lost_runs, snapshots_without_events
from mlops_assets.tracking.survey import Asked, Progress
from resources.freed import Collection, collections
from resources.ledger.deployment import Deployment

# So many of the last models of every stage are kept, to be rolled back to.
DEPLOYED = 5


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

    def gc(
        self, *, dry_run: bool = False, keep: int = 10, older_than: float = 30.0, progress: Progress | None = None
    ) -> Collected:
        """Free models, results and dataset snapshots that no needed run uses; records, configurations and code stay.

        Needed are the runs that a rule of ``mlops_assets.tracking.protection`` names, among them the ``keep`` newest of
        every subproject and all younger than ``older_than`` days. Nothing that was stored or used within a day is
        freed. ``dry_run``: only say what would be freed.
        """
        asked = Asked(keep, older_than, deployed=frozenset(self.ledger.recent_runs(self.project.name, DEPLOYED)))
        return collect(self.tracker, self.artifacts, asked, None if dry_run else getpass.getuser(), progress)

    def unannounced(self) -> list[Deployment]:
        """Deployments that the ledger holds and the event log does not tell of."""
        return never_announced(self.event_log, self.ledger, self.project.name)

    def announce(self) -> int:
        """Let the event log tell of them; return how many those were."""
        return announce(self.event_log, self.unannounced())

    def collections(self) -> list[Collection]:
        """What was freed before: when, by whom, and which artifacts; oldest first."""
        return collections(self.artifacts.files, self.project.name)
