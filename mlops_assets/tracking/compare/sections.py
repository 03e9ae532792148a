"""What is shown of a comparison, in the order in which it is read: titled tables, for a terminal or a page."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LONGEST_CELL = 80
LONGEST_ID = 12
MOST_COLUMNS = 12


@dataclass(frozen=True, eq=False)
class Section:
    """One table under a title. ``said`` is a sentence above it, or alone where there is no table.

    turning: how many lines of a table with many columns become columns on a terminal; 0 for none: it stays upright.
    """

    title: str
    table: "pd.DataFrame | None" = None
    said: str = ""
    turning: int = 0

    @property
    def lines(self) -> list[list[str]]:
        """The cells as short texts without control characters."""
        if self.table is None:
            return []
        return [[cell(value) for value in line] for line in self.table.itertuples(index=False, name=None)]

    @property
    def columns(self) -> list[str]:
        return [] if self.table is None else [printable(str(name)) for name in self.table.columns]

    @property
    def numeric(self) -> list[bool]:
        """Whether a column's cells are to be aligned as numbers."""
        if self.table is None:
            return []
        names = range(len(self.table.columns))
        return [all(_is_number(value) for value in self.table.iloc[:, place].dropna()) for place in names]

    @property
    def turned(self) -> "Section":
        """A table of many columns on its side, its first lines as columns, so that a terminal can hold it."""
        import pandas as pd

        if self.table is None or not self.turning or len(self.table.columns) <= MOST_COLUMNS:
            return self
        first, *fields = zip(self.columns, *self.lines[: self.turning], strict=True)
        return Section(self.title, pd.DataFrame(fields, columns=list(first), dtype=object), self.said)


def cell(value: Any) -> str:
    """Numbers short, times to the minute, nothing as a dash, long texts cut."""
    import pandas as pd

    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    text = printable(str(value)) or "-"
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."


def printable(text: str) -> str:
    """Without what could move a terminal's cursor or is no character of XML."""
    return "".join(c if c.isprintable() else " " if c in "\n\t\r" else "\N{REPLACEMENT CHARACTER}" for c in text)


def short(table: "pd.DataFrame", *names: str) -> "pd.DataFrame":
    """The table with digests and commits cut to 12 characters."""
    copied = table.copy()
    for name in names:
        copied[name] = [str(value)[:LONGEST_ID] if isinstance(value, str) else None for value in table[name]]
    return copied


def as_text(headline: str, sections: list[Section], notes: tuple[str, ...]) -> str:
    """All of it as plain text."""
    parts = [printable(headline), *(f"note: {printable(note)}" for note in notes)]
    for section in (section.turned for section in sections):
        parts.append("\n".join([f"\n{section.title}", *([section.said] if section.said else []), *_aligned(section)]))
    return "\n".join(parts)


def _aligned(section: Section) -> list[str]:
    if section.table is None:
        return []
    table = [section.columns, *section.lines]
    widths = [max(len(line[place]) for line in table) for place in range(len(section.columns))]
    sides = [str.rjust if number else str.ljust for number in section.numeric]
    return [
        "  ".join(side(text, width) for side, text, width in zip(sides, line, widths, strict=True)).rstrip()
        for line in table
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (hasattr(value, "dtype") and value.dtype.kind in "iuf")
