"""Keeping: what was lost of the event log is brought back."""

from mlops_assets.assets.repairing import LostRuns, lost_runs, report_again
from mlops_assets.opened.reading import Reading


class Keeping(Reading):
    """Repairs."""

    def lost_runs(self) -> LostRuns:
        """Runs that were kept in the artifact store and of which the event log knows nothing."""
        return lost_runs(self.artifacts, self.project.name, self.tracker.run_ids())

    def repair(self) -> int:
        """Report lost runs again from their records; return how many. Doing it twice does nothing more."""
        newest = {key: runs.last.created_at for key, runs in self.tracker.latest().items()}
        return report_again(self.event_log, self.lost_runs().records, newest)
