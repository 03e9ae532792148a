"""Every subproject at a glance: declared against registered, its data and its last run, from the event log.

Made for 10,000 subprojects: what is registered is compared by digest, without reading a single configuration.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from mlops_assets.tracking.best import LatestBest, latest_best
from mlops_assets.tracking.latest_datasets import LatestDataset, latest_datasets
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.stage_status import Stages, no_stages, schedules_row, stages_row
from mlops_assets.tracking.tracker import LatestRuns, Tracker
from partitions.catalogue import SubprojectConfiguration
from partitions.changes import digests_of
from partitions.errors import MlopsError, UnknownName, nearest

State = Literal["registered", "changed", "not applied", "not declared"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class SubprojectStatus:
    """One subproject. ``configuration``: the registered digest, where there is none the declared one.

    ``best``: what is considered best; ``stages``: its registered stages by name, with what serves there.
    """

    subproject: str
    state: State
    configuration: str
    tags: Mapping[str, str]
    dataset: LatestDataset | None = None
    latest: LatestRuns | None = None
    best: LatestBest | None = None
    stages: Stages = field(default_factory=dict)

    @property
    def data_version(self) -> str | None:
        return self.dataset.data_version if self.dataset else None

    @property
    def data_at(self) -> datetime | None:
        """When the last snapshot was taken, of whatever content."""
        return self.dataset.taken_at if self.dataset else None

    @property
    def rows(self) -> int | None:
        return self.dataset.rows if self.dataset else None

    @property
    def runs(self) -> int:
        return self.latest.runs if self.latest else 0

    @property
    def failed(self) -> int:
        """How many of the runs failed."""
        return self.latest.failed if self.latest else 0

    @property
    def last_status(self) -> str | None:
        """How the last run ended; known without reading its record."""
        return self.latest.status if self.latest else None

    @property
    def last(self) -> RunRecord | None:
        """The last run."""
        return self.latest.last if self.latest else None

    def row(self) -> dict[str, Any]:
        """As plain data, with the same keys for every subproject."""
        last = self.last
        return {
            "subproject": self.subproject,
            "state": self.state,
            "configuration": self.configuration,
            "tags": dict(self.tags),
            "data_version": self.data_version,
            "data_at": self.data_at.isoformat() if self.data_at else None,
            "rows": self.rows,
            "runs": self.runs,
            "failed": self.failed,
            "last_run": last.run_id if last else None,
            "last_run_kind": last.kind if last else None,
            "last_run_status": last.status if last else None,
            "last_run_at": last.created_at.isoformat() if last else None,
            "metrics": last.metrics if last else {},
            "best": self.best.row() if self.best else None,
            "stages": stages_row(self.stages),
            "schedules": schedules_row(self.stages),
        }

    def flat_row(self) -> dict[str, Any]:
        """The same with a column per value: ``tags.hub``, ``metrics.rmse``, ``stages.production.next``."""
        row = self.row()
        nested = {name: row.pop(name) or {} for name in ("tags", "metrics", "best", "stages", "schedules")}
        return row | {column: value for name, values in nested.items() for column, value in _columns(name, values)}


@dataclass(frozen=True)
class Overview:
    """What is declared of one project, what is registered and what was run."""

    registry: Registry
    tracker: Tracker
    declared: Mapping[str, SubprojectConfiguration]
    stages: Callable[[Sequence[str] | None], Mapping[str, Stages]] = no_stages

    def statuses(self, patterns: Sequence[str] = (), tags: Mapping[str, str] | None = None) -> list[SubprojectStatus]:
        """Every subproject that is declared or registered, by key; of those only what patterns and tags match.

        Raises UnknownName where a pattern, or the tags, match nothing.
        """
        digests = digests_of(self.declared)
        registered = self._registered(digests)
        tagged = self._tags(registered)
        keys = chosen(self.registry.project, tagged, patterns, tags or {})
        some = keys if patterns or tags else None
        datasets = latest_datasets(self.tracker.event_log, self.registry.project, some)
        runs = self.tracker.latest(some)
        best = latest_best(self.tracker.event_log, self.registry.project, some)
        stages = self.stages(some)
        statuses = []
        for key in keys:
            digest = digests.get(key)
            statuses.append(
                SubprojectStatus(
                    subproject=key,
                    state=_state(digest, registered.get(key)),
                    configuration=registered.get(key) or digest or "",
                    tags=tagged[key],
                    dataset=datasets.get(key),
                    latest=runs.get(key),
                    best=best.get(key),
                    stages=stages.get(key, {}),
                )
            )
        return statuses

    def _registered(self, declared: Mapping[str, str]) -> dict[str, str]:
        """The digest of what is registered, by key; none for a partition that ``apply`` did not make.

        Where it is another one than that of what is declared, it is computed anew: an earlier version of this package
        may have computed it otherwise, and that is no change.
        """
        registered = self.registry.digests()
        differing = [key for key, digest in registered.items() if digest and declared.get(key, digest) != digest]
        if differing:
            registered |= digests_of(self.registry.configurations(differing))
        return registered

    def _tags(self, registered: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
        """The tags of every subproject; those no longer declared are read, as few as they are."""
        gone = [key for key, digest in registered.items() if key not in self.declared]
        readable = [key for key in gone if registered[key]]
        known = self.registry.configurations(readable) if readable else {}
        tags = {key: known[key].tags if key in known else {} for key in gone}
        return dict(sorted({**tags, **{key: value.tags for key, value in self.declared.items()}}.items()))


def _columns(name: str, values: Any) -> Iterator[tuple[str, Any]]:
    """``values`` as columns whose names begin with ``name``; lists stay what they are."""
    if not isinstance(values, Mapping):
        yield name, values
        return
    for part, value in values.items():
        yield from _columns(f"{name}.{part}", value)


def _state(declared: str | None, registered: str | None) -> State:
    if declared is None:
        return "not declared"
    if not registered:
        return "not applied"
    return "registered" if declared == registered else "changed"


def chosen(
    project: str, known: Mapping[str, Mapping[str, str]], patterns: Sequence[str], tags: Mapping[str, str]
) -> list[str]:
    """The keys of ``known`` (tags by key) that match any of the patterns and all of the tags; all where none is given.

    Raises UnknownName for a pattern, or tags, that match nothing.
    """
    matched = (
        set(known) if not patterns else {key for pattern in patterns for key in _matching(project, known, pattern)}
    )
    keys = [key for key, own in known.items() if key in matched and tags.items() <= own.items()]
    if not keys and tags:
        written = ", ".join(f"{name}={value}" for name, value in tags.items())
        among = f" among {', '.join(patterns)}" if patterns else ""
        raise UnknownName(f"project {project!r}: no subproject{among} has the tags {written}")
    return keys


def _matching(project: str, known: Iterable[str], pattern: str) -> list[str]:
    keys = list(known)
    if pattern in keys:
        return [pattern]
    if not any(wild in pattern for wild in "*?["):
        raise UnknownName(f"project {project!r}: {nearest(pattern, keys, noun='subproject')}")
    matching = [key for key in keys if fnmatchcase(key, pattern)]
    if not matching:
        raise UnknownName(f"project {project!r}: no subproject matches {pattern!r}")
    return matching


def narrowed(
    statuses: Iterable[SubprojectStatus], states: Sequence[str] = (), *, failed: bool = False
) -> list[SubprojectStatus]:
    """Those in any of these states, and with ``failed`` only those whose last run failed."""
    unknown = next((state for state in states if state not in STATES), None)
    if unknown is not None:
        raise MlopsError(f"--state {nearest(unknown, STATES, noun='state')}; there are {', '.join(STATES)}")
    return [
        status
        for status in statuses
        if (not states or status.state in states) and (not failed or status.last_status == "failed")
    ]


def ordered(statuses: Sequence[SubprojectStatus], column: str, metrics: Iterable[str] = ()) -> list[SubprojectStatus]:
    """By a column of ``flat_row``, downwards where its name is led by ``-``; what has no value there comes last.

    ``metrics``: those of the pipeline, which are columns before any run has them. Raises MlopsError for other names.
    """
    name = column.removeprefix("-")
    rows = {status.subproject: status.flat_row() for status in statuses}
    columns = sorted({known for row in rows.values() for known in row} | {f"metrics.{metric}" for metric in metrics})
    if rows and name not in columns:
        raise MlopsError(f"--sort {nearest(name, columns, noun='column')}; there are {', '.join(columns)}")
    have = [status for status in statuses if rows[status.subproject].get(name) is not None]
    have.sort(key=lambda status: rows[status.subproject][name], reverse=column != name)
    return have + [status for status in statuses if rows[status.subproject].get(name) is None]


def grouped(statuses: Sequence[SubprojectStatus], tag: str) -> list[dict[str, Any]]:
    """Counts and mean metrics of the last runs per value of a tag; None for subprojects without the tag."""
    if statuses and not any(tag in status.tags for status in statuses):
        tags = sorted({name for status in statuses for name in status.tags})
        raise MlopsError(f"--group-by {nearest(tag, tags, noun='tag')}")
    groups: dict[str | None, list[SubprojectStatus]] = {}
    for status in statuses:
        groups.setdefault(status.tags.get(tag), []).append(status)
    ordered_values = sorted(groups, key=lambda value: (value is None, value or ""))
    return [{"tag": tag, "value": value, **_summary(groups[value])} for value in ordered_values]


def _summary(statuses: Sequence[SubprojectStatus]) -> dict[str, Any]:
    metrics: dict[str, list[float]] = {}
    for status in statuses:
        for name, value in (status.last.metrics if status.last else {}).items():
            metrics.setdefault(name, []).append(value)
    return {
        "subprojects": len(statuses),
        "states": by_state(statuses),
        "with_data": sum(status.dataset is not None for status in statuses),
        "rows": sum(status.rows or 0 for status in statuses),
        "runs": sum(status.runs for status in statuses),
        "last_run_status": by_last_status(statuses),
        "metrics": {name: sum(values) / len(values) for name, values in metrics.items()},
    }


def by_state(statuses: Iterable[SubprojectStatus]) -> dict[str, int]:
    """How many are in each state; states that none is in are left out."""
    counts = Counter(status.state for status in statuses)
    return {state: counts[state] for state in STATES if counts[state]}


def by_last_status(statuses: Iterable[SubprojectStatus]) -> dict[str, int]:
    """How many last runs ended in which way; those without any run count as ``never run``."""
    return dict(Counter(status.last_status or "never run" for status in statuses).most_common())
