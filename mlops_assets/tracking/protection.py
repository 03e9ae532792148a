"""Which runs are needed, and why: the rules by which `mlops gc` leaves a run's artifacts alone.

A rule is a line of RULES. What becomes a reason to keep runs (deployments, say) is added there, and to the evidence.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.tracker import Tracker


@dataclass(frozen=True)
class RunInUse:
    """What a collection looks at of one run. ``artifacts``: uris by name; ``code``: uris of its patch and archive."""

    run_id: str
    subproject: str
    created_at: datetime
    data_version: str | None
    artifacts: Mapping[str, str]
    code: tuple[str, ...] = ()
    noted: bool = False

    @classmethod
    def of(cls, record: RunRecord) -> "RunInUse":
        code = record.code_version
        return cls(
            run_id=record.run_id,
            subproject=record.subproject,
            created_at=record.created_at,
            data_version=record.data_version,
            artifacts={name: entry.uri for name, entry in record.artifacts.items()},
            code=tuple(uri for uri in (code.patch, code.archive) if uri is not None),
            noted=bool(record.note),
        )


@dataclass(frozen=True)
class Evidence:
    """What the rules judge by. ``runs``: of one project, any order; the sets hold run ids.

    keep: so many of the newest runs of every subproject are needed. since: and all runs younger than this.
    """

    runs: Sequence[RunInUse]
    keep: int
    since: datetime
    best: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    deployed: frozenset[str] = frozenset()
    untracked: frozenset[str] = frozenset()
    overlays: Mapping[str, Overlay] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """``says``: what follows "a run that". ``protects``: the ids of the runs that it is true of."""

    name: str
    says: str
    protects: Callable[[Evidence], Iterable[str]]


def _noted(evidence: Evidence) -> Iterable[str]:
    return (run.run_id for run in evidence.runs if run.noted)


def _tagged(evidence: Evidence) -> Iterable[str]:
    """Tags a subproject gives all its runs say nothing of one; those given to a run later do."""
    tagged = evidence.overlays.items()
    return (run_id for run_id, overlay in tagged if any(value is not None for value in overlay.tags.values()))


def _newest(evidence: Evidence) -> Iterable[str]:
    """Of runs that have artifacts: those that failed have nothing to keep."""
    by_subproject: dict[str, list[RunInUse]] = defaultdict(list)
    for run in evidence.runs:
        if run.artifacts:
            by_subproject[run.subproject].append(run)
    for runs in by_subproject.values():
        runs.sort(key=lambda run: (run.created_at, run.run_id), reverse=True)
        yield from (run.run_id for run in runs[: evidence.keep])


def _young(evidence: Evidence) -> Iterable[str]:
    return (run.run_id for run in evidence.runs if run.created_at >= evidence.since)


RULES = (
    Rule("best", "stands or once stood for the best configuration", lambda evidence: evidence.best),
    Rule("model", "is behind the current model of its subproject", lambda evidence: evidence.models),
    Rule("deployed", "serves in a stage, or is among the last that did", lambda evidence: evidence.deployed),
    Rule("noted", "somebody made a note of", _noted),
    Rule("tagged", "somebody tagged", _tagged),
    Rule("newest", "is among the newest of its subproject (--keep)", _newest),
    Rule("young", "is young (--older-than)", _young),
    Rule("untracked", "has no event (`mlops doctor --repair`)", lambda evidence: evidence.untracked),
)


def protected(evidence: Evidence, rules: Sequence[Rule] = RULES) -> dict[str, tuple[str, ...]]:
    """The runs that are needed, by id, with the names of all rules that say so."""
    there = {run.run_id for run in evidence.runs}
    reasons: dict[str, list[str]] = {}
    for rule in rules:
        for run_id in dict.fromkeys(rule.protects(evidence)):
            if run_id in there:
                reasons.setdefault(run_id, []).append(rule.name)
    return {run_id: tuple(names) for run_id, names in reasons.items()}


def current_models(tracker: Tracker) -> frozenset[str]:
    """The runs behind the last materialisation of ``model`` of every subproject."""
    events = tracker.event_log.latest((tracker.project, "model")).values()
    return frozenset(str(event.metadata["run_id"]) for event in events if "run_id" in event.metadata)
