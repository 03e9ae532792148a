"""A subproject: the same code with another configuration, and what it overrides of its project."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

from pydantic import BaseModel, Field, InstanceOf, SerializeAsAny, field_validator

from partitions.errors import DeclarationError
from partitions.gates import Gate
from partitions.hpo import HPO
from partitions.messages import Message
from partitions.names import check_subproject_key
from partitions.search_space import AnyDimension, Dimension, SearchSpace
from partitions.stages import Stage
from partitions.values import Value


class Overrides(TypedDict, total=False):
    """What a subproject may say differently, for type checkers."""

    tags: Mapping[str, str]
    params: Mapping[str, Any] | BaseModel
    search_space: SearchSpace | Mapping[str, Dimension | None]
    hpo: HPO | Mapping[str, Any]
    gates: Sequence[Gate]
    stages: Sequence[Stage]
    notifications: Sequence[Message]


class Subproject(Value):
    """``config`` is an instance of the pipeline's type of configuration, or a mapping that becomes one in the project.

    What is None is the project's. ``params`` are merged over the project's. A mapping as ``search_space`` replaces
    single dimensions (None takes one out), one as ``hpo`` single fields; a SearchSpace or an HPO replaces the whole.
    ``gates``, ``stages`` and ``notifications`` replace the project's.
    """

    positional: ClassVar[tuple[str, ...]] = ("key", "config")

    key: str
    config: SerializeAsAny[InstanceOf[BaseModel]] | dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    search_space: InstanceOf[SearchSpace] | dict[str, AnyDimension | None] | None = None
    hpo: InstanceOf[HPO] | dict[str, Any] | None = None
    gates: tuple[Gate, ...] | None = None
    stages: tuple[Stage, ...] | None = None
    notifications: tuple[Message, ...] | None = None

    if TYPE_CHECKING:

        def __init__(
            self, key: str, config: BaseModel | Mapping[str, Any] = ..., **overrides: Unpack[Overrides]
        ) -> None: ...

    @field_validator("key")
    @classmethod
    def _legal_key(cls, key: str) -> str:
        return check_subproject_key(key)

    @field_validator("tags")
    @classmethod
    def _tags_can_be_asked_for(cls, tags: dict[str, str]) -> dict[str, str]:
        wrong = next((name for name in tags if not name or "=" in name or name != name.strip()), None)
        if wrong is not None:
            raise DeclarationError(
                "", f"a tag's name may not be empty, hold '=' or begin or end with a space: {wrong!r}"
            )
        return tags

    @field_validator("params", mode="before")
    @classmethod
    def _stated_params(cls, params: Any) -> Any:
        return stated(params)

    def space_over(self, base: SearchSpace) -> SearchSpace:
        """This subproject's search space, where its project's is ``base``."""
        if self.search_space is None or isinstance(self.search_space, SearchSpace):
            return self.search_space or base
        return base.changed(self.search_space)

    def own_dimensions(self) -> dict[str, Dimension]:
        """The dimensions that this subproject declares itself."""
        own = self.search_space.dimensions if isinstance(self.search_space, SearchSpace) else self.search_space
        return {name: dimension for name, dimension in (own or {}).items() if dimension is not None}

    def hpo_over(self, base: HPO | None) -> HPO | None:
        """This subproject's HPO configuration, where its project's is ``base``."""
        if self.hpo is None or isinstance(self.hpo, HPO):
            return self.hpo or base
        return HPO(**self.hpo) if base is None else base.changed(**self.hpo)


def stated(params: Any) -> Any:
    """Parameters as a mapping; of an instance of the parameters' type, only what was said."""
    return params.model_dump(exclude_unset=True) if isinstance(params, BaseModel) else params
