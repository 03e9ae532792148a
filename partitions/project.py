"""A project: one pipeline and everything declared about it, validated as a whole when it is made."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, field_validator, model_validator

from partitions.contract import PipelineContract
from partitions.errors import DeclarationError, MlopsError, UnknownName, nearest
from partitions.gates import Gate
from partitions.hpo import HPO
from partitions.memory import values_that_stay
from partitions.messages import Message
from partitions.names import check_project_name
from partitions.pipeline import Pipeline
from partitions.problems import shown
from partitions.project_rules import bound_config, project_problems
from partitions.reference import PipelineReference
from partitions.search_space import SearchSpace
from partitions.stages import Stage
from partitions.subproject import Subproject, stated
from partitions.values import Value

if TYPE_CHECKING:
    from partitions.parameters import AnyPipeline

NOT_CODE = ("*.yaml", "*.yml", "*.toml", "*.md", "*.ipynb", "data/**")


class ProjectFields(TypedDict, total=False):
    """What a project may declare beside its name, pipeline and subprojects, for type checkers."""

    params: Mapping[str, Any] | BaseModel
    search_space: SearchSpace
    hpo: HPO | None
    gates: Sequence[Gate]
    stages: Sequence[Stage]
    notifications: Sequence[Message]
    not_code: Sequence[str]


class Project(Value):
    """One pipeline and its subprojects, with what holds for all of them unless a subproject says otherwise.

    Making one checks it against the pipeline: keys, configurations, parameters, search space, metrics, gates, stages.
    Everything wrong is in one DeclarationError, a line for each, led by ``project 'name':`` and the path of the field.
    ``not_code``: patterns of files in the package whose change makes no new code version.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    pipeline: InstanceOf[Pipeline[Any, Any]]
    subprojects: tuple[Subproject, ...] = ()
    params: dict[str, Any] = Field(default_factory=dict)
    search_space: SearchSpace = Field(default_factory=SearchSpace)
    hpo: HPO | None = None
    gates: tuple[Gate, ...] = ()
    stages: tuple[Stage, ...] = ()
    notifications: tuple[Message, ...] = ()
    not_code: tuple[str, ...] = NOT_CODE

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            pipeline: "AnyPipeline",
            subprojects: Sequence[Subproject] = (),
            **fields: Unpack[ProjectFields],
        ) -> None: ...

    @classmethod
    def _described(cls, given: Mapping[str, Any]) -> str:
        return f"project {shown(given['name'])}" if "name" in given else "project"

    @field_validator("name")
    @classmethod
    def _legal_name(cls, name: str) -> str:
        return check_project_name(name)

    @field_validator("params", mode="before")
    @classmethod
    def _stated_params(cls, params: Any) -> Any:
        return stated(params)

    @model_validator(mode="after")
    def _accepted_by_the_pipeline(self) -> "Project":
        try:
            contract = PipelineContract.of(self.pipeline)
        except DeclarationError as error:
            raise DeclarationError("", [problem.below("pipeline") for problem in error.problems]) from error
        with values_that_stay():
            problems = project_problems(self, contract)
        if problems:
            raise DeclarationError("", problems)
        return self

    @cached_property
    def reference(self) -> PipelineReference:
        """Where the pipeline's code is."""
        return PipelineReference.of(self.pipeline)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of all subprojects, in the order declared."""
        return tuple(subproject.key for subproject in self.subprojects)

    @cached_property
    def _by_key(self) -> dict[str, Subproject]:
        return {subproject.key: subproject for subproject in self.subprojects}

    @cached_property
    def contract(self) -> PipelineContract:
        """What the pipeline accepts."""
        return PipelineContract.of(self.pipeline)

    def subproject(self, key: str) -> Subproject:
        """Raises UnknownName, with the nearest keys, where there is none."""
        if key not in self._by_key:
            raise UnknownName(f"project {self.name!r}: {nearest(key, self.keys, noun='subproject')}")
        return self._by_key[key]

    def config(self, key: str) -> Any:
        """The configuration of a subproject, as an instance of the pipeline's type."""
        return bound_config(self.subproject(key), self.contract)

    def select(
        self, patterns: Iterable[str] = (), tags: Mapping[str, str] | None = None, everything: bool = False
    ) -> list[str]:
        """The keys that match any of the patterns (a key or a glob) and all of the tags, in the order declared.

        Raises UnknownName for a pattern or tags that match nothing, and MlopsError where nothing was asked for.
        """
        wanted = list(patterns)
        if everything and (wanted or tags):
            raise MlopsError("--all selects every subproject; leave out the keys and tags, or --all")
        if not everything and not wanted and not tags:
            raise MlopsError(f"no subproject named: give keys, globs, --tag k=v or --all (project {self.name!r})")
        chosen = {key for pattern in wanted for key in self._matching(pattern)} if wanted else set(self.keys)
        asked = (tags or {}).items()
        selected = [s.key for s in self.subprojects if s.key in chosen and asked <= s.tags.items()]
        if not selected and (tags or not everything):
            written = ", ".join(f"{name}={value}" for name, value in asked)
            among = f" among {', '.join(wanted)}" if wanted else ""
            raise UnknownName(f"project {self.name!r}: no subproject{among} has the tags {written}")
        if not selected:
            raise UnknownName(f"project {self.name!r} has no subprojects")
        return selected

    def _matching(self, pattern: str) -> list[str]:
        if not any(wild in pattern for wild in "*?["):
            return [self.subproject(pattern).key]
        matching = [key for key in self.keys if fnmatchcase(key, pattern)]
        if not matching:
            some = ", ".join(self.keys[:8]) + (f" and {len(self.keys) - 8} more" if len(self.keys) > 8 else "")
            raise UnknownName(f"project {self.name!r}: no subproject matches {pattern!r}; there are: {some or 'none'}")
        return matching
