"""What exists: the whole configuration of every subproject."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from partitions.gates import Gate
from partitions.hpo import HPO
from partitions.memory import values_that_stay
from partitions.messages import Message
from partitions.parameters import bind_params, merge, plain_params
from partitions.project import Project
from partitions.project_rules import bound_config
from partitions.search_space import SearchSpace
from partitions.stages import Stage
from partitions.subproject import Subproject
from partitions.values import Value, digest_of, part_digest

Origin = Literal["default", "project", "subproject"]


class SubprojectConfiguration(Value):
    """Everything declared for one subproject, with all defaults and the project's settings merged in.

    Plain data throughout, so that it can be stored as JSON and read back when the project's code is another or gone.
    ``origins`` says by path (``params.max_depth``, ``hpo.trials``, ``stages``) where a value was set.
    """

    project: str
    key: str
    config: dict[str, Any]
    tags: dict[str, str]
    params: dict[str, Any]
    search_space: SearchSpace
    hpo: HPO | None
    gates: tuple[Gate, ...]
    stages: tuple[Stage, ...]
    notifications: tuple[Message, ...]
    origins: dict[str, Origin] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """64 hexadecimal characters over everything but the origins.

        A digest of digests, so that a search space or a gate that 10,000 subprojects share is read once. Configurations
        of equal content have equal digests, however they were made.
        """
        return digest_of(
            {
                "project": self.project,
                "key": self.key,
                "config": self.config,
                "tags": self.tags,
                "params": self.params,
                "search_space": part_digest(self.search_space),
                "hpo": None if self.hpo is None else part_digest(self.hpo),
                "gates": [part_digest(gate) for gate in self.gates],
                "stages": [part_digest(stage) for stage in self.stages],
                "notifications": [part_digest(message) for message in self.notifications],
            }
        )

    @property
    def config_digest(self) -> str:
        """64 hexadecimal characters over the subproject configuration alone."""
        return digest_of(self.config)

    def gates_at(self, stage: str) -> tuple[Gate, ...]:
        """What a model must pass at a stage: the stage's own gates, else the subproject's. Of a stage that is not
        declared, the subproject's."""
        own = next((one.gates for one in self.stages if one.name == stage), None)
        return self.gates if own is None else own

    def origin_of(self, path: str) -> Origin:
        """Where the value at ``path`` was set: what is known of it or of the nearest path above it."""
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            origin = self.origins.get(".".join(parts[:length]))
            if origin is not None:
                return origin
        return _UNSTATED.get(parts[0], "project")


# Where a value was set that is there no more.
_UNSTATED: dict[str, Origin] = {"tags": "subproject", "config": "subproject", "params": "default"}


def catalogue(project: Project) -> dict[str, SubprojectConfiguration]:
    """The configuration of every subproject, in the order declared."""
    shared = _Shared.of(project)
    with values_that_stay():
        return {subproject.key: _resolved(subproject, shared) for subproject in project.subprojects}


def resolve(project: Project, key: str) -> SubprojectConfiguration:
    """The configuration of one subproject. Raises UnknownName where there is none of that key."""
    return _resolved(project.subproject(key), _Shared.of(project))


@dataclass(frozen=True)
class _Shared:
    """What all subprojects of a project without overrides of their own have in common, made once."""

    project: Project
    params: dict[str, Any]
    origins: dict[str, Origin]

    @classmethod
    def of(cls, project: Project) -> "_Shared":
        params = plain_params(bind_params(project.contract.params, project.params, ""), "")
        stated = set(_leaves(project.params, "params"))
        origins: dict[str, Origin] = {path: _stated_in(path, stated, "project") for path in _leaves(params, "params")}
        origins |= {f"search_space.{name}": "project" for name in project.search_space.dimensions}
        origins |= _hpo_origins(project.hpo, project.hpo.model_fields_set if project.hpo else set(), "project")
        for name in ("gates", "stages", "notifications"):
            origins[name] = "project" if getattr(project, name) else "default"
        return cls(project, params, origins)


def _resolved(subproject: Subproject, shared: _Shared) -> SubprojectConfiguration:
    project, contract = shared.project, shared.project.contract
    config = bound_config(subproject, contract)
    params = shared.params
    if subproject.params:
        params = plain_params(bind_params(contract.params, merge(project.params, subproject.params), ""), "")
    return SubprojectConfiguration(
        project=project.name,
        key=subproject.key,
        config=plain_params(config, ""),
        tags=subproject.tags,
        params=params,
        search_space=subproject.space_over(project.search_space),
        hpo=subproject.hpo_over(project.hpo),
        gates=project.gates if subproject.gates is None else subproject.gates,
        stages=project.stages if subproject.stages is None else subproject.stages,
        notifications=project.notifications if subproject.notifications is None else subproject.notifications,
        origins={**shared.origins, **_own_origins(subproject, config, params)},
    )


def _own_origins(subproject: Subproject, config: BaseModel, params: Mapping[str, Any]) -> dict[str, Origin]:
    origins: dict[str, Origin] = {
        f"config.{name}": "subproject" if name in config.model_fields_set else "default"
        for name in type(config).model_fields
    }
    origins |= {f"tags.{name}": "subproject" for name in subproject.tags}
    if subproject.params:
        stated = set(_leaves(subproject.params, "params"))
        own = (path for path in _leaves(params, "params") if _stated_in(path, stated, "subproject") == "subproject")
        origins |= dict.fromkeys(own, "subproject")
    if subproject.search_space is not None:
        space = subproject.search_space
        names = space.names if isinstance(space, SearchSpace) else tuple(space)
        origins |= {f"search_space.{name}": "subproject" for name in names}
    if isinstance(subproject.hpo, HPO):
        origins |= _hpo_origins(subproject.hpo, subproject.hpo.model_fields_set, "subproject")
    elif subproject.hpo is not None:
        origins |= {f"hpo.{name}": "subproject" for name in subproject.hpo}
    for name in ("gates", "stages", "notifications"):
        if getattr(subproject, name) is not None:
            origins[name] = "subproject"
    return origins


def _hpo_origins(hpo: HPO | None, stated: set[str], where: Origin) -> dict[str, Origin]:
    if hpo is None:
        return {}
    return {f"hpo.{name}": where if name in stated else "default" for name in HPO.model_fields}


def _leaves(values: Any, path: str) -> Iterator[str]:
    """The paths of all values that are no mappings with something in them."""
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from _leaves(value, f"{path}.{name}")
    else:
        yield path


def _stated_in(path: str, stated: set[str], where: Origin) -> Origin:
    """``where`` if the path, or one above it, was stated there."""
    parts = path.split(".")
    return where if any(".".join(parts[:length]) in stated for length in range(len(parts), 1, -1)) else "default"
