"""A progress bar over subprojects: how many arrived and failed, the last result, and how long the rest may take."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mlops_assets.assets.following import OnArrival, said_of
from mlops_assets.assets.way import Arrived

# Up to so many arrivals have a line each; of more, those that failed have one, and every twentieth part of all.
EACH = 40
PARTS = 20


@contextmanager
def arrivals(total: int, doing: str, console: Console | None = None) -> Iterator[OnArrival]:
    """Shows arrivals on stderr while the block runs: a bar on a terminal, lines where there is none."""
    console = console or Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}", style="dim"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total, failed="", last="")
        count = failed = 0

        def arrive(arrived: Arrived) -> None:
            nonlocal count, failed
            count += 1
            failed += arrived.error is not None
            said = escape(said_of(arrived))
            if total <= EACH or arrived.error is not None:
                colour = "red" if arrived.error is not None else "green"
                progress.console.print(f"[{colour}]{count}/{total}[/{colour}] {said}", highlight=False, soft_wrap=True)
            elif not console.is_terminal and _is_a_part(count, total):
                ended = f", {failed} failed" if failed else ""
                progress.console.print(f"{count}/{total}{ended}, the last {said}", highlight=False, soft_wrap=True)
            progress.update(task, advance=1, failed=f"{failed} failed" if failed else "", last=said)

        yield arrive


def _is_a_part(count: int, total: int) -> bool:
    return count == total or count * PARTS // total > (count - 1) * PARTS // total
