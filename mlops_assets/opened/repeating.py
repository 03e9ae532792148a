"""Repeating: the same run again, to see whether it is."""

from mlops_assets.assets.replaying import replay
from mlops_assets.opened.reading import Reading
from mlops_assets.tracking.replay import Replay


class Repeating(Reading):
    """Replays."""

    def replay(self, run_id: str, *, threads: int | None = None) -> Replay:
        """Run the same again, in a new process and never from a cache: identical, or what differs and since when.

        A run of kind ``replay`` is tracked. Raises MlopsError, before anything starts, for a run that did not succeed
        or whose code, data or configuration cannot be had any more.
        """
        record = self.tracker.find(run_id)
        return replay(self._ports(), self.project, record, self.tracker.records([record.subproject]), threads)
