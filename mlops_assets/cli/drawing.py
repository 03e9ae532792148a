"""``mlops runs --plot`` and ``--html``: runs as pictures, and in a few lines what they show."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from mlops_assets.cli.printing import console, print_table
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.tracking.exploring.exploration import Exploration

BAR = 30
FULL, EMPTY = "█", "░"


@dataclass(frozen=True)
class Drawing:
    """What is asked for: a kind of picture and what it is about, its file, and the file of a page with all of them."""

    plot: str | None
    by: tuple[str, ...] = ()
    out: Path | None = None
    html: Path | None = None


def draw(exploration: "Exploration", asked: Drawing) -> None:
    """Write the files and say what was found. Raises MlopsError where there is nothing to draw."""
    made: list[tuple[str, Path]] = []
    if asked.plot is not None:
        figure = exploration.figure(asked.plot, asked.by)
        file = asked.out or Path(f"{asked.plot}.png")
        write(file, figure.png, "--out")
        made.append((figure.title, file))
    if asked.html is not None:
        if not exploration.points.evaluations:
            raise MlopsError(exploration.verdict())
        write(asked.html, exploration.page().encode(), "--html")
        made.append(("report", asked.html))
    console.print(Text(exploration.verdict(), style="bold"), soft_wrap=True)
    for note in exploration.points.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    shares = exploration.importances()
    if shares:
        rows = [(name, f"{share:.0%}", bar(share / max(shares.values()))) for name, share in shares.items()]
        print_table("", ["parameter", "importance", ""], rows, numbers=["importance"])
    for title, file in made:
        console.print(Text(f"{title}: {file}"), soft_wrap=True)


def bar(share: float, width: int = BAR) -> str:
    """A share from 0 to 1 as a bar."""
    return FULL * round(share * width)


def write(file: Path, content: bytes, option: str) -> None:
    """Raises MlopsError where the file cannot be written."""
    try:
        file.write_bytes(content)
    except OSError as error:
        raise MlopsError(f"{option} {file}: {error.strerror}; name a file in a folder you may write to") from error
