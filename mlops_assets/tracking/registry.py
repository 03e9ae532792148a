"""What ``mlops apply`` registered, read back from the event log: where configuration comes from in every run.

A registration is a materialisation of ``configuration``: the whole configuration, with its digest as data version. A
retirement is an observation of it: it takes nothing away from what was registered last, which is what comes back.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import dagster as dg

from partitions.catalogue import SubprojectConfiguration
from partitions.changes import FieldChange, Known, digest_over, field_changes
from partitions.dynamic import registered_keys
from partitions.errors import UnknownName, nearest
from partitions.values import Value
from resources.event_log import EventLog, LoggedEvent
from resources.registration_lock import registration_lock

ENTRY = "configuration"
What = Literal["registered", "changed", "brought back", "retired"]


def configuration_asset(project: str) -> tuple[str, ...]:
    return (project, "configuration")


class Registration(Value):
    """One entry of a subproject's history. A retirement has neither digest nor configuration."""

    at: datetime
    what: What
    by: str | None = None
    why: str | None = None
    digest: str | None = None
    changes: tuple[FieldChange, ...] = ()
    configuration: SubprojectConfiguration | None = None


@dataclass(frozen=True)
class State:
    """All that is registered, by digest. ``as_of``: the last event of registration it takes in.

    A digest is empty where there is none: for a partition added by hand, and where someone was interrupted between an
    event and its tags. Registering such a subproject logs it again.

    ``unfinished``: the digests of subprojects whose configuration is logged and whose partition is still to be added:
    someone was interrupted in between.
    """

    live: dict[str, str]
    retired: dict[str, str] = field(default_factory=dict)
    unfinished: dict[str, str] = field(default_factory=dict)
    as_of: int = 0

    @property
    def digest(self) -> str:
        """64 hexadecimal characters over the registered subprojects."""
        return digest_over(self.live)

    @property
    def known(self) -> Known:
        return Known(self.live, self.retired)


