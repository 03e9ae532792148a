"""``configuration``: what is registered of each subproject, every change of it a materialisation."""

import getpass
import itertools
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import dagster as dg

from mlops_assets.tracking.registry import ENTRY, Registry, State, configuration_asset
from partitions.catalogue import SubprojectConfiguration
from partitions.changes import Changes, FieldChange, Plan, diff, digest_over, digests_of
from partitions.dynamic import add_keys, retire_key, subproject_partitions
from partitions.errors import MlopsError
from resources.event_log import DATA_VERSION_TAG

# So many subprojects are written, and become partitions, at a time.
BATCH = 1000

OnProgress = Callable[[int, int], None]
Declared = Mapping[str, SubprojectConfiguration]


class Outdated(MlopsError):
    """A plan does not hold any more."""


def author() -> str:
    """Who registers: ``user@host``."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


@dataclass(frozen=True)
class Terms:
    """How to register. ``retire``: what happens to subprojects that are no longer declared: "refuse" raises, "leave"
    keeps them as they are. ``patience``: how many seconds to wait for someone else who is registering."""

    retire: Literal["refuse", "leave", "retire"] = "refuse"
    why: str | None = None
    by: str = field(default_factory=author)
    patience: float = 0.0


def configuration_spec(project: str) -> dg.AssetSpec:
    """Not executable: only ``mlops apply`` writes it, so that selecting everything never registers anything."""
    return dg.AssetSpec(
        dg.AssetKey(list(configuration_asset(project))),
        description="The registered configuration of a subproject: values, where each comes from, and its digest.",
        partitions_def=subproject_partitions(project),
        group_name=project,
        kinds={"python"},
    )


def plan(registry: Registry, declared: Declared) -> Plan:
    """What ``register`` would do: new, changed, brought back and retired subprojects."""
    return _planned(registry, declared, registry.state())


def still_good(registry: Registry, declared: Declared, agreed: Plan) -> Plan:
    """The same plan made again. Raises Outdated, naming what is different now, where it would not be the same."""
    if agreed.project != registry.project:
        raise Outdated(f"the plan is one for project {agreed.project!r}, this is {registry.project!r}")
    now = plan(registry, declared)
    _refuse_other_state(registry, now.registered, agreed)
    differing = agreed.differing(now)
    if now.declared != agreed.declared:
        raise Outdated(
            f"project {registry.project!r} is declared otherwise than when the plan was made"
            f"{f': {_some(differing)}' if differing else ''}; nothing was changed: plan again"
        )
    if differing:
        raise Outdated(
            f"the plan says of {_some(differing)} what planning does not say: it was edited, or made by another "
            "version of this program; nothing was changed: plan again"
        )
    return now


def register(
    registry: Registry,
    declared: Declared,
    terms: Terms | None = None,
    agreed: Plan | None = None,
    on_progress: OnProgress | None = None,
) -> Plan:
    """Make the registered subprojects equal to the declared ones; return what that changed.

    Only what differs is written. A subproject's configuration is logged before its partition is added, so that no
    partition is ever seen without one; interrupted at any moment, doing it again finishes it. Retiring removes
    partitions and keeps their history. Raises, having changed nothing, where someone else is registering now (Busy),
    where ``agreed``, the plan that someone has seen, does not hold any more (Outdated), and where retiring is refused.
    """
    terms = terms or Terms()
    with registry.lock(f"{terms.by} (process {os.getpid()}, since {_now():%Y-%m-%d %H:%M:%S} UTC)", terms.patience):
        state = registry.state()
        if agreed is not None:
            _refuse_other_state(registry, state.digest, agreed)
        changes = agreed or _planned(registry, declared, state)
        refuse_retiring(changes, terms)
        if terms.retire == "leave":
            changes = changes.model_copy(update={"retired": ()})
        _write(registry, declared, _Writing(changes, terms, state), on_progress or _unwatched)
    return changes


def refuse_retiring(changes: Plan, terms: Terms) -> None:
    """Raises where subprojects would be retired and the terms refuse that."""
    if changes.retired and terms.retire == "refuse":
        raise MlopsError(
            f"project {changes.project!r}: {len(changes.retired)} registered subprojects are no longer declared "
            f"({_some(changes.retired)}); retire them with --allow-retire, or declare them again"
        )


@dataclass(frozen=True)
class _Writing:
    """What is to be written, on which terms, over which state."""

    changes: Changes
    terms: Terms
    state: State

    @property
    def partitions(self) -> list[str]:
        return [*self.changes.new, *self.changes.brought_back]

    def logged(self, declared: Declared) -> list[str]:
        """The subprojects whose configuration is to be logged: not what an interrupted registration has logged."""
        unfinished = self.state.unfinished
        wanted = [key for key in self.partitions if unfinished.get(key) != declared[key].digest]
        return [*wanted, *self.changes.changed]


def _planned(registry: Registry, declared: Declared, state: State) -> Plan:
    digests = digests_of(declared)
    changes = diff(declared, digests, state.known, registry.last_configurations)
    return Plan(
        **dict(changes),
        project=registry.project,
        made_at=_now(),
        made_by=author(),
        as_of=state.as_of,
        registered=state.digest,
        declared=digest_over(digests),
    )


def _refuse_other_state(registry: Registry, registered: str, agreed: Plan) -> None:
    if registered != agreed.registered:
        raise Outdated(
            f"project {registry.project!r}: registered since the plan was made: {registry.since(agreed.as_of)}; "
            "nothing was changed here: plan again"
        )


def _write(registry: Registry, declared: Declared, writing: _Writing, on_progress: OnProgress) -> None:
    instance, changes = registry.event_log.instance, writing.changes
    logged, added = set(writing.logged(declared)), set(writing.partitions)
    keys = [key for key in declared if key in logged or key in added]
    total, done = len(keys) + len(changes.retired), 0
    on_progress(done, total)
    for batch in _batches(keys):
        registry.event_log.store(_registered(declared[key], writing) for key in batch if key in logged)
        add_keys(instance, registry.project, [key for key in batch if key in added])
        on_progress(done := done + len(batch), total)
    for batch in _batches(changes.retired):
        registry.event_log.store(_retired(registry.project, key, writing.terms) for key in batch)
        for key in batch:
            retire_key(instance, registry.project, key)
            on_progress(done := done + 1, total)


def _registered(declared: SubprojectConfiguration, writing: _Writing) -> dg.AssetMaterialization:
    key, changes = declared.key, writing.changes
    what = "changed" if key in changes.changed else "brought back" if key in changes.brought_back else "registered"
    fields = changes.changed.get(key) or changes.brought_back.get(key) or ()
    metadata: dict[str, Any] = {ENTRY: declared.model_dump_json(), "event": what, **_said_by(writing.terms)}
    if fields:
        metadata["changed"] = dg.MetadataValue.md(_table(fields))
    return dg.AssetMaterialization(
        dg.AssetKey(list(configuration_asset(declared.project))),
        partition=key,
        metadata=metadata,
        tags={DATA_VERSION_TAG: declared.digest},
    )


def _retired(project: str, key: str, terms: Terms) -> dg.AssetObservation:
    asset = dg.AssetKey(list(configuration_asset(project)))
    return dg.AssetObservation(asset, partition=key, metadata={"event": "retired", **_said_by(terms)})


def _said_by(terms: Terms) -> dict[str, str]:
    return {"by": terms.by} | ({"why": terms.why} if terms.why else {})


def _table(fields: tuple[FieldChange, ...]) -> str:
    rows = [f"| `{f.path}` | `{f.before}` | `{f.after}` | {f.origin} |" for f in fields]
    return "\n".join(["| field | before | after | set by |", "|---|---|---|---|", *rows])


def _some(keys: "list[str] | tuple[str, ...]") -> str:
    return ", ".join(keys[:5]) + (" ..." if len(keys) > 5 else "")


def _batches(keys: "list[str] | tuple[str, ...]") -> Iterator[list[str]]:
    waiting = iter(keys)
    while batch := list(itertools.islice(waiting, BATCH)):
        yield batch


def _now() -> datetime:
    return datetime.now(UTC)


def _unwatched(done: int, total: int) -> None:
    """Nobody watches."""
