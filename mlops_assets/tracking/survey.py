"""What of the store is needed, and by which runs: looked up in the event log and in the documents of the store."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError
from pydantic_core import from_json

from mlops_assets.tracking.best import BestConfigurations
from mlops_assets.tracking.lost_runs import kept_record
from mlops_assets.tracking.protection import Evidence, RunInUse, current_models, protected
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import ArtifactError, MlopsError
from resources.artifacts import URI, ArtifactStore
from resources.datasets import Snapshot
from resources.freed import FreedKind

# Of a run's artifacts these are freed. Its configuration is small, and with code and data makes the run again.
FREED: dict[str, FreedKind] = {"model": "model", "results": "results"}
CODE_SUFFIXES = (".zip", ".patch")
NAMED = re.compile(r"sha256/[0-9a-f]{2}/[0-9a-f]{64}(?:\.[A-Za-z0-9]+)*")
PAGE = 200

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asked:
    """keep: the newest runs of every subproject that are needed; older_than: days; deployed: ids of runs that serve, or
    may be rolled back to."""

    keep: int = 10
    older_than: float = 30.0
    deployed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.keep < 0:
            raise MlopsError(f"keep {self.keep} should be 0 or more runs")
        if not 0 <= self.older_than < 36_500:
            raise MlopsError(f"older than {self.older_than} should be 0 or more days")


@dataclass
class Survey:
    """What runs and snapshots use. ``kinds``: what may be freed, by uri; ``needed`` and ``named``: uris.

    ``unclear``: documents that cannot be read, so that nobody knows what they name.
    """

    runs: int = 0
    protected: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kinds: dict[str, FreedKind] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    unclear: list[str] = field(default_factory=list)

    def kind(self, uri: str) -> FreedKind | None:
        """As what an artifact may be freed; None if it has to stay."""
        if uri in self.needed:
            return None
        if uri in self.kinds:
            return self.kinds[uri]
        if uri in self.named or uri.endswith(CODE_SUFFIXES) or self.unclear or URI.fullmatch(uri) is None:
            return None
        return "unnamed"


def survey_of(tracker: Tracker, artifacts: ArtifactStore, asked: Asked, moment: datetime, tell: Progress) -> Survey:
    """All that is known of what is needed. Reads every record: of this project from the event log."""
    survey = Survey()
    runs = list(_tracked(tracker, tell))
    survey.runs = len(runs)
    untracked = list(_untracked(tracker, artifacts, {run.run_id for run in runs}, survey, tell))
    evidence = Evidence(
        runs=[*runs, *untracked],
        keep=asked.keep,
        since=moment - timedelta(days=asked.older_than),
        best=frozenset(BestConfigurations(tracker.event_log, tracker.project).run_ids()),
        models=current_models(tracker),
        deployed=asked.deployed,
        untracked=frozenset(run.run_id for run in untracked),
        overlays=tracker.overlays(),
    )
    survey.protected = protected(evidence)
    for run in evidence.runs:
        survey.named.update(run.artifacts.values(), run.code)
        needed = run.run_id in survey.protected
        for name, uri in run.artifacts.items():
            if needed or name not in FREED:
                survey.needed.add(uri)
            else:
                survey.kinds[uri] = FREED[name]
    used = {(run.subproject, run.data_version) for run in evidence.runs if run.run_id in survey.protected}
    _datasets(tracker, artifacts, used, evidence.since, survey)
    return survey


def _tracked(tracker: Tracker, tell: Progress) -> Iterator[RunInUse]:
    """The runs that the event log knows, some subprojects' records in memory at a time."""
    keys = tracker.subprojects()
    for start in range(0, len(keys), PAGE):
        tell("reading runs", start, len(keys))
        yield from map(RunInUse.of, tracker.records(keys[start : start + PAGE]))
    tell("reading runs", len(keys), len(keys))


def _untracked(
    tracker: Tracker, artifacts: ArtifactStore, tracked: set[str], survey: Survey, tell: Progress
) -> Iterator[RunInUse]:
    """Runs of this project that are kept and have no event. Whatever other projects' records name is needed."""
    own = f"runs/{tracker.project}/"
    paths = artifacts.list_documents("runs")
    looked = [path for path in paths if not (path.startswith(own) and path.rsplit("/", 2)[-2] in tracked)]
    for number, path in enumerate(looked):
        if number % 1000 == 0:
            tell("reading records", number, len(looked))
        if not path.startswith(own):
            _others(artifacts, path, survey)
            continue
        try:
            yield RunInUse.of(kept_record(artifacts, path))
        except ArtifactError:
            _others(artifacts, path, survey)
            survey.unclear.append(path)


def _others(artifacts: ArtifactStore, path: str, survey: Survey) -> None:
    """All that a document names is needed; one that was cut off may have named anything."""
    text = artifacts.read_document(path)
    survey.needed.update(NAMED.findall(text))
    try:
        from_json(text)
    except ValueError:
        survey.unclear.append(path)


def _datasets(
    tracker: Tracker, artifacts: ArtifactStore, used: set[tuple[str, str | None]], since: datetime, survey: Survey
) -> None:
    """Snapshots that a needed run used, the last one of every subproject, and young ones, are needed."""
    own = f"datasets/{tracker.project}/"
    current = tracker.event_log.latest_data_versions((tracker.project, "dataset"))
    by_subproject: dict[str, list[Snapshot]] = {}
    for path in artifacts.list_documents("datasets"):
        if not path.startswith(own):
            _others(artifacts, path, survey)
            continue
        try:
            snapshot = Snapshot.model_validate_json(artifacts.read_document(path))
        except (ValidationError, MlopsError):
            _others(artifacts, path, survey)
            survey.unclear.append(path)
            continue
        by_subproject.setdefault(path.split("/")[2], []).append(snapshot)
    for key, snapshots in by_subproject.items():
        last = max(snapshots, key=lambda snapshot: (snapshot.created_at, snapshot.data_version)).data_version
        for snapshot in snapshots:
            version, uri = snapshot.data_version, snapshot.artifact.uri
            survey.named.add(uri)
            if (key, version) in used or version in (last, current.get(key)) or snapshot.created_at >= since:
                survey.needed.add(uri)
            else:
                survey.kinds.setdefault(uri, "dataset")


def untold(what: str, done: int, total: int) -> None:
    """For ``progress`` where nobody listens."""
