"""Many HPO runs over one cluster: the next run is always one of the subproject that has least in flight.

So the runs of all of them interleave, no core waits for the last fold of one subproject, and the samplers learn as
much as they can before they are asked again.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from mlops_assets.assets.launch import Ports
from mlops_assets.assets.optimising.lane import Lane, News
from mlops_assets.assets.optimising.preparing import Group, Start
from mlops_assets.assets.recording import died
from mlops_assets.assets.travel import travel
from mlops_assets.assets.way import Arrived, Way
from mlops_assets.tracking.record import RunError
from resources.compute import LATER, Later, Needs, Outcome

Tell = Callable[[News], None]


@dataclass
class Conductor:
    """Brings every subproject of a group to its end. ``tell`` hears of everything that happens, in its order.

    ``lane``: makes the way of one subproject when its turn comes: never do thousands of studies lie in memory.
    """

    ports: Ports
    group: Group
    lane: Callable[[Start], Lane]
    tell: Tell
    _waiting: list[Start] = field(default_factory=list)
    _active: list[Lane] = field(default_factory=list)
    _flying: dict[int, tuple[Lane, Way]] = field(default_factory=dict)

    def go(self) -> None:
        """Returns when all of them have ended. An error of one subproject, whatever it is, ends only that one."""
        self._waiting = list(reversed(self.group.starts))
        needs = {start.registered.key: start.needs for start in self.group.starts}
        several = any(need != Needs() for need in needs.values())
        outcomes = self.ports.compute.for_many().map(
            travel,
            self._ways(),
            environment=self.group.environment,
            needs=(lambda way: needs[way.subproject.key] if way.runs else Needs()) if several else None,
        )
        # Closed whatever happens here: workers end at once, not when somebody has looked at the traceback.
        with closing(outcomes):
            for outcome in outcomes:
                lane, way = self._flying.pop(outcome.index)
                lane.in_flight -= 1
                lane.arrived(way, _arrived(way, outcome))
                self._hear(lane)

    def _ways(self) -> Iterator[Way | Later]:
        index = 0
        while True:
            found = self._next()
            if found is not None:
                self._flying[index] = found
                index += 1
                yield found[1]
            elif self._flying:
                yield LATER
            else:
                return

    def _next(self) -> tuple[Lane, Way] | None:
        """The next thing to do, of the subproject with the least in flight; of equal ones that with the most left."""
        for lane in sorted(self._active, key=lambda lane: (lane.in_flight, -lane.left)):
            if lane.in_flight and self._waiting:
                break  # another subproject comes first: its sampler knows more when it is asked
            way = lane.next()
            self._hear(lane)
            if way is not None:
                lane.in_flight += 1
                return lane, way
        if self._waiting:
            self._active.append(self.lane(self._waiting.pop()))
            return self._next()
        return None

    def _hear(self, lane: Lane) -> None:
        for news in lane.take_news():
            self.tell(news)
        if lane.over and lane in self._active:
            self._active.remove(lane)


def _arrived(way: Way, outcome: Outcome[Arrived]) -> Arrived:
    if outcome.error is None:
        return outcome.get()
    message = f"{way.where}: {outcome.error}"
    return died(way, RunError(message=message, traceback=outcome.error.traceback))
