"""What exists: the whole configuration of every subproject, and how what is declared differs from what is known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from partitions.gates import Gate
from partitions.hpo import HPO
from partitions.messages import Message
from partitions.parameters import bind_params, merge, plain_params
from partitions.project import Project
from partitions.project_rules import bound_config
from partitions.search_space import SearchSpace
from partitions.stages import Stage
from partitions.subproject import Subproject
from partitions.values import Value, canonical_json, digest_of

Origin = Literal["default", "project", "subproject"]
_ABSENT = object()


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
        """64 hexadecimal characters over everything but the origins."""
        return digest_of(self.model_dump(mode="json", exclude={"origins"}))

    @property
    def config_digest(self) -> str:
        """64 hexadecimal characters over the subproject configuration alone."""
        return digest_of(self.config)

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


class FieldChange(Value):
    """One value that differs; None where it is not there. ``origin``: where the declared value is set."""

    path: str
    before: Any = None
    after: Any = None
    origin: Origin


class Changes(Value):
    """Declared against registered, by key: what ``apply`` would register, change and retire."""

    new: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    changed: dict[str, tuple[FieldChange, ...]] = Field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        return not (self.new or self.retired or self.changed)


def catalogue(project: Project) -> dict[str, SubprojectConfiguration]:
    """The configuration of every subproject, in the order declared."""
    shared = _Shared.of(project)
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


def diff(declared: Mapping[str, SubprojectConfiguration], registered: Mapping[str, SubprojectConfiguration]) -> Changes:
    """What differs, value by value. An origin alone that differs is no change."""
    unchanged, changed = [], {}
    for key, configuration in declared.items():
        if key not in registered:
            continue
        fields = () if configuration == registered[key] else field_changes(registered[key], configuration)
        if fields:
            changed[key] = fields
        else:
            unchanged.append(key)
    return Changes(
        new=tuple(key for key in declared if key not in registered),
        retired=tuple(key for key in registered if key not in declared),
        unchanged=tuple(unchanged),
        changed=changed,
    )


def field_changes(before: SubprojectConfiguration, after: SubprojectConfiguration) -> tuple[FieldChange, ...]:
    """Every value that differs between two configurations of a subproject, in the order of the fields."""
    return tuple(
        FieldChange(path=path, before=old, after=new, origin=after.origin_of(path))
        for path, old, new in _differences(_by_name(before), _by_name(after), "")
    )


def _by_name(configuration: SubprojectConfiguration) -> dict[str, Any]:
    """As plain data, with gates and stages by name instead of by position: one more must not change all that follow."""
    fields = configuration.model_dump(mode="json", exclude={"origins"})
    fields["search_space"] = fields["search_space"]["dimensions"]
    fields["stages"] = _named(fields["stages"])
    for stage in fields["stages"].values():
        if stage["gates"] is not None:
            stage["gates"] = _named(stage["gates"])
    fields["gates"] = _named(fields["gates"])
    return fields


class _Named(dict[str, Any]):
    """Items of a list by name; their order still counts."""

    def order(self, among: "_Named") -> list[str]:
        return [name for name in self if name in among]


def _named(items: list[dict[str, Any]]) -> _Named:
    named = _Named()
    for item in items:
        parts = [item.get(field) for field in ("name", "type", "column", "metric", "function")]
        name = "_".join(part for part in parts if part)
        same = sum(1 for other in named if other == name or other.startswith(f"{name}#"))
        named[f"{name}#{same + 1}" if same else name] = item
    return named


def _differences(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, _Named) and isinstance(after, _Named) and before.order(after) != after.order(before):
        yield path, list(before), list(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*after, *before]):
            sides = before.get(name, _ABSENT), after.get(name, _ABSENT)
            yield from _differences(*sides, f"{path}.{name}" if path else name)
    elif before is _ABSENT or after is _ABSENT:
        yield path, None if before is _ABSENT else before, None if after is _ABSENT else after
    elif canonical_json(before) != canonical_json(after):
        yield path, before, after
