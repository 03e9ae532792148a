"""What all pictures share: two colours, figures drawn off screen, PNG bytes out, names that are no formulas."""

import io
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

INK = "#1f4e79"
ACCENT = "#c8501e"
LONGEST_NAME = 40
# A name may hold any character, dollars and backslashes among them: it is a name, not a formula.
AS_IT_IS: dict[str, Any] = {"parse_math": False}


class Figure(NamedTuple):
    """A picture and what it is called. A notebook shows it."""

    title: str
    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png


def canvas(width: float, height: float, columns: int = 1, rows: int = 1) -> "tuple[Canvas, list[Axes]]":
    """A figure of its own, not pyplot's: nothing to close, nothing shared between threads."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    made = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    axes = [made.add_subplot(rows, columns, position + 1) for position in range(columns * rows)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return made, axes


def png(made: "Canvas", dpi: int = 100) -> bytes:
    """Without the software's version in it, the same picture is the same bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A character that the font has not is drawn as a box, which is what one can do; the table has it as it is.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        made.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def as_name(text: Any) -> str:
    """A name as a picture shows it: without control characters, cut where it is long."""
    said = "".join(char if char.isprintable() else " " for char in str(text))
    return said if len(said) <= LONGEST_NAME else f"{said[: LONGEST_NAME - 3]}..."
