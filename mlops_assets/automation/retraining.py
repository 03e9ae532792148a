"""Which retrainings to start at one look, and which not and why: pure."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlops_assets.automation.due import SECOND, Due, Key

SCHEDULE = "schedule"
# A start that is so much later than its due time was kept waiting: by an outage, or by the retraining before.
LATE = timedelta(hours=1)
SHOWN = 3
# Events that are younger may have older ones to come, of a writer that has not committed yet.
SETTLED = timedelta(seconds=10)


@dataclass(frozen=True)
class Wanted:
    """A retraining that something asks for. ``at``: the due time, or when the event was logged that asks for it."""

    subproject: str
    stage: str
    at: datetime
    reason: str
    why: str
    event_id: int = 0

    @property
    def key(self) -> Key:
        return self.subproject, self.stage

    @property
    def scheduled(self) -> bool:
        return self.reason == SCHEDULE


@dataclass(frozen=True)
class Known:
    """What is known of what was started. ``deployed``: when each that was ever deployed got what it has now.

    ``started``: due times for which a retraining was started. ``begun``: when retrainings of a key began, up to now.
    """

    deployed: Mapping[Key, datetime]
    running: Collection[Key] = frozenset()
    started: Collection[tuple[Key, datetime]] = frozenset()
    begun: Mapping[Key, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """``start`` now; ``held`` until the retraining that is running has ended; the others not at all, by reason."""

    start: tuple[Wanted, ...] = ()
    held: tuple[Wanted, ...] = ()
    left: Mapping[str, tuple[Wanted, ...]] = field(default_factory=dict)

    @property
    def overdue(self) -> tuple[Wanted, ...]:
        """Those whose due time passed while the retraining before it was still running."""
        return tuple(wanted for wanted in self.held if wanted.scheduled)


def wanted_by(due: Iterable[Due]) -> list[Wanted]:
    return [Wanted(one.subproject, one.stage, one.at, SCHEDULE, f"due at {_text(one.at)}") for one in due]


def decide(wanted: Sequence[Wanted], known: Known) -> Decision:
    """Each key at most once: what comes first in ``wanted`` speaks for what else asks for the same."""
    start: dict[Key, Wanted] = {}
    held: list[Wanted] = []
    left: dict[str, list[Wanted]] = {}
    for one in wanted:
        why_not = _why_not(one, known)
        if why_not is not None:
            left.setdefault(why_not, []).append(one)
        elif one.key in known.running:
            held.append(one)
        else:
            start.setdefault(one.key, one)
    return Decision(tuple(start.values()), tuple(held), {reason: tuple(of) for reason, of in left.items()})


def _why_not(one: Wanted, known: Known) -> str | None:
    since = known.deployed.get(one.key)
    if since is None:
        return "never deployed"
    if (one.key, one.at) in known.started:
        return "started before"
    if since >= one.at:
        return "deployed since"
    if not one.scheduled and one.key in known.begun and known.begun[one.key] >= one.at:
        return "retrained since"  # what began later has read what asks for it
    return None


@dataclass(frozen=True)
class Cursor:
    """Up to where the sensor has dealt with everything: times of schedules, events of new data, events that ask."""

    since: datetime
    data: int | None = None
    asked: int | None = None

    @classmethod
    def read(cls, text: str | None) -> "Cursor | None":
        """None for what is no cursor: it is taken as lost."""
        try:
            fields = json.loads(text or "")
            return cls(datetime.fromisoformat(fields["since"]), fields["data"], fields["asked"])
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def text(self) -> str:
        return json.dumps({"since": self.since.isoformat(), "data": self.data, "asked": self.asked})

    def after(self, seen: "Cursor", held: Sequence[Wanted]) -> "Cursor":
        """The cursor after a look that saw everything up to ``seen``: before the first thing that is held."""
        times = [one.at - SECOND for one in held if one.scheduled]
        data = [one.event_id - 1 for one in held if one.reason == "new data"]
        asked = [one.event_id - 1 for one in held if not one.scheduled and one.reason != "new data"]
        return Cursor(
            since=min([seen.since, *times]),
            data=_least(seen.data, data),
            asked=_least(seen.asked, asked),
        )


@dataclass(frozen=True)
class Batch:
    """Retrainings that one Dagster run does: one stage, one reason."""

    stage: str
    reason: str
    wanted: tuple[Wanted, ...]

    @property
    def fields(self) -> dict[str, object]:
        """The run config of the op."""
        whys = sorted({one.why for one in self.wanted})
        more = f" (and {len(whys) - SHOWN} more)" if len(whys) > SHOWN else ""
        return {
            "subprojects": [one.subproject for one in self.wanted],
            "stage": self.stage,
            "reason": self.reason,
            "why": "; ".join(whys[:SHOWN]) + more,
            "due": {one.subproject: one.at.isoformat() for one in self.wanted},
        }

    @property
    def key(self) -> str:
        """The same for the same retrainings at the same times, and for no others."""
        told = json.dumps([[one.subproject, one.at.isoformat()] for one in self.wanted])
        return f"{self.stage} {self.reason} {hashlib.sha256(told.encode()).hexdigest()[:32]}"


def batches(start: Iterable[Wanted], size: int) -> Iterator[Batch]:
    """In the order of subprojects, at most ``size`` in each."""
    groups: dict[tuple[str, str], list[Wanted]] = {}
    for one in start:
        groups.setdefault((one.stage, one.reason), []).append(one)
    for (stage, reason), of_group in sorted(groups.items()):
        ordered = sorted(of_group, key=lambda one: one.subproject)
        for first in range(0, len(ordered), size):
            yield Batch(stage, reason, tuple(ordered[first : first + size]))


def told(decision: Decision, now: datetime) -> list[str]:
    """What a look did and why not, a sentence each, for people."""
    sentences = []
    for batch in batches(decision.start, len(decision.start) or 1):
        late = [one for one in batch.wanted if one.scheduled and now - one.at > LATE]
        missed = f", {len(late):,} of them late: {_some(late)}" if late else ""
        sentences.append(f"{batch.stage}: {len(batch.wanted):,} started, {batch.reason}: {_some(batch.wanted)}{missed}")
    if decision.held:
        sentences.append(
            f"{len(decision.held):,} wait for the retraining that is still running: {_some(decision.held)}"
        )
    for reason, of in decision.left.items():
        if reason != "started before":
            sentences.append(f"{len(of):,} not started, {reason}: {_some(of)}")
    return sentences


def _some(wanted: Sequence[Wanted]) -> str:
    names = ", ".join(f"{one.subproject}/{one.stage}" for one in wanted[:SHOWN])
    return names + (" ..." if len(wanted) > SHOWN else "")


def _least(seen: int | None, held: Sequence[int]) -> int | None:
    return seen if seen is None else min([seen, *held])


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
