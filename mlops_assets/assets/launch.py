"""From subprojects and one request to ways on workers: what a lifecycle run, an experiment and `mlops run` share."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.assets.recording import died
from mlops_assets.assets.travel import travel
from mlops_assets.assets.way import Arrived, Origin, RunPlan, Way
from mlops_assets.tracking.best import BestConfigurations
from mlops_assets.tracking.record import CodeIdentity, Kind, RunError, new_run_id
from mlops_assets.tracking.registry import Registry
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import DataError, MlopsError
from partitions.parameters import bind_params, merge, params_type
from partitions.pipeline import Window
from partitions.project import Project
from partitions.reference import PipelineReference
from partitions.run_configuration import RunConfiguration
from partitions.values import canonical_json
from resources.artifacts import ArtifactStore
from resources.code_versions import CodeVersion, CodeVersions
from resources.compute import Compute, Environment
from resources.datasets import DatasetStore
from resources.event_log import EventLog
from resources.home import Home

if TYPE_CHECKING:
    from resources.ledger.ledger import Ledger

PAGE = 500


@dataclass(frozen=True)
class Ports:
    """The outside world of a launch."""

    home: Home
    event_log: EventLog
    compute: Compute

    @cached_property
    def ledger(self) -> "Ledger":
        """The deployments of all projects of this home, opened at first use."""
        from resources.ledger.ledger import Ledger

        return Ledger.of(self.home)


@dataclass(frozen=True)
class Request:
    """What is asked of every subproject of a launch.

    ``ingest``: take a new snapshot "always", only where there is none ("missing"), or "never" (raises where there is
    none). ``runs``: False stops after the dataset. ``revision``: a code version to run instead of the code at hand.
    ``follow_best``: start from the best configuration where one was chosen, instead of what is registered.
    """

    configuration: RunConfiguration = field(default_factory=RunConfiguration)
    ingest: Literal["always", "missing", "never"] = "always"
    runs: bool = True
    window: Window | None = None
    revision: str | None = None
    follow_best: bool = False
    kind: Kind = "dev"
    dagster_run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Launch:
    """Ways that are ready to go, and the code environment of their workers (None: the code at hand).

    ``template``: what all ways share. ``versions``: the data version of each subproject, None where it takes a new one.
    """

    registry: Registry
    template: Way
    versions: dict[str, str | None]
    configuration: RunConfiguration | None
    follow_best: bool
    environment: Environment | None

    def ways(self) -> Iterator[Way]:
        """One way per subproject, made when it is asked for: never do thousands of configurations lie in memory."""
        for base in _in_pages(self.registry, list(self.versions), self.follow_best):
            version = self.versions[base.registered.key]
            yield replace(
                self.template,
                subproject=base.registered,
                fresh=version is None,
                data_version=version,
                runs=_plans(base.params, self.configuration) if self.configuration is not None else (),
            )


def prepare(ports: Ports, project: Project, keys: list[str], request: Request) -> Launch:
    """Everything that can be known before anything starts.

    Raises MlopsError where the request cannot be met: an unknown subproject, a parameter outside its type, an unknown
    code version, a data version that is not there. Nothing has changed then.
    """
    registry = Registry(ports.event_log, project.name)
    reference = PipelineReference.of(project.pipeline)
    first = registry.configurations(keys[:1])
    code, environment = code_to_run(ports, project, reference, request.revision)
    _check(project, _in_pages(registry, keys, request.follow_best), request if environment is None else None)
    origin = Origin(
        code=identity_of(code),
        lock=code.lock,
        kind=request.kind,
        dagster_run_id=request.dagster_run_id,
        tags=request.tags,
    )
    configuration = request.configuration
    if configuration.seed is None:
        configuration = configuration.model_copy(update={"seed": secrets.randbelow(2**31)})
    template = Way(
        home=ports.home,
        subproject=first[keys[0]],
        reference=reference,
        origin=origin,
        fresh=True,
        runs=(),
        window=request.window,
        draw=len(keys) == 1,
        threads=ports.compute.threads,
    )
    versions = data_versions_for(ports, project.name, keys, request)
    asked = configuration if request.runs else None
    return Launch(registry, template, versions, asked, request.follow_best, environment)


def launch(ports: Ports, project: Project, keys: list[str], request: Request) -> Iterator[Arrived]:
    """Go every subproject's way and yield each as it arrives, in any order; none stops another."""
    if not keys:
        return
    ready = prepare(ports, project, keys, request)
    under_way: dict[int, Way] = {}

    def start() -> Iterator[Way]:
        for index, way in enumerate(ready.ways()):
            under_way[index] = way
            yield way

    for outcome in ports.compute.map(travel, start(), environment=ready.environment):
        way = under_way.pop(outcome.index)
        if outcome.error is None:
            yield outcome.get()
        else:
            message = f"{way.where}: {outcome.error}"
            yield died(way, RunError(message=message, traceback=outcome.error.traceback))


