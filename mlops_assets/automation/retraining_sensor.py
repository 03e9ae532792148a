"""The one sensor that starts retrainings of a project: what is due by schedule, by new data and by signals."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.automation.due import Key, due, next_times
from mlops_assets.automation.retraining import (
    SETTLED,
    Batch,
    Cursor,
    Decision,
    Known,
    Wanted,
    batches,
    decide,
    told,
    wanted_by,
)
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.retrainers import RegisteredRetrainers, Retrainers
from mlops_assets.tracking.retraining_requests import Found, Signals
from mlops_assets.tracking.retrainings import (
    CURSOR_TAG,
    PROJECT_TAG,
    RETRAIN_JOB,
    RETRAIN_OP,
    last_with_cursor,
    retrainings,
    running_retrainings,
)
from partitions.errors import MlopsError
from resources.event_log import EventLog
from resources.home import Home

if TYPE_CHECKING:
    from resources.ledger.ledger import Ledger

RETRAIN_DUE = "retrain_due"
SECONDS = 30
CHUNK_SETTING = "MLOPS_RETRAIN_CHUNK"
CHUNK = 1000

Deployed = Callable[[], Mapping[Key, datetime]]


class Serving:
    """Since when each (subproject, stage) serves what it serves now; read again only when the ledger has grown."""

    def __init__(self, project: str, open_ledger: "Callable[[], Ledger]") -> None:
        self.project = project
        self._open = open_ledger
        self._ledger: Ledger | None = None
        self._known: tuple[int, dict[Key, datetime]] = (-1, {})

    def __call__(self) -> Mapping[Key, datetime]:
        self._ledger = self._ledger or self._open()
        position = self._ledger.position()
        if position != self._known[0]:
            current = self._ledger.current(self.project, evidence=False)
            self._known = (position, {key: one.at for key, one in current.items() if one.serves})
        return self._known[1]


@dataclass(frozen=True)
class RetrainingPorts:
    """``deployed``: when each (subproject, stage) that was ever deployed got what it has now. ``clock``: UTC."""

    deployed: Deployed
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def of(cls, project: str, home: Callable[[], Home]) -> "RetrainingPorts":
        """Those of a home, whose ledger is opened at the first look that needs it."""

        def open_ledger() -> "Ledger":
            from resources.ledger.ledger import Ledger

            return Ledger.of(home())

        return cls(Serving(project, open_ledger))


def retraining_sensor(project: str, ports: RetrainingPorts) -> dg.SensorDefinition:
    """Looks at the registered configurations and starts the job ``retrain`` over what is due, many in one run.

    It runs unless someone stops it in the web UI: a schedule was declared, registered and deployed on purpose.
    """
    chunk = chunk_size()
    memory = _Memory()

    @dg.sensor(
        name=RETRAIN_DUE,
        job_name=RETRAIN_JOB,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts the retrainings that are due: by schedule, on new data, and on signals such as drift.",
    )
    def retrain_due(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        look = _Look(EventLog(context.instance), project, ports, memory)
        decision, cursor, said = look.at(Cursor.read(context.cursor))
        requests = [_request(project, batch, cursor) for batch in batches(decision.start, chunk)]
        text = "; ".join(said)
        if not requests:
            return dg.SensorResult(skip_reason=text, cursor=cursor.text)
        context.log.info(text)
        return dg.SensorResult(run_requests=requests, cursor=cursor.text)

    return retrain_due


def chunk_size() -> int:
    """How many subprojects one run retrains at most."""
    text = os.environ.get(CHUNK_SETTING) or str(CHUNK)
    if not text.isdecimal() or int(text) < 1:
        raise MlopsError(f"{CHUNK_SETTING} is {text!r}; expected a number of subprojects of 1 or more, such as {CHUNK}")
    return int(text)


def _request(project: str, batch: Batch, cursor: Cursor) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{project} {batch.key}",
        run_config={"ops": {RETRAIN_OP: {"config": batch.fields}}},
        # With the cursor, so that it is known again where Dagster's own copy was lost.
        tags={
            PROJECT_TAG: project,
            CURSOR_TAG: cursor.text,
            "mlops/stage": batch.stage,
            "mlops/reason": batch.reason,
            "mlops/subprojects": str(len(batch.wanted)),
        },
    )


class _Memory:
    """What one process keeps from look to look: registered retrainers, and the next time that any is due."""

    def __init__(self) -> None:
        self.registered = RegisteredRetrainers()
        self._next: tuple[Retrainers, datetime, datetime | None] | None = None

    def next_after(self, retrainers: Retrainers, now: datetime) -> datetime | None:
        """The next due time of all after ``now``; asked again only once it has passed or schedules have changed."""
        known = self._next
        if known is None or known[0] is not retrainers or now < known[1] or (known[2] and known[2] <= now):
            times = [at for at in next_times(retrainers.schedules, now).values() if at is not None]
            self._next = known = (retrainers, now, min(times, default=None))
        return known[2]

    def nothing_between(self, retrainers: Retrainers, since: datetime, now: datetime) -> bool:
        known = self._next
        return known is not None and known[0] is retrainers and known[1] <= since and (not known[2] or now < known[2])


class _Look:
    """One look of the sensor."""

    def __init__(self, event_log: EventLog, project: str, ports: RetrainingPorts, memory: _Memory) -> None:
        self.event_log = event_log
        self.project = project
        self.ports = ports
        self.memory = memory
        self.now = ports.clock()

    def at(self, cursor: Cursor | None) -> tuple[Decision, Cursor, list[str]]:
        """What to start, the cursor after it, and what to tell people."""
        said = []
        if cursor is None:
            cursor, sentence = self._found_again()
            said.append(sentence)
        if cursor.since > self.now:
            said.append(f"the clock was set back from {cursor.since:%Y-%m-%d %H:%M:%S} UTC: times count from now on")
            cursor = replace(cursor, since=self.now)
        retrainers = self.memory.registered.current(Registry(self.event_log, self.project))
        scheduled = self._scheduled(retrainers, cursor.since)
        signals = Signals(self.event_log, self.project, self.now - SETTLED)
        asked = signals.asked(retrainers.stages, cursor.asked)
        new_data = self._new_data(signals, retrainers, cursor.data)
        wanted = [*scheduled, *_wanted(asked, retrainers), *_wanted(new_data, retrainers)]
        decision = decide(wanted, self._known(wanted)) if wanted else Decision()
        seen = Cursor(self.now, new_data.last if new_data else None, asked.last)
        said += told(decision, self.now) or [self._nothing(retrainers)]
        return decision, seen.after(seen, decision.held), said

    def _found_again(self) -> tuple[Cursor, str]:
        last = last_with_cursor(self.event_log.instance, self.project)
        found = Cursor.read(last.tags[CURSOR_TAG]) if last else None
        if found is None:
            return Cursor(self.now), "first look: schedules count from now on"
        return found, f"no cursor: going on from that of run {last.dagster_run_id}" if last else ""

    def _scheduled(self, retrainers: Retrainers, since: datetime) -> list[Wanted]:
        if self.memory.nothing_between(retrainers, since, self.now):
            return []
        return wanted_by(due(retrainers.schedules, since, self.now))

    def _new_data(self, signals: Signals, retrainers: Retrainers, after: int | None) -> Found | None:
        return signals.new_data(retrainers.on_new_data, after) if retrainers.on_new_data else None

    def _known(self, wanted: list[Wanted]) -> Known:
        instance = self.event_log.instance
        earlier = retrainings(instance, self.project, since=min(one.at for one in wanted))
        begun: dict[Key, datetime] = {}
        for run in earlier:
            for key in run.keys if run.created_at <= self.now else ():
                begun[key] = max(begun.get(key, run.created_at), run.created_at)
        return Known(
            deployed=self.ports.deployed(),
            running={key for run in running_retrainings(instance, self.project, self.now) for key in run.keys},
            started={((key, run.stage), at) for run in earlier for key, at in run.due.items()},
            begun=begun,
        )

    def _nothing(self, retrainers: Retrainers) -> str:
        upcoming = self.memory.next_after(retrainers, self.now)
        when = f", the next at {upcoming:%Y-%m-%d %H:%M} UTC" if upcoming else ""
        return f"nothing is due of {len(retrainers.schedules):,} schedules{when}"


def _wanted(found: Found | None, retrainers: Retrainers) -> list[Wanted]:
    """Signals for those that are registered."""
    signals = found.signals if found else ()
    return [
        Wanted(one.subproject, one.stage, one.at, one.reason, one.why, one.event_id)
        for one in signals
        if (one.subproject, one.stage) in retrainers.all
    ]
