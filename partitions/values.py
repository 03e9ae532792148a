"""The base of every declaration: frozen, refusing unknown fields, with a canonical JSON form and a digest."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from partitions.errors import DeclarationError
from partitions.problems import problems_of


class Value(BaseModel):
    """A frozen value. A subclass may name fields that are also accepted by position.

    ``class Float(Value): positional = ("low", "high")`` allows ``Float(0.01, 0.3, log=True)``. Whatever is wrong with
    the fields is one DeclarationError, a line for each problem, with the path of the field.
    """

    # Input is hidden in pydantic's own text, which tracebacks show: it may hold a secret.
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False, hide_input_in_errors=True)

    positional: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **fields: Any) -> None:
        if len(args) > len(self.positional):
            takes = ", ".join(self.positional) or "no fields"
            raise TypeError(f"{type(self).__name__} takes {takes} by position; name the others")
        by_position = dict(zip(self.positional, args, strict=False))
        twice = sorted(by_position.keys() & fields.keys())
        if twice:
            raise TypeError(f"{type(self).__name__} was given {', '.join(twice)} twice")
        given = {**by_position, **fields}
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise DeclarationError(self._described(given), problems_of(error, given, type(self))) from error

    # Pydantic may build a value inside another one without coming through here: three times as fast for a catalogue,
    # and what is wrong there is reported with its path from outside all the same.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def _described(cls, given: Mapping[str, Any]) -> str:
        """What an error calls this value: ``Stage 'testing'``."""
        first = next((given[name] for name in cls.positional[:1] if isinstance(given.get(name), str)), None)
        return cls.__name__ if first is None else f"{cls.__name__} {first!r}"


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN. What digests are computed over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """sha256, as 64 hexadecimal characters, over the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# As many objects as one project may share among its subprojects, and more.
_REMEMBERED = 4096
_part_digests: dict[int, tuple[Value, str]] = {}


def part_digest(part: Value) -> str:
    """``digest_of`` a value's JSON form, computed once for an object that many others hold.

    The object is kept with its digest, so that no other one can come to have its id.
    """
    known = _part_digests.get(id(part))
    if known is not None:
        return known[1]
    digest = digest_of(part.model_dump(mode="json"))
    if len(_part_digests) >= _REMEMBERED:
        _part_digests.clear()
    _part_digests[id(part)] = (part, digest)
    return digest
