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


def canvas(
    width: float, height: float, columns: int = 1, rows: int = 1, *, fixed: bool = False
) -> "tuple[Canvas, list[Axes]]":
    """A figure of its own, not pyplot's: nothing to close, nothing shared between threads.

    ``fixed``: with room for numbers at its axes and no more; finding out how much the labels need is half of the work.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    made = Canvas(figsize=(width, height), layout=None if fixed else "constrained")
    if fixed:
        made.subplots_adjust(*_margins(width, height), wspace=0.08, hspace=0.5)
    FigureCanvasAgg(made)
    axes = [made.add_subplot(rows, columns, position + 1) for position in range(columns * rows)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return made, axes


def _margins(width: float, height: float) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of the axes, with 0.9, 0.55, 0.2 and 0.35 inches around them."""
    return 0.9 / width, 0.55 / height, 1 - 0.2 / width, 1 - 0.35 / height


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
