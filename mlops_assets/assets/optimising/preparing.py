"""From subprojects and one request to HPO runs that are ready to go; whatever cannot be met is said here."""

import getpass
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mlops_assets.assets.launch import Ports, Request, code_to_run, data_versions_for, declared_params, identity_of
from mlops_assets.assets.optimising.accepting import Asked, all_accepted
from mlops_assets.assets.replaying import ready_code
from mlops_assets.assets.way import Origin, Way
from mlops_assets.learning.search.search import sampler_seed
from mlops_assets.tracking.hpo_run import HPORun, HPORuns
from mlops_assets.tracking.record import CodeIdentity, new_run_id, now
from mlops_assets.tracking.registry import Registry
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import DeclarationError, MlopsError
from partitions.hpo import HPO
from partitions.parameters import merge
from partitions.pipeline import Window
from partitions.project import Project
from partitions.reference import PipelineReference
from partitions.run_configuration import RunConfiguration
from partitions.search_space import SearchSpace
from resources.compute import Environment, Needs


@dataclass(frozen=True)
class HPORequest:
    """What is asked of every subproject. ``fields``: of the HPO configuration, over what is registered.

    ``params``: over what is registered, for those that are not sampled. ``seed``: of the first run of each trial and of
    the sampler; None takes 0 for runs and draws the sampler's. ``resume``: go on with the last HPO run that did not
    end, where there is one. ``of_family``: only with one that belongs to these Dagster runs. ``ingest``: as in
    ``launch.Request``. ``train``: the best configuration afterwards.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    revision: str | None = None
    resume: bool = False
    of_family: tuple[str, ...] = ()
    ingest: Literal["always", "missing", "never"] = "missing"
    window: Window | None = None
    data_version: str | None = None
    train: bool = False
    dagster_run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """A subproject that is ready: its HPO run, without a data version where a snapshot is to be taken first.

    ``resumed``: the HPO run was begun before, and its runs are to be taken up.
    """

    registered: SubprojectConfiguration
    run: HPORun
    fresh: bool
    resumed: bool = False

    @property
    def needs(self) -> Needs:
        hpo = self.run.configuration
        return Needs(hpo.cpus, hpo.gpus, hpo.memory)


@dataclass(frozen=True)
class Group:
    """Subprojects whose runs have the same code, and so the same kind of workers."""

    template: Way
    environment: Environment | None
    starts: tuple[Start, ...]


def prepare_hpo(ports: Ports, project: Project, keys: list[str], request: HPORequest) -> list[Group]:
    """Everything that can be known before anything starts. Raises MlopsError where the request cannot be met."""
    registered = Registry(ports.event_log, project.name).configurations(keys)
    runs = _to_resume(ports, project, keys, request)
    groups = _resumed(ports, project, registered, runs)
    new = [key for key in keys if key not in runs]
    if new:
        groups.append(_new(ports, project, {key: registered[key] for key in new}, request))
    for group in groups:
        compute = ports.compute.for_many()
        compute.refuse((start.needs for start in group.starts), group.environment)
    return groups


def _to_resume(ports: Ports, project: Project, keys: list[str], request: HPORequest) -> dict[str, HPORun]:
    if not (request.resume or request.of_family):
        return {}
    runs = HPORuns(ports.event_log, project.name).open(keys)
    if request.resume:
        if not runs:
            raise MlopsError(
                f"project {project.name!r}: there is no HPO run to resume of {_some(keys)}: all have ended; "
                "without --resume a new one begins"
            )
        return runs
    return {key: run for key, run in runs.items() if run.dagster_run_id in request.of_family}


def _resumed(
    ports: Ports, project: Project, registered: Mapping[str, SubprojectConfiguration], runs: Mapping[str, HPORun]
) -> list[Group]:
    """The HPO runs to go on with, by code version: each goes on with the code it began with."""
    reference = PipelineReference.of(project.pipeline)
    current, edited = code_to_run(ports, project, reference, None) if runs else (None, None)
    by_code: dict[str, list[HPORun]] = {}
    for run in runs.values():
        by_code.setdefault(run.code_version.digest, []).append(run)
    groups = []
    for digest, same in by_code.items():
        first, environment = same[0], edited
        if current is None or current.digest != digest:
            ready = ready_code(ports, project, first.code_version, first.lock)
            environment = ready.environment
            if ready.identity.digest != digest:
                raise MlopsError(
                    f"{first.where}: HPO run {first.hpo_run_id} began with code version {digest[:12]}, which cannot be "
                    "had with today's framework and lock file; without --resume a new one begins"
                )
        starts = tuple(
            Start(_as_it_was(registered[run.subproject], run), run, fresh=False, resumed=True) for run in same
        )
        groups.append(_group(ports, reference, first.code_version, environment, starts))
    return groups


def _as_it_was(registered: SubprojectConfiguration, run: HPORun) -> SubprojectConfiguration:
    """The subproject configured as when the HPO run began: what is registered may have changed since."""
    return registered.model_copy(update={"config": run.config})


def _new(
    ports: Ports, project: Project, registered: Mapping[str, SubprojectConfiguration], request: HPORequest
) -> Group:
    reference = PipelineReference.of(project.pipeline)
    code, environment = code_to_run(ports, project, reference, request.revision)
    configured = {key: _configured(one, request.fields) for key, one in registered.items()}
    asked = {
        key: Asked(reference, merge(declared_params(registered[key]), request.params), space, hpo)
        for key, (hpo, space) in configured.items()
    }
    base = all_accepted(asked, project.name, ports.compute, environment)
    # Of a run of it; what no run could have is refused here.
    configuration = RunConfiguration(data_version=request.data_version, seed=request.seed)
    wanted = Request(configuration, ingest=request.ingest, revision=request.revision)
    versions = data_versions_for(ports, project.name, list(registered), wanted)
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    starts = []
    for key, one in registered.items():
        run = HPORun(
            hpo_run_id=new_run_id(),
            project=project.name,
            subproject=key,
            configuration=configured[key][0],
            space=configured[key][1],
            base=base[key],
            config=one.config,
            code_version=identity_of(code),
            lock=code.lock,
            data_version=versions[key] or "",
            seed=request.seed or 0,
            sampler_seed=sampler_seed(seed, key),
            created_at=now(),
            created_by=getpass.getuser(),
            dagster_run_id=request.dagster_run_id,
            tags=dict(request.tags),
        )
        starts.append(Start(one, run, fresh=versions[key] is None))
    group = _group(ports, reference, identity_of(code), environment, tuple(starts))
    return replace(group, template=replace(group.template, window=request.window))


def _group(
    ports: Ports,
    reference: PipelineReference,
    code: CodeIdentity,
    environment: Environment | None,
    starts: tuple[Start, ...],
) -> Group:
    run = starts[0].run
    template = Way(
        home=ports.home,
        subproject=starts[0].registered,
        reference=reference,
        origin=Origin(code=code, lock=run.lock, dagster_run_id=run.dagster_run_id),
        fresh=False,
        runs=(),
        threads=ports.compute.threads,
    )
    return Group(template, environment, starts)


def _configured(registered: SubprojectConfiguration, fields: Mapping[str, Any]) -> tuple[HPO, SearchSpace]:
    """The HPO configuration with the fields that are asked for, and the part of the space that it samples."""
    where = f"{registered.project}/{registered.key}"
    declared = registered.hpo
    if declared is None and not {"metric", "direction"} <= fields.keys():
        raise MlopsError(
            f"{where}: declares no hpo: say hpo=HPO(metric=..., direction=...) in project.py and apply, or give a file "
            "with metric and direction (mlops hpo -c hpo.yaml)"
        )
    try:
        hpo = HPO(**fields) if declared is None else declared.changed(**fields)
        space = registered.search_space
        return hpo, space if hpo.parameters is None else space.part(hpo.parameters)
    except DeclarationError as error:
        raise DeclarationError(f"{where}: hpo", error.problems) from error


def _some(keys: Iterable[str]) -> str:
    listed = list(keys)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
