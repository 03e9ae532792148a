"""What happens by itself: registering what the code location declares."""

import json
import os
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from mlops_assets.assets.configuration import Declared, Terms, author, register
from mlops_assets.tracking.registry import Registry, State
from partitions.catalogue import catalogue
from partitions.changes import digest_over, digests_of
from partitions.errors import MlopsError
from partitions.project import Project
from resources.event_log import EventLog
from resources.registration_lock import Busy

SETTING = "MLOPS_AUTO_APPLY"
MODES = ("off", "register", "retire")
REGISTER_DECLARED = "register_declared"
SECONDS = 30


def register_sensor(project: Project) -> dg.SensorDefinition:
    """Does in the daemon what ``mlops apply`` does, once for each declaration that a code location is loaded with.

    MLOPS_AUTO_APPLY: "off" leaves the sensor stopped, for a person to start in the web UI; "register" starts it;
    "retire" also lets it retire what is no longer declared. Stopped is the default because ``mlops apply`` shows its
    plan and asks: that nobody is asked any more is a decision that someone makes.
    """
    mode = os.environ.get(SETTING) or "off"
    if mode not in MODES:
        raise MlopsError(f"{SETTING} is {mode!r}; expected one of {', '.join(MODES)}")
    declaration = _Declaration(project)

    @dg.sensor(
        name=REGISTER_DECLARED,
        minimum_interval_seconds=SECONDS,
        description="Registers new and changed subprojects when the code location is loaded with another declaration.",
        default_status=dg.DefaultSensorStatus.STOPPED if mode == "off" else dg.DefaultSensorStatus.RUNNING,
    )
    def register_declared(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        registry = Registry(EventLog(context.instance), project.name)
        return _tick(registry, declaration, _Cursor(declaration.digest, mode == "retire"), context.cursor)

    return register_declared


class _Declaration:
    """What the code location declares, resolved once: a process never sees another declaration."""

    def __init__(self, project: Project) -> None:
        self.project = project

    @cached_property
    def configurations(self) -> Declared:
        return catalogue(self.project)

    @cached_property
    def digests(self) -> dict[str, str]:
        return digests_of(self.configurations)

    @cached_property
    def digest(self) -> str:
        return digest_over(self.digests)


@dataclass(frozen=True)
class _Cursor:
    """What the sensor has dealt with. It never does the same declaration twice: the code location may be older than
    what someone has applied since, and would turn it back at every tick."""

    declared: str
    retire: bool

    @property
    def text(self) -> str:
        return json.dumps({"declared": self.declared, "retire": self.retire})


def _tick(registry: Registry, declaration: _Declaration, now: _Cursor, seen: str | None) -> dg.SensorResult:
    differing = _differing(declaration, registry.state())
    if not differing:
        said = f"all {len(declaration.digests):,} subprojects are registered as declared"
        return dg.SensorResult(skip_reason=said, cursor=now.text)
    if seen == now.text:
        said = f"{differing}: left alone, as this declaration was dealt with before; `mlops plan` shows the difference"
        return dg.SensorResult(skip_reason=said, cursor=now.text)
    terms = Terms(retire="retire" if now.retire else "leave", by=f"sensor {REGISTER_DECLARED} of {author()}")
    try:
        done = register(registry, declaration.configurations, terms)
    except Busy as busy:
        return dg.SensorResult(skip_reason=f"{busy}; this sensor tries again in {SECONDS} seconds", cursor=seen)
    said = (
        f"registered: {len(done.new):,} new, {len(done.changed):,} changed, {len(done.brought_back):,} brought back, "
        f"{len(done.retired):,} retired"
    )
    left = _differing(declaration, registry.state())
    more = f"; left: {left}, which `mlops apply --allow-retire` retires, or {SETTING}=retire" if left else ""
    return dg.SensorResult(skip_reason=said + more, cursor=now.text)


def _differing(declaration: _Declaration, state: State) -> str:
    """How many subprojects are registered otherwise, by digests alone; empty where none are."""
    declared, live = declaration.digests, state.live
    counts = {
        "not registered": sum(key not in live for key in declared),
        "registered otherwise": sum(live.get(key, digest) != digest for key, digest in declared.items()),
        "no longer declared": sum(key not in declared for key in live),
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