class Registry:
    """The registered subprojects of one project."""

    def __init__(self, event_log: EventLog, project: str) -> None:
        self.event_log = event_log
        self.project = project
        self.asset = configuration_asset(project)

    def keys(self) -> list[str]:
        """Registered subprojects in the order in which they were registered; retired ones are not among them."""
        return registered_keys(self.event_log.instance, self.project)

    def digests(self) -> dict[str, str]:
        """The digest of every registered subproject's configuration; no configuration is read for it."""
        digests = self.event_log.latest_data_versions(self.asset)
        return {key: digests.get(key, "") for key in self.keys()}

    def configurations(self, keys: Iterable[str] | None = None) -> dict[str, SubprojectConfiguration]:
        """The registered configuration of every subproject (or of those named).

        Raises UnknownName for a key that is not registered, offering the nearest ones.
        """
        known = self.keys()
        wanted = known if keys is None else list(keys)
        registered = set(known)
        for key in wanted:
            if key not in registered:
                raise UnknownName(
                    f"project {self.project!r}: {nearest(key, known, noun='subproject')}; "
                    "a newly declared one is registered by `mlops apply`"
                )
        return self.last_configurations(wanted)

    def last_configurations(self, keys: Iterable[str]) -> dict[str, SubprojectConfiguration]:
        """What was registered last of each of these subprojects, retired or not."""
        wanted = list(keys)
        events = self.event_log.latest(self.asset, wanted)
        missing = [key for key in wanted if key not in events]
        if missing:
            raise UnknownName(
                f"project {self.project!r}: subproject {missing[0]!r} is a partition, but `mlops apply` never "
                "registered its configuration; declare it in project.py and apply"
            )
        return {key: SubprojectConfiguration.model_validate_json(events[key].metadata[ENTRY]) for key in wanted}

    def state(self) -> State:
        """What is registered now, read from tags: a fraction of a second for 10,000 subprojects."""
        as_of = self._last_event()
        live = self.keys()
        digests = self.event_log.latest_data_versions(self.asset)
        among = {key: digests.get(key, "") for key in live}
        former = {key: digest for key, digest in digests.items() if key not in among}
        if not former:
            return State(among, as_of=as_of)
        retired_at = self._ids(dg.DagsterEventType.ASSET_OBSERVATION)
        registered_at = self._ids(dg.DagsterEventType.ASSET_MATERIALIZATION)
        return State(
            among,
            retired={key: digest for key, digest in former.items() if key in retired_at},
            unfinished={
                key: digest for key, digest in former.items() if registered_at.get(key, 0) > retired_at.get(key, 0)
            },
            as_of=as_of,
        )

    def history(self, key: str) -> list[Registration]:
        """Every registration and retirement of a subproject, oldest first, with what each changed.

        Raises UnknownName for one that was never registered.
        """
        events = [event for kind in ("materialization", "observation") for event in self._of(key, kind)]
        if not events:
            raise UnknownName(f"project {self.project!r}: {nearest(key, self.keys(), noun='subproject')}")
        return _as_history(sorted(events, key=lambda event: event.event_id), key in self.keys())

    def since(self, as_of: int) -> str:
        """Who registered what after an event, for people: ``3 subprojects (AA, B6, DL), last by ada at ...``."""
        where = dg.AssetRecordsFilter(asset_key=dg.AssetKey(list(self.asset)), after_storage_id=as_of)
        instance = self.event_log.instance
        events = [
            (record.storage_id, record.event_log_entry.timestamp, happened)
            for fetch in (instance.fetch_materializations, instance.fetch_observations)
            for record in fetch(where, limit=1000).records
            for happened in (record.event_log_entry.asset_materialization or record.event_log_entry.asset_observation,)
            if happened is not None
        ]
        if not events:
            return "partitions were added or taken away by hand"
        keys = sorted({str(happened.partition) for _, _, happened in events})
        _, timestamp, last = max(events, key=lambda event: event[0])
        by = last.metadata["by"].value if "by" in last.metadata else "someone"
        some = ", ".join(keys[:5]) + (" ..." if len(keys) > 5 else "")
        count = f"{len(keys)}{' or more' if len(keys) >= 1000 else ''} subproject{'' if len(keys) == 1 else 's'}"
        return f"{count} ({some}), last by {by} at {datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"

    def lock(self, holder: str, patience: float = 0.0) -> AbstractContextManager[None]:
        """Held while someone registers. Raises Busy where another one still does after ``patience`` seconds."""
        return self._lock(self.project, holder, patience)

    def repair_lock(self, holder: str, patience: float = 0.0) -> AbstractContextManager[None]:
        """Held while someone repairs, so that no run is reported again twice. Raises as ``lock``."""
        return self._lock(f"{self.project}.repair", holder, patience)

    def hpo_lock(self, dagster_run_id: str, holder: str) -> AbstractContextManager[None]:
        """Held while the HPO runs that a Dagster run began are under way, so that none is resumed meanwhile."""
        return self._lock(f"{self.project}.hpo.{dagster_run_id}", holder, 0.0)

    def _lock(self, name: str, holder: str, patience: float) -> AbstractContextManager[None]:
        instance = self.event_log.instance
        # Postgres has its own for all machines that share it; everything else that Dagster supports is on one machine.
        url: str | None = getattr(instance.event_log_storage, "postgres_url", None)
        place = url or Path(instance.root_directory) / "registration"
        return registration_lock(place, name, holder, patience)

    def _last_event(self) -> int:
        key, instance = dg.AssetKey(list(self.asset)), self.event_log.instance
        fetches = (instance.fetch_materializations, instance.fetch_observations)
        return max((record.storage_id for fetch in fetches for record in fetch(key, limit=1).records), default=0)

    def _ids(self, kind: dg.DagsterEventType) -> Mapping[str, int]:
        key = dg.AssetKey(list(self.asset))
        return self.event_log.instance.get_latest_storage_id_by_partition(key, kind)

    def _of(self, key: str, kind: Literal["materialization", "observation"]) -> Iterable[LoggedEvent]:
        return self.event_log.events(self.asset, [key], kind)


def _as_history(events: list[LoggedEvent], live: bool) -> list[Registration]:
    """What each event changed, told from the events themselves.

    A retirement counts once it is done. A configuration that is logged again, unchanged, changed nothing: someone
    finished what another was interrupted in.
    """
    history: list[Registration] = []
    before: SubprojectConfiguration | None = None
    for position, event in enumerate(events):
        following = events[position + 1] if position + 1 < len(events) else None
        retired = event.kind == "observation"
        if retired and not _took_effect(following, live):
            continue
        after = None if retired else SubprojectConfiguration.model_validate_json(event.metadata[ENTRY])
        what = _what(history, before, after)
        if what is None:
            continue
        history.append(
            Registration(
                at=datetime.fromtimestamp(event.timestamp, UTC),
                what=what,
                by=event.metadata.get("by"),
                why=event.metadata.get("why"),
                digest=after.digest if after else None,
                changes=field_changes(before, after) if before and after else (),
                configuration=after,
            )
        )
        before = after or before
    return history


def _what(
    history: list[Registration], before: SubprojectConfiguration | None, after: SubprojectConfiguration | None
) -> What | None:
    if after is None:
        return "retired"
    if before is None:
        return "registered"
    if history[-1].what == "retired":
        return "brought back"
    return "changed" if after.digest != before.digest else None


def _took_effect(following: LoggedEvent | None, live: bool) -> bool:
    """Whether the subproject was gone after a retirement: it is gone now, or was registered anew."""
    if following is None:
        return not live
    return following.kind == "materialization" and following.metadata.get("event") != "changed"
