"""What libraries report, as plain values that every process can read and JSON can hold."""

import math
from numbers import Integral, Real

LONGEST = 200


def plain(value: object) -> str | int | float | bool | None:
    """``value`` as text, number or truth value; numbers that JSON cannot hold, and everything else, as text."""
    if value is None or isinstance(value, str | bool):
        return value if not isinstance(value, str) else one_line(value)
    if type(value).__name__ in ("bool", "bool_"):  # numpy's, without importing numpy
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if isinstance(value, list | tuple) and all(not isinstance(part, list | tuple | dict) for part in value):
        return one_line(", ".join(str(plain(part)) for part in value))
    return one_line(str(value))


def one_line(value: object, longest: int = LONGEST) -> str:
    """The text of ``value`` on one line, cut at ``longest`` characters."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def cell(text: str) -> str:
    """The text as a cell of a markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
