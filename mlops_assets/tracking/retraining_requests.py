"""What asks for a retraining by itself: new data, and signals such as drift. Each is an event of the subproject."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.tracking.retrainings import RETRAIN_JOB
from mlops_assets.tracking.stage_observations import PAGE, NewEvents
from partitions.errors import MlopsError
from resources.event_log import EventLog

ENTRY = "retraining asked for"
Key = tuple[str, str]
# What these jobs make of data is their own: it asks for no other retraining.
RETRAINING_JOBS = frozenset({RETRAIN_JOB})


@dataclass(frozen=True)
class Signal:
    """Why to retrain a subproject for a stage: ``reason`` in a word (new data, drift), ``why`` in a sentence."""

    subproject: str
    stage: str
    reason: str
    why: str
    at: datetime
    event_id: int


@dataclass(frozen=True)
class Found:
    """The signals after an event, and the last event looked at."""

    signals: tuple[Signal, ...]
    last: int


@dataclass(frozen=True)
class Asked:
    """What to ask for. Raises MlopsError for one that does not say why."""

    stage: str
    reason: str
    why: str

    def __post_init__(self) -> None:
        if not self.reason.strip() or not self.why.strip():
            raise MlopsError(
                f"say for what reason to retrain for stage {self.stage!r} (drift), and why, for those who ask later"
            )


def ask_to_retrain(event_log: EventLog, project: str, subprojects: Iterable[str], asked: Asked) -> None:
    """Ask for a retraining of each; the sensor starts them together. Asking again before it began is asking once."""
    metadata = {ENTRY: asked.reason, "why": asked.why}
    asset = dg.AssetKey([project, "deployment", asked.stage])
    event_log.store([dg.AssetObservation(asset, partition=key, metadata=metadata) for key in subprojects])


class Signals:
    """What asks for retrainings of one project, looked at up to a moment."""

    def __init__(self, event_log: EventLog, project: str, until: datetime) -> None:
        self.events = NewEvents(event_log, project, until)

    def asked(self, stages: Sequence[str], after: int | None) -> Found:
        """What was asked for after an event; without one, only where one is now."""
        observed, last = self.events.observations(stages, after)
        signals = (
            Signal(one.subproject, one.stage, str(one.metadata[ENTRY]), str(one.metadata["why"]), one.at, one.event_id)
            for one in observed
            if ENTRY in one.metadata
        )
        return Found(tuple(signals), last)

    def new_data(self, wanted: Collection[Key], after: int | None) -> Found:
        """New data versions after an event, for those who retrain on them; without one, only where one is now.

        A snapshot of unchanged content is no new data version, and one that a retraining took asks for no other.
        """
        asset = dg.AssetKey([self.events.project, "dataset"])
        fetch = self.events.instance.fetch_materializations
        latest = self.events.last(fetch, asset)
        if after is None or latest <= after:
            return Found((), latest)
        stages: dict[str, list[str]] = {}
        for key, stage in sorted(wanted):
            stages.setdefault(key, []).append(stage)
        page = fetch(self.events.where(asset, after), limit=PAGE, ascending=True)
        found = []
        for record in page.records:
            version = _new_version(record)
            if version is not None:
                partition = str(record.partition_key)
                why = f"new data version {version}"
                found += [_signal(record, (partition, stage), "new data", why) for stage in stages.get(partition, ())]
        return Found(tuple(found), page.records[-1].storage_id if page.has_more else latest)


def _new_version(record: dg.EventLogRecord) -> str | None:
    entry = record.event_log_entry
    event = entry.asset_materialization
    if event is None or event.partition is None or entry.job_name in RETRAINING_JOBS:
        return None
    changed = event.metadata.get("changed")
    if changed is not None and not changed.value:
        return None
    return str(event.metadata["data_version"].value)[:12] if "data_version" in event.metadata else "unnamed"


def _signal(record: dg.EventLogRecord, key: Key, reason: str, why: str) -> Signal:
    at = datetime.fromtimestamp(record.event_log_entry.timestamp, UTC)
    return Signal(*key, reason, why, at, record.storage_id)
