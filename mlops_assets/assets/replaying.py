"""Runs made from what their records say, and from nothing that was declared or registered since.

A recipe is all that defines a run. Following one starts a process of its own, also for the code at hand: nothing that
this process has computed, imported or set can take part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlops_assets.assets.events import experiment_events
from mlops_assets.assets.launch import Ports, identity_of
from mlops_assets.assets.recording import died
from mlops_assets.assets.travel import travel
from mlops_assets.assets.way import Arrived, Origin, RunPlan, Way
from mlops_assets.tracking.record import CodeIdentity, RunError, RunRecord, new_run_id
from mlops_assets.tracking.replay import Replay, compare_rows, judge
from mlops_assets.tracking.stored_run import altered, freed, stored_configuration, stored_results
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import CodeVersionError, MlopsError
from partitions.project import Project
from partitions.reference import PipelineReference
from partitions.run_configuration import RunConfiguration
from partitions.search_space import SearchSpace
from resources.artifacts import Artifact, ArtifactStore
from resources.code_versions import CodeVersion, CodeVersions, code_digest
from resources.compute import Environment
from resources.datasets import DatasetStore


@dataclass(frozen=True)
class Recipe:
    """All that defines one run, and where its record says it comes from.

    ``config``: the subproject configuration. ``configuration``: complete, with data version and seed. ``lock``: of the
    environment that ``code`` was recorded with. ``threads``: how many each numeric library may use.
    """

    subproject: str
    config: dict[str, object]
    code: CodeIdentity
    lock: str
    configuration: RunConfiguration
    threads: int = 1
    parent: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, record: RunRecord, configuration: RunConfiguration) -> "Recipe":
        return cls(
            subproject=record.subproject,
            config=record.configuration,
            code=record.code_version,
            lock=record.environment.lock,
            configuration=configuration,
            threads=record.environment.threads,
            parent=record.run_id,
            tags=tuple(record.tags.items()),
        )


def replay(
    ports: Ports, project: Project, record: RunRecord, known: Sequence[RunRecord], threads: int | None = None
) -> Replay:
    """Do a run again in a new process, and compare. ``threads``: other than it had, to see whether that matters.

    Raises MlopsError, before anything starts, for a run that did not succeed or of which the code, the data or the
    configuration cannot be had any more.
    """
    if record.status != "succeeded":
        raise MlopsError(
            f"run {record.run_id} of {record.where} {record.status}, so there are no results to compare a replay with; "
            f"`mlops run {record.subproject}` makes a new run"
        )
    artifacts = ArtifactStore(ports.home.artifacts_url)
    # Looked at before: equal bytes are stored once, so that the same results written again put right a damaged file.
    changed, before = altered(record, artifacts), stored_results(record, artifacts)
    gone = tuple(freed(record, artifacts))
    recipe = Recipe.of(record, stored_configuration(record, artifacts))
    again = follow(ports, project, recipe if threads is None else replace(recipe, threads=threads))
    after = stored_results(again, artifacts)
    rows = compare_rows(before, after) if before is not None and after is not None else None
    left = altered(record, artifacts) if changed else []
    told = [line if line in left else f"{line}; the replay has put it right" for line in changed]
    return judge(record, again, rows, told, known).model_copy(update={"freed": gone})


def follow(ports: Ports, project: Project, recipe: Recipe) -> RunRecord:
    """The run that a recipe describes, made now in a process of its own and tracked as kind ``replay``.

    The record says failed where the run itself fails. Raises MlopsError, before anything starts, where the code or the
    data cannot be had, or the data was damaged.
    """
    check_data(ports, project, recipe)
    ready = ready_code(ports, project, recipe.code, recipe.lock)
    arrived = _gone(ports, way_of(ports, project, recipe, ready), ready.environment)
    ports.event_log.store(experiment_events(project.name, arrived))
    return arrived.records[0]


def way_of(ports: Ports, project: Project, recipe: Recipe, ready: "ReadyCode") -> Way:
    """What a worker is told to do to follow a recipe, under a new run id."""
    subproject = SubprojectConfiguration(
        project=project.name,
        key=recipe.subproject,
        config=recipe.config,
        tags={},
        params={},
        search_space=SearchSpace(),
        hpo=None,
        gates=(),
        stages=(),
        notifications=(),
    )
    origin = Origin(code=ready.identity, lock=ready.lock, kind="replay", parent=recipe.parent, tags=dict(recipe.tags))
    return Way(
        home=ports.home,
        subproject=subproject,
        reference=PipelineReference.of(project.pipeline),
        origin=origin,
        fresh=False,
        runs=(RunPlan(new_run_id(), recipe.configuration),),
        data_version=recipe.configuration.data_version,
        threads=recipe.threads,
    )


def _gone(ports: Ports, way: Way, environment: Environment) -> Arrived:
    compute = replace(ports.compute, backend="processes", address=None, cpus=None, threads=way.threads)
    (outcome,) = compute.map(travel, [way], environment=environment)
    if outcome.error is None:
        return outcome.get()
    return died(way, RunError(message=f"{way.where}: {outcome.error}", traceback=outcome.error.traceback))


def check_data(ports: Ports, project: Project, recipe: Recipe) -> None:
    """The snapshot is there and its bytes are what they were, so that no run is started that has to fail."""
    owner = f"{project.name}/{recipe.subproject}"
    store = DatasetStore(ArtifactStore(ports.home.artifacts_url), ports.home.secret())
    snapshot = store.find(owner, recipe.configuration.data_version or "")
    if not store.artifacts.has(snapshot.artifact):
        store.artifacts.get(snapshot.artifact)


@dataclass(frozen=True)
class ReadyCode:
    """Recorded code as it runs today (framework and lock file may be others), and where a worker finds it."""

    identity: CodeIdentity
    lock: str
    environment: Environment


def ready_code(ports: Ports, project: Project, code: CodeIdentity, recorded_lock: str) -> ReadyCode:
    """Make recorded code ready to run. Raises MlopsError where it cannot be had any more."""
    reference = PipelineReference.of(project.pipeline)
    versions = CodeVersions(ArtifactStore(ports.home.artifacts_url))
    here = versions.current(reference, project.not_code)
    if code.digest == here.digest or code.tree == here.tree:
        return ReadyCode(identity_of(here), here.lock, Environment(Path(reference.root)))
    recorded = _version(code, recorded_lock)
    archive = versions.rebuild(recorded, reference, project.not_code)
    folder = versions.extract(archive, ports.home.path / "code", reference, project.not_code)
    # A commit brings its own lock file; an archive holds none, so the one of today counts.
    lock = recorded_lock if code.commit is not None else here.lock
    digest = code_digest(recorded.tree, versions.framework, lock)
    identity = code.model_copy(update={"digest": digest, "framework": versions.framework})
    return ReadyCode(identity, lock, Environment(folder))


def _version(code: CodeIdentity, lock: str) -> CodeVersion:
    if code.tree is None or code.framework is None:
        raise CodeVersionError(
            f"code version {code.digest[:12]} was recorded without the digest of its files, so it cannot be told "
            "whether the same code is had again"
        )
    return CodeVersion(
        digest=code.digest,
        tree=code.tree,
        framework=code.framework,
        lock=lock,
        commit=code.commit,
        branch=code.branch,
        dirty=code.dirty,
        patch=_artifact(code.patch),
        archive=_artifact(code.archive),
    )


def _artifact(uri: str | None) -> Artifact | None:
    """The artifact at an address; its size is not recorded, and reading checks the digest."""
    return Artifact(uri=uri, digest=uri.rsplit("/", 1)[1].partition(".")[0], bytes=0) if uri is not None else None
