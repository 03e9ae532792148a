"""`mlops gc`: artifacts that no needed run uses are freed. Records, events, configurations and code always stay.

What is needed is looked up first, and the store after that. A process at work meanwhile is safe all the same: whatever
it puts or reads counts as new, and nothing younger than a day is freed.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from mlops_assets.tracking.record import now
from mlops_assets.tracking.survey import Asked, Progress, Survey, survey_of, untold
from mlops_assets.tracking.tracker import Tracker
from partitions.values import Value
from resources.artifacts import ArtifactStore
from resources.freed import Collection, Freed, write_collection

YOUNGEST = timedelta(days=1)


class Collected(Value):
    """What a collection freed, or with ``dry_run`` would free.

    runs: how many are tracked. protected: those that are needed, by id, with the rules that say so. freed: artifacts.
    recent: how many more nobody needs, and are younger than a day. remarks: what stayed that might have gone, and why.
    """

    project: str
    dry_run: bool
    runs: int
    protected: dict[str, tuple[str, ...]]
    freed: tuple[Freed, ...]
    recent: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(freed.bytes for freed in self.freed)

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """How many artifacts and bytes of each kind."""
        counts, sizes = Counter[str](), Counter[str]()
        for freed in self.freed:
            counts[freed.kind] += 1
            sizes[freed.kind] += freed.bytes
        return {kind: (counts[kind], sizes[kind]) for kind in sorted(counts)}

    def by_rule(self) -> Counter[str]:
        """How many runs each rule protects."""
        return Counter(rule for rules in self.protected.values() for rule in rules)


def collect(
    tracker: Tracker, artifacts: ArtifactStore, asked: Asked, by: str | None, progress: Progress | None = None
) -> Collected:
    """Free what nobody needs; ``by`` None: only say what that is. Killed at any moment, running again finishes.

    Raises ArtifactError, before anything is freed, where the store does not tell the age of files.
    """
    tell = progress or untold
    moment = now()
    survey = survey_of(tracker, artifacts, asked, moment, tell)
    before = (moment - YOUNGEST).timestamp()
    found = _sorted_out(survey, artifacts, before)
    if by is None:
        return _collected(tracker.project, survey, found, True, (*found.freed, *found.unfinished))
    if not (found.freed or found.unfinished):
        return _collected(tracker.project, survey, found, False, _free(artifacts, survey, found, before, tell))
    collection = Collection(
        project=tracker.project,
        by=by,
        keep=asked.keep,
        older_than=asked.older_than,
        started_at=moment,
        freed=(*found.freed, *found.unfinished),
    )
    # Before anything goes: whoever misses it finds out where it went, also if this process does not get to the end.
    write_collection(artifacts.files, collection)
    freed = _free(artifacts, survey, found, before, tell)
    done = collection.model_copy(update={"freed": freed, "finished_at": now()})
    write_collection(artifacts.files, done)
    return _collected(tracker.project, survey, found, False, freed)


@dataclass
class Found:
    """What of the store goes. ``leftovers``: names for which a killed process left a file behind."""

    freed: list[Freed] = field(default_factory=list)
    unfinished: list[Freed] = field(default_factory=list)
    leftovers: set[str] = field(default_factory=set)
    recent: int = 0


def _sorted_out(survey: Survey, artifacts: ArtifactStore, before: float) -> Found:
    found = Found()
    for stored in artifacts.files.stored("sha256"):
        kind = survey.kind(stored.path)
        if stored.leftover is not None:
            found.leftovers.add(stored.path)
            # A file put aside is put back if it is needed; a draft is of no use to anybody.
            if (kind is not None or stored.leftover == "draft") and stored.modified < before:
                found.unfinished.append(Freed(uri=stored.path, kind="unfinished", bytes=stored.bytes))
        elif kind is not None and stored.modified >= before:
            found.recent += 1
        elif kind is not None:
            found.freed.append(Freed(uri=stored.path, kind=kind, bytes=stored.bytes))
    return found


def _free(artifacts: ArtifactStore, survey: Survey, found: Found, before: float, tell: Progress) -> tuple[Freed, ...]:
    freed: list[Freed] = []
    total = len(found.freed)
    for number, artifact in enumerate(found.freed):
        if number % 100 == 0:
            tell("freeing", number, total)
        if artifacts.files.free(artifact.uri, before):
            freed.append(artifact)
    tell("freeing", total, total)
    unfinished = {artifact.uri: artifact for artifact in found.unfinished}
    for path in sorted(found.leftovers):
        if artifacts.files.recover(path, before, survey.kind(path) is None) and path in unfinished:
            freed.append(unfinished[path])
    return tuple(freed)


def _collected(project: str, survey: Survey, found: Found, dry_run: bool, freed: tuple[Freed, ...]) -> Collected:
    remarks: tuple[str, ...] = ()
    if survey.unclear:
        remarks = (
            f"{len(survey.unclear)} documents cannot be read ({survey.unclear[0]}): as nobody knows what they name, "
            "artifacts that no record names stay",
        )
    return Collected(
        project=project,
        dry_run=dry_run,
        runs=survey.runs,
        protected=survey.protected,
        freed=freed,
        recent=found.recent,
        remarks=remarks,
    )
