"""Repeating: the same run again, to see whether it is, and with one thing changed, to see what that does."""

from mlops_assets.assets.explaining import Explaining, OnRun, explaining
from mlops_assets.assets.replaying import replay
from mlops_assets.opened.reading import Reading
from mlops_assets.tracking.explanation import Explanation, ExplanationPlan
from mlops_assets.tracking.replay import Replay

SEEDS = 3


class Repeating(Reading):
    """Replays and explanations."""

    def replay(self, run_id: str, *, threads: int | None = None) -> Replay:
        """Run the same again, in a new process and never from a cache: identical, or what differs and since when.

        A run of kind ``replay`` is tracked. Raises MlopsError, before anything starts, for a run that did not succeed
        or whose code, data or configuration cannot be had any more.
        """
        record = self.tracker.find(run_id)
        return replay(self._ports(), self.project, record, self.tracker.records([record.subproject]), threads)

    def explain(
        self, a: str, b: str, *, metric: str | None = None, seeds: int = SEEDS, on_run: OnRun | None = None
    ) -> Explanation:
        """Why run b has another metric than run a: the parts of code, data, configuration and seed, which add up.

        Runs the combinations that never were run (at most 16 with the two) and ``seeds`` other seeds of the first one,
        each tracked as kind ``replay``; asked again, it runs nothing. metric: default what is optimised. Raises
        MlopsError, before anything starts, for runs that cannot be compared or cannot be had any more.
        """
        return self.explaining(a, b, metric=metric, seeds=seeds).explain(on_run)

    def explain_plan(self, a: str, b: str, *, metric: str | None = None, seeds: int = SEEDS) -> ExplanationPlan:
        """What ``explain`` would run, and about how long that takes. Runs nothing."""
        return self.explaining(a, b, metric=metric, seeds=seeds).plan

    def explaining(self, a: str, b: str, *, metric: str | None = None, seeds: int = SEEDS) -> Explaining:
        """``explain`` in two steps: a plan to look at, and ``.explain()``. Raises as ``explain``."""
        runs = self.tracker.find(a), self.tracker.find(b)
        known = self.tracker.records([runs[0].subproject])
        return explaining(self._ports(), self.project, runs, (metric or self.metric, seeds), known)
