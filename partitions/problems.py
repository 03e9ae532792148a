"""Pydantic's errors as lines for people: the path of the field, the value given, and what would be right."""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from partitions.errors import DeclarationError, Problem, nearest

_ABSENT = object()
_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "none_required": "null",
    "dict_type": "a mapping",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}


def problems_of(error: ValidationError, given: Any, model: type[BaseModel] | None = None) -> list[Problem]:
    """Each thing wrong in ``given`` (what was validated, as ``model``), once per field, in the order of the fields."""
    found: dict[tuple[str, str], list[str]] = {}
    for detail in error.errors(include_url=False):
        kept = _path_in(given, detail["loc"], keep_last=detail["type"] in ("missing", "extra_forbidden"))
        cause = detail.get("ctx", {}).get("error")
        path = written(kept)
        if isinstance(cause, DeclarationError):
            for problem in cause.problems:
                inner = problem.below(path)
                found[inner.path, inner.message] = [inner.message]
            continue
        found.setdefault((path, ""), []).append(_message(dict(detail), model))
    # Where a mapping may stand for an instance, what is wrong inside the mapping says more than that it is no instance.
    outer = [
        path
        for (path, _), messages in found.items()
        if all(message.startswith("expected an instance of") for message in messages)
        and any(other.startswith((f"{path}.", f"{path}[")) for other, _ in found)
    ]
    return [Problem(path, _joined(messages)) for (path, _), messages in found.items() if path not in outer]


def written(parts: Sequence[str | int]) -> str:
    """``("stages", 1, "name")`` as ``stages[1].name``."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any) -> str:
    """The value as an error shows it: one line of at most 80 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _path_in(given: Any, loc: Sequence[str | int], *, keep_last: bool) -> list[str | int]:
    """``loc`` without the names pydantic puts in for the members of a union: only what leads somewhere in ``given``."""
    kept: list[str | int] = []
    here = given
    for position, part in enumerate(loc):
        below = _below(here, part)
        if below is not _ABSENT:
            here = below
            kept.append(part)
        elif keep_last and position == len(loc) - 1:
            kept.append(part)
    return kept


def _below(here: Any, part: str | int) -> Any:
    if isinstance(here, Mapping):
        return here.get(part, _ABSENT)
    if isinstance(part, int):
        return here[part] if isinstance(here, Sequence) and not isinstance(here, str) and part < len(here) else _ABSENT
    return getattr(here, part, _ABSENT) if isinstance(here, BaseModel) else _ABSENT


def _message(detail: dict[str, Any], model: type[BaseModel] | None) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        *above, name = detail["loc"]
        holder = _type_at(model, above)
        fields = list(holder.model_fields) if isinstance(holder, type) and issubclass(holder, BaseModel) else []
        return nearest(str(name), fields, noun="field") if fields else f"unknown field {name!r}"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, not {shown(value)}"
    if kind == "literal_error":
        return f"expected {detail['ctx']['expected']}, not {shown(value)}"
    if kind == "union_tag_invalid":
        return f"unknown type {detail['ctx']['tag']!r}; known: {detail['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"a mapping needs its 'type', given {shown(value)}"
    if kind == "is_instance_of":
        return f"expected an instance of {detail['ctx']['class']}, not {shown(value)}"
    message = str(detail["msg"]).removeprefix("Input should be ").removeprefix("Input must be ")
    return f"expected {message}, not {shown(value)}" if message != detail["msg"] else f"{message}, given {shown(value)}"


def _type_at(annotation: Any, loc: Sequence[str | int]) -> Any:
    """The type that annotations give to the place ``loc``, a path as pydantic writes it; None where they end."""
    for part in loc:
        members = members_of(annotation)
        tagged = [member for member in members if _tag(member) == part]
        if len(members) > 1:
            annotation = tagged[0] if tagged else None
            continue
        annotation = members[0] if members else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field is not None else None
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            annotation = next(iter(get_args(annotation)), None)
    members = members_of(annotation)
    return members[0] if len(members) == 1 else None


def members_of(annotation: Any) -> list[Any]:
    """The types that an annotation allows beside None."""
    if get_origin(annotation) is Annotated:
        return members_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for allowed in get_args(annotation) for member in members_of(allowed)]
    return [] if annotation in (None, NoneType) else [annotation]


def _tag(member: Any) -> Any:
    """What a mapping says as ``type`` to become this model."""
    field = member.model_fields.get("type") if isinstance(member, type) and issubclass(member, BaseModel) else None
    return field.default if field is not None else None


def _joined(messages: list[str]) -> str:
    """One line for one field: the members of a union that all refused a value are offered together."""
    unique = list(dict.fromkeys(messages))
    parts = [message.rpartition(", not ") for message in unique]
    given = {last for _, _, last in parts}
    if len(given) > 1 or not all(first.startswith("expected ") for first, _, _ in parts):
        return "; ".join(unique)
    offers = " or ".join(first.removeprefix("expected ") for first, _, _ in parts)
    return f"expected {offers}, not {given.pop()}"
