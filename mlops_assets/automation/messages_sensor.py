"""The sensor that sends messages: it looks for what nobody told of, and delivers what waits."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.delivery import deliver
from mlops_assets.assets.messages import Occurrence, tell
from mlops_assets.automation.due import due
from mlops_assets.automation.retraining import LATE, SETTLED
from mlops_assets.automation.telling import decided, judged, not_retrained, overdue
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.retrainers import RegisteredRetrainers
from mlops_assets.tracking.retrainings import ended_retrainings, retrainings
from mlops_assets.tracking.stage_observations import NewEvents, StageObservation
from resources.event_log import EventLog
from resources.home import Home

if TYPE_CHECKING:
    from resources.ledger.ledger import Ledger
    from resources.messages.outbox import Outbox

SEND_MESSAGES = "send_messages"
SECONDS = 30
# Dagster writes the end of a run, and then when it was changed: look at the last minutes again, telling nothing twice.
OVERLAP = timedelta(minutes=5)
# A run that failed may still be telling what became of its subprojects itself, in better words.
GRACE = timedelta(minutes=1)


@dataclass(frozen=True)
class MessagesPorts:
    """The home of the project, opened when it is needed, and the clock (UTC)."""

    home: Callable[[], Home]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def messages_sensor(project: str, ports: MessagesPorts) -> dg.SensorDefinition:
    """Sends what is in the outbox, in one letter per target; runs unless someone stops it in the web UI."""
    memory = _Memory(ports)

    @dg.sensor(
        name=SEND_MESSAGES,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends messages: deployed, rolled back; gates and retrainings that failed; overdue, recovered.",
    )
    def send_messages(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = ports.clock()
        looking = _Looking(Registry(EventLog(context.instance), project), memory, now)
        before = _Cursor.read(context.cursor)
        occurrences, cursor = looking.since(before) if before else ([], looking.start())
        kept = looking.tell(occurrences)
        said = str(deliver(memory.outbox, project, clock=ports.clock))
        noted = f"{kept:,} new messages; " if kept else ""
        return dg.SensorResult(skip_reason=noted + said, cursor=cursor.text)

    return send_messages


@dataclass(frozen=True)
class _Cursor:
    """The last decision of the ledger and the last event that were told of, and when the sensor last looked."""

    sequence: int
    event: int
    looked: datetime

    @classmethod
    def read(cls, text: str | None) -> "_Cursor | None":
        try:
            fields = json.loads(text or "")
            return cls(int(fields["sequence"]), int(fields["event"]), datetime.fromisoformat(fields["looked"]))
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def text(self) -> str:
        return json.dumps({"sequence": self.sequence, "event": self.event, "looked": self.looked.isoformat()})


@dataclass
class _Memory:
    """What one process keeps from look to look."""

    ports: MessagesPorts
    retrainers: RegisteredRetrainers = field(default_factory=RegisteredRetrainers)
    _opened: "list[tuple[Ledger, Outbox]]" = field(default_factory=list)

    @property
    def ledger(self) -> "Ledger":
        return self._open()[0]

    @property
    def outbox(self) -> "Outbox":
        return self._open()[1]

    def _open(self) -> "tuple[Ledger, Outbox]":
        from resources.ledger.ledger import Ledger
        from resources.messages.outbox import Outbox

        if not self._opened:
            home = self.ports.home()
            self._opened.append((Ledger.of(home), Outbox.of(home)))
        return self._opened[0]


class _Looking:
    """One look at what happened since the last one."""

    def __init__(self, registry: Registry, memory: _Memory, now: datetime) -> None:
        self.registry = registry
        self.memory = memory
        self.now = now

    def start(self) -> _Cursor:
        """Where a first look begins: what happened before it is history, not news."""
        return _Cursor(self.memory.ledger.position(), self._observed(None)[1], self.now)

    def since(self, cursor: _Cursor) -> tuple[list[Occurrence], _Cursor]:
        ledger, project = self.memory.ledger, self.registry.project
        position = ledger.position()
        news = ledger.history(project, after=cursor.sequence) if position > cursor.sequence else []
        observed, last = self._observed(cursor.event)
        # A clock that was set back looks at nothing twice: what has an id is told once.
        looked = min(cursor.looked, self.now)
        found = [*decided(news), *judged(project, observed), *self._not_retrained(looked), *self._overdue(looked)]
        return found, _Cursor(max([cursor.sequence, *(one.sequence for one in news)]), last, self.now)

    def _observed(self, after: int | None) -> tuple[list[StageObservation], int]:
        stages = self.memory.retrainers.current(self.registry).stages
        return NewEvents(self.registry.event_log, self.registry.project, self.now - SETTLED).observations(stages, after)

    def tell(self, occurrences: list[Occurrence]) -> int:
        if not occurrences:
            return 0
        live = set(self.registry.keys())
        keys = sorted({one.subproject for one in occurrences} & live)
        return tell(self.memory.outbox, self.registry.last_configurations(keys), occurrences)

    def _not_retrained(self, looked: datetime) -> list[Occurrence]:
        event_log, project = self.registry.event_log, self.registry.project
        found = []
        for run in ended_retrainings(event_log.instance, project, looked - OVERLAP - GRACE):
            if run.ended_at is None or run.ended_at <= self.now - GRACE:
                found += not_retrained(project, run, event_log.noted_in(run.dagster_run_id))
        told = self.memory.outbox.told_of([one.id for one in found])
        return [one for one in found if one.id not in told]

    def _overdue(self, looked: datetime) -> list[Occurrence]:
        schedules = self.memory.retrainers.current(self.registry).schedules
        late = due(schedules, looked - LATE, self.now - LATE)
        if not late:
            return []
        runs = retrainings(self.registry.event_log.instance, self.registry.project, since=min(one.at for one in late))
        current = self.memory.ledger.current(self.registry.project, evidence=False)
        serving = {key: one.at for key, one in current.items() if one.serves}
        return overdue(self.registry.project, late, runs, serving)
