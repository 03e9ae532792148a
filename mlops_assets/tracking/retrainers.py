"""The registered retrainers of every subproject and stage: made for a sensor that asks every half minute, of 10,000."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import dagster as dg
from pydantic import TypeAdapter
from pydantic_core import from_json

from mlops_assets.tracking.registry import ENTRY, Registry
from partitions.stages import Cron, Stage

Key = tuple[str, str]
CONFIGURATION = "configuration"
_STAGES: TypeAdapter[tuple[Stage, ...]] = TypeAdapter(tuple[Stage, ...])


@dataclass(frozen=True)
class Retrainers:
    """By (subproject, stage): those with a schedule, those that retrain on new data, and all there are."""

    schedules: Mapping[Key, Cron]
    on_new_data: frozenset[Key]
    all: frozenset[Key]

    @property
    def stages(self) -> list[str]:
        return sorted({stage for _, stage in self.all})


class RegisteredRetrainers:
    """Reads a configuration once: every later answer costs a look at the digests of what is registered.

    It is one project's, and outlives the event log it is asked through: Dagster opens one for every tick of a sensor.
    """

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._stages: dict[str, tuple[Stage, ...]] = {}
        self._known: Retrainers | None = None

    def current(self, registry: Registry) -> Retrainers:
        """What is registered now; the same object as long as that stays the same."""
        digests = {key: digest for key, digest in registry.digests().items() if digest}
        if self._known is None or digests != self._digests:
            changed = [key for key, digest in digests.items() if self._digests.get(key) != digest]
            stages = {**self._stages, **registered_stages(registry, changed)}
            self._stages = {key: stages[key] for key in digests if key in stages}
            self._digests, self._known = digests, _retrainers(self._stages)
        return self._known


def registered_stages(registry: Registry, keys: list[str]) -> dict[str, tuple[Stage, ...]]:
    """The stages of these subprojects, out of configurations as they are stored: of those that have one."""
    # It brings SQLAlchemy, which a code location that is only described does without.
    from mlops_assets.tracking.stored_events import event_source

    if not keys:
        return {}
    ids = registry.event_log.instance.get_latest_storage_id_by_partition(
        dg.AssetKey(list(registry.asset)), dg.DagsterEventType.ASSET_MATERIALIZATION, partitions=set(keys)
    )
    by_id = {event_id: key for key, event_id in ids.items()}
    texts = event_source(registry.event_log, [(registry.project, CONFIGURATION)]).texts(sorted(by_id))
    return {by_id[event_id]: _stages_of(text) for event_id, text in texts.items()}


def _stages_of(event: str) -> tuple[Stage, ...]:
    entries = from_json(event)["dagster_event"]["event_specific_data"]["materialization"]["metadata_entries"]
    configuration = next(entry["entry_data"]["text"] for entry in entries if entry["label"] == ENTRY)
    return _read(json.dumps(from_json(configuration)["stages"]))


@lru_cache(maxsize=4096)
def _read(stages: str) -> tuple[Stage, ...]:
    """Thousands of subprojects share a few lists of stages."""
    return _STAGES.validate_json(stages)


def _retrainers(stages: Mapping[str, tuple[Stage, ...]]) -> Retrainers:
    schedules: dict[Key, Cron] = {}
    on_new_data = set()
    for key, of_key in stages.items():
        for stage in of_key:
            if stage.retraining is not None and stage.retraining.schedule is not None:
                schedules[key, stage.name] = stage.retraining.schedule
            if stage.retraining is not None and stage.retraining.on_new_data:
                on_new_data.add((key, stage.name))
    every = frozenset((key, stage.name) for key, of_key in stages.items() for stage in of_key)
    return Retrainers(schedules, frozenset(on_new_data), every)