@dataclass(frozen=True)
class Base:
    """What a run of a subproject starts from, before anything is asked for: registered configuration and parameters.

    Of the parameters, the defaults of the code are left to the code version that runs.
    """

    registered: SubprojectConfiguration
    params: dict[str, Any]


def _in_pages(registry: Registry, keys: list[str], follow_best: bool) -> Iterator[Base]:
    """What these subprojects start from, a page of them in memory at a time."""
    choices = BestConfigurations(registry.event_log, registry.project)
    for start in range(0, len(keys), PAGE):
        page = keys[start : start + PAGE]
        registered = registry.configurations(page)
        best = choices.current(page) if follow_best else {}
        for key in page:
            params = best[key].parameters if key in best else declared_params(registered[key])
            yield Base(registered[key], params)


def _check(project: Project, bases: Iterable[Base], request: Request | None) -> None:
    """Every subproject is registered; with a request, the code at hand takes its parameters.

    Thousands of subprojects have few different parameters, and each is bound once.
    """
    accepted = params_type(project.pipeline)
    bound: set[str] = set()
    for base in bases:
        if request is None:
            continue
        asked = merge(base.params, request.configuration.params)
        if (text := canonical_json(asked)) not in bound:
            bind_params(accepted, asked, f"{project.name}/{base.registered.key}")
            bound.add(text)


def _plans(base: dict[str, Any], configuration: RunConfiguration) -> tuple[RunPlan, ...]:
    """One run, or one per fold. Parameters: those of the base, then what is asked for."""
    full = configuration.model_copy(update={"params": merge(base, configuration.params)})
    if full.folds is None or full.fold is not None:
        return (RunPlan(new_run_id(), full),)
    return tuple(RunPlan(new_run_id(), full.model_copy(update={"fold": fold})) for fold in range(full.folds))


def declared_params(registered: SubprojectConfiguration) -> dict[str, Any]:
    """The registered parameters that project or subproject set; defaults are left to the code version that runs."""
    return {
        name: value
        for name, value in registered.params.items()
        if any(
            origin != "default" and (path == f"params.{name}" or path.startswith(f"params.{name}."))
            for path, origin in registered.origins.items()
        )
    }


def code_to_run(
    ports: Ports, project: Project, reference: PipelineReference, revision: str | None
) -> tuple[CodeVersion, Environment | None]:
    """A revision's code, or the code at hand, and where workers find it; None: what this process has imported."""
    versions = CodeVersions(ArtifactStore(ports.home.artifacts_url))
    if revision is None:
        code = versions.current(reference, project.not_code)
        edited = remember_code(ports.home, project) != code.tree
        return code, Environment(Path(reference.root)) if edited else None
    code = versions.at(reference, project.not_code, revision)
    if code.archive is None:
        raise MlopsError(f"project {project.name!r}: code version {revision!r} has no archive")
    return code, Environment(versions.extract(code.archive, ports.home.path / "code", reference, project.not_code))


# The code tree of each package when this process opened its project: what Python has imported stays as it was then.
_opened: dict[tuple[str, str], str] = {}


def remember_code(home: Home, project: Project) -> str:
    """The code tree that this process works with, noted the first time; files edited since run in fresh workers."""
    reference = PipelineReference.of(project.pipeline)
    key = (reference.root, reference.package)
    if key not in _opened:
        _opened[key] = CodeVersions(ArtifactStore(home.artifacts_url)).tree(reference, project.not_code)
    return _opened[key]


def identity_of(code: CodeVersion) -> CodeIdentity:
    """A code version as records hold it."""
    return CodeIdentity(
        digest=code.digest,
        tree=code.tree,
        framework=code.framework,
        commit=code.commit,
        branch=code.branch,
        dirty=code.dirty,
        patch=code.patch.uri if code.patch else None,
        archive=code.archive.uri if code.archive else None,
    )


def data_versions_for(ports: Ports, project: str, keys: list[str], request: Request) -> dict[str, str | None]:
    """The data version each subproject runs on; None where a new snapshot is to be taken."""
    if request.configuration.data_version is not None:
        store = DatasetStore(ArtifactStore(ports.home.artifacts_url), ports.home.secret())
        asked = request.configuration.data_version
        return {key: store.find(f"{project}/{key}", asked).data_version for key in keys}
    if request.ingest == "always":
        return dict.fromkeys(keys)
    latest = latest_data_versions(ports.event_log, project, keys)
    missing = [key for key in keys if key not in latest]
    if missing and request.ingest == "never":
        raise DataError(
            f"{project}/{missing[0]} has no dataset yet: materialise {project}/dataset with it, "
            f"or `mlops run {missing[0]}` takes one"
        )
    return {key: latest.get(key) for key in keys}


def latest_data_versions(event_log: EventLog, project: str, keys: Iterable[str] | None = None) -> dict[str, str]:
    """The data version of each subproject's last snapshot."""
    return event_log.latest_data_versions((project, "dataset"), None if keys is None else list(keys))
