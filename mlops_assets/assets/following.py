"""Following a launch: each arrival's events are logged, told of in the log, and counted as done or failed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import dagster as dg

from mlops_assets.assets.stream import Stream
from mlops_assets.assets.way import Arrived
from resources.event_log import EventLog
from resources.event_storage.entries import AssetEvent, NotMade, RunStep

OnArrival = Callable[[Arrived], None]
EventsOf = Callable[[Arrived], Iterable[AssetEvent | NotMade]]

# Up to so many subprojects have a line each in Dagster's log; of more, a line now and then says how far it is.
FEW = 50
SECONDS_BETWEEN_LINES = 5.0


@dataclass
class Progress:
    """How far a launch has come. ``failed``: error by subproject."""

    total: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=monotonic)
    told: float = 0.0

    def count(self, arrived: Arrived) -> None:
        self.done += 1
        if arrived.error is not None:
            self.failed[arrived.subproject] = arrived.error.message

    def lines(self, batch: list[Arrived]) -> Iterator[str]:
        """What to say after a batch."""
        if self.total <= FEW:
            first = self.done - len(batch) + 1
            yield from (f"{first + n}/{self.total} {said_of(arrived)}" for n, arrived in enumerate(batch))
        elif monotonic() - self.told >= SECONDS_BETWEEN_LINES or self.done == self.total:
            self.told = monotonic()
            rate = self.done / max(monotonic() - self.began, 1e-9)
            left = f"about {(self.total - self.done) / rate:.0f} s left" if self.done < self.total else "all arrived"
            yield f"{self.done}/{self.total}, {len(self.failed)} failed, {rate:.1f} a second, {left}"


def follow(context: Any, arrivals: Iterable[Arrived], progress: Progress, events_of: EventsOf, tell: OnArrival) -> None:
    """Log the events of every arrival in batches, as they come, and count them in ``progress``.

    All events of a subproject are in one batch. ``tell`` hears of an arrival once its events are logged, from a
    thread of its own: whatever was told of survives whatever happens next.
    """
    log = EventLog(context.instance)
    step = RunStep.of(context)

    def handle(batch: list[Arrived]) -> None:
        log.store((event for arrived in batch for event in events_of(arrived)), step)
        handle_settled(context, batch, progress, tell)

    with Stream(handle) as stream:
        for arrived in arrivals:
            stream.put(arrived)


def handle_settled(context: Any, batch: list[Arrived], progress: Progress, tell: OnArrival) -> None:
    """Count and tell of arrivals whose events are logged."""
    for arrived in batch:
        progress.count(arrived)
        if arrived.error is not None:
            context.log.error(f"{arrived.error.message}\n{arrived.error.traceback}")
    for line in progress.lines(batch):
        context.log.info(line)
    for arrived in batch:
        tell(arrived)


def ignored(_: Arrived) -> None:
    """For ``tell`` where nobody listens."""


def said_of(arrived: Arrived) -> str:
    """One line of progress: ``AA: rmse 12.3, mae 8.1``, or why the subproject stopped."""
    if arrived.error is not None:
        return f"{arrived.subproject}: failed"
    if arrived.decision is not None:
        return f"{arrived.subproject}: {arrived.decision.said}"
    if not arrived.records:
        return f"{arrived.subproject}: dataset {arrived.snapshot.data_version[:12] if arrived.snapshot else ''}"
    metrics = arrived.records[-1].metrics
    return f"{arrived.subproject}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def raise_if_failed(progress: Progress) -> None:
    """Fail the step iff some subproject failed, with every one of them and its error."""
    raise_if_any(progress.failed, progress.total)


def raise_if_any(failed: Mapping[str, str], total: int) -> None:
    """Fail the step iff some of ``total`` subprojects failed. ``failed``: error by subproject."""
    if not failed:
        return
    lines = [failed[key] for key in sorted(failed)]
    raise dg.Failure(
        description=f"{len(failed)} of {total} subprojects failed:\n" + "\n".join(lines),
        metadata={"failed": dg.MetadataValue.json(dict(failed))},
        allow_retries=False,
    )
