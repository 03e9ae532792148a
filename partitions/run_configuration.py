"""The run configuration: everything that can change a run's outcome and is neither code, subproject nor seed."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from partitions.errors import DeclarationError
from partitions.plain import Plain
from partitions.problems import problems_of, shown
from partitions.values import Value, digest_of
from partitions.yaml_text import read_yaml, write_yaml

Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]


class RunConfiguration(Value):
    """The fields of a run configuration file. What is left out is decided when the run starts, and then recorded.

    data_version: the dataset snapshot to use; None the latest. params: pipeline parameters by name, nested where they
    are; what is not named keeps its default. folds, fold: which part of a cross-validation of the train rows this run
    is; without ``fold``, all of them. seed: 0 to 2**32 - 1.
    """

    data_version: str | None = None
    params: dict[str, Plain] = Field(default_factory=dict)
    folds: Annotated[int, Field(strict=True, ge=2)] | None = None
    fold: Annotated[int, Field(strict=True, ge=0)] | None = None
    seed: Seed | None = None

    @model_validator(mode="after")
    def _fold_is_one_of_folds(self) -> "RunConfiguration":
        if self.fold is not None and self.folds is None:
            raise DeclarationError("", f"fold {self.fold} needs folds: how many there are")
        if self.fold is not None and self.folds is not None and self.fold >= self.folds:
            raise DeclarationError(
                "", f"fold {self.fold} of {self.folds} does not exist: the last one is {self.folds - 1}"
            )
        return self

    @property
    def digest(self) -> str:
        """64 hexadecimal characters over params, folds and fold: equal for the runs of one trial's fold on any data."""
        return digest_of({"params": self.params, "folds": self.folds, "fold": self.fold})

    def to_yaml(self, comment: str = "") -> str:
        """The run configuration file, led by ``comment``. ``from_yaml`` gives back an equal value."""
        lines = ["".join(c if c.isprintable() else " " for c in line) for line in comment.splitlines()]
        header = "".join(f"# {line}".rstrip() + "\n" for line in lines)
        stated = {name: value for name, value in self.model_dump().items() if value is not None}
        return header + write_yaml(stated)

    @classmethod
    def from_yaml(cls, text: str, source: str) -> "RunConfiguration":
        """Read a run configuration file. Errors are one line for each problem and name ``source``, the file."""
        fields = read_yaml(text, source)
        if fields is None:
            fields = {}
        if not isinstance(fields, Mapping):
            raise DeclarationError(source, f"expected fields such as params and seed, not {shown(fields)}")
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            raise DeclarationError(source, problems_of(error, fields, cls)) from error
