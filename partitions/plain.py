"""Plain data: what JSON and YAML can hold and give back unchanged."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from partitions.errors import DeclarationError, Problem
from partitions.problems import shown

Scalar = bool | int | float | str | None


def plain(value: Any) -> Any:
    """``value`` as null, booleans, numbers, text, lists and mappings with text keys; tuples become lists.

    Raises DeclarationError with the path of anything else, of NaN and of the infinities: neither JSON nor a digest
    can hold them.
    """
    problems: list[Problem] = []
    copied = _plain(value, "", problems)
    if problems:
        raise DeclarationError("", problems)
    return copied


def _plain(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                problems.append(Problem(path, f"expected text as key, not {shown(key)}"))
        return {key: _plain(item, f"{path}.{key}" if path else str(key), problems) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{position}]", problems) for position, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(Problem(path, f"expected a finite number, not {value!r}; use null for no value"))
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        problems.append(Problem(path, f"expected text that can be written as UTF-8, not {shown(value)}"))
    elif value is not None and type(value) not in (bool, int, float, str):
        offer = "null, true or false, a number, text, a list or a mapping"
        problems.append(Problem(path, f"expected {offer}, not {shown(value)} of type {type(value).__name__}"))
    return value


def _scalar(value: Any) -> Scalar:
    if isinstance(value, list | tuple | Mapping):
        raise DeclarationError("", f"expected null, true or false, a number or text, not {shown(value)}")
    copied: Scalar = plain(value)
    return copied


Plain = Annotated[Any, AfterValidator(plain)]
PlainScalar = Annotated[Any, BeforeValidator(_scalar)]
