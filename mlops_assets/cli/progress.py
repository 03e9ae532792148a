"""A progress bar over subprojects: how many arrived, the last one's result, and how long the rest may take."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mlops_assets.assets.following import OnArrival, said_of
from mlops_assets.assets.way import Arrived


@contextmanager
def arrivals(total: int, doing: str) -> Iterator[OnArrival]:
    """Shows arrivals on stderr while the block runs; on no terminal, one plain line each."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        count = 0

        def arrive(arrived: Arrived) -> None:
            nonlocal count
            count += 1
            colour = "red" if arrived.error is not None else "green"
            progress.console.print(f"[{colour}]{count}/{total}[/{colour}] {said_of(arrived)}", highlight=False)
            progress.advance(task)

        yield arrive
