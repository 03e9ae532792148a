"""Whether a sensor of a project runs: switched on or off in the web UI, and whether there is a daemon to run it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType

SENSOR_DAEMON = "SENSOR"
# Dagster's daemons say twice a minute that they live, and are taken for dead after this.
SILENT = timedelta(minutes=5)


@dataclass(frozen=True)
class SensorState:
    """``on``: not switched off. ``daemon``: whether one runs at all. ``looked``: when the sensor looked last."""

    name: str
    on: bool
    daemon: bool
    looked: datetime | None = None
    said: str | None = None

    @property
    def text(self) -> str:
        """In a line, with what to do where it does not work."""
        if not self.on:
            return f"sensor {self.name} is switched off: nothing is retrained by itself; switch it on in the web UI"
        if not self.daemon:
            return f"sensor {self.name} is on, and no daemon runs it: `mlops dev` starts one"
        last = f", last looked {self.looked:%Y-%m-%d %H:%M:%S} UTC" if self.looked else ""
        return f"sensor {self.name} is on{last}" + (f": {self.said}" if self.said else "")

    def row(self) -> dict[str, Any]:
        looked = self.looked.isoformat() if self.looked else None
        return {"name": self.name, "on": self.on, "daemon": self.daemon, "looked": looked, "said": self.said}


def sensor_state(instance: dg.DagsterInstance, name: str, package: str) -> SensorState:
    """The sensor of the code location whose definitions are in ``package``; on, as declared, until it was switched."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    named = [state for state in states if state.instigator_name == name]
    own = [state for state in named if _package(state) == package] or (named if len(named) == 1 else [])
    daemon = _daemon_lives(instance)
    if not own:
        return SensorState(name, on=True, daemon=daemon)
    state = own[-1]
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    last = ticks[0] if ticks else None
    return SensorState(
        name,
        on=state.status != InstigatorStatus.STOPPED,
        daemon=daemon,
        looked=datetime.fromtimestamp(last.timestamp, UTC) if last else None,
        said=(last.skip_reason or (f"{len(last.run_ids)} runs started" if last.run_ids else None)) if last else None,
    )


def _package(state: InstigatorState) -> str:
    target = state.origin.repository_origin.code_location_origin.loadable_target_origin
    module: str = getattr(target, "module_name", None) or ""
    return module.rpartition(".")[0]


def _daemon_lives(instance: dg.DagsterInstance) -> bool:
    heartbeat: Any = instance.get_daemon_heartbeats().get(SENSOR_DAEMON)
    return heartbeat is not None and datetime.now(UTC).timestamp() - heartbeat.timestamp < SILENT.total_seconds()
