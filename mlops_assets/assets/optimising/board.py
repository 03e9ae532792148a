"""How HPO runs stand, all of a launch together: trials done, running, pruned and failed, the rate, the time left."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from mlops_assets.assets.optimising.lane import News, Standing


@dataclass
class Board:
    """``failed``: error by subproject. ``ended``: subprojects that have got to their end, failed ones among them."""

    subprojects: int
    trials: int
    metric: str
    standings: dict[str, Standing] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=monotonic)
    before: dict[str, int] = field(default_factory=dict)

    def hear(self, news: News) -> None:
        if news.standing is not None:
            # What was done before this process says nothing about its rate.
            self.before.setdefault(news.subproject, max(0, news.standing.done - (news.what == "run")))
            self.standings[news.subproject] = news.standing
        if news.what in ("ended", "stopped") or (news.what == "data" and news.error is not None):
            self.ended.add(news.subproject)
        if news.error is not None:
            self.failed[news.subproject] = news.error.message

    @property
    def done(self) -> int:
        return sum(standing.done for standing in self.standings.values())

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None while there is none."""
        new = self.done - sum(self.before.values())
        waiting = self.trials - self.done
        return (monotonic() - self.began) / new * waiting if new > 0 and waiting > 0 else None

    def line(self) -> str:
        """``12/40 trials done, 2 running, 3 pruned, 1 failed; best rmse 12.34; 1.9 a second, about 15 s left``."""
        standings = self.standings.values()
        running, pruned, failed = (sum(getattr(s, n) for s in standings) for n in ("running", "pruned", "failed"))
        ended = f"{len(self.ended)}/{self.subprojects} subprojects ended, " if self.subprojects > 1 else ""
        new, seconds = self.done - sum(self.before.values()), max(monotonic() - self.began, 1e-9)
        left = self.seconds_left
        said = [f"{ended}{self.done}/{self.trials} trials done, {running} running, {pruned} pruned, {failed} failed"]
        if len(self.standings) == 1 and (best := next(iter(standings)).best) is not None:
            said.append(f"best {self.metric} {best:.6g}")
        said.append(f"{new / seconds:.2g} a second" + (f", about {left:.0f} s left" if left is not None else ""))
        return "; ".join(said)


OnNews = Callable[[News, Board], None]


def unheard(_: News, __: Board) -> None:
    """For where nobody listens."""
