"""Progress of HPO: a bar over trials with what is running, pruned and failed, the best so far, and the time left."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mlops_assets.assets.optimising.board import Board, OnNews
from mlops_assets.assets.optimising.lane import News

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def trials_done(doing: str, console: Console | None = None) -> Iterator[OnNews]:
    """Shows trials on stderr while the block runs: a bar on a terminal, a line now and then where there is none."""
    console = console or Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", style="dim"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=None, said="")
        told = monotonic()

        def hear(news: News, board: Board) -> None:
            nonlocal told
            line = board.line()
            progress.update(task, total=board.trials, completed=board.done, said=line.partition("; ")[2])
            for one in _lines(news, board):
                progress.console.print(one, highlight=False, soft_wrap=True)
            if not console.is_terminal and monotonic() - told >= SECONDS_BETWEEN_LINES:
                told = monotonic()
                progress.console.print(line, highlight=False, soft_wrap=True)

        yield hear


def _lines(news: News, board: Board) -> Iterator[str]:
    """What deserves a line of its own: an end, and an error."""
    if news.error is not None:
        yield f"[red]{escape(news.error.message)}[/red]"
    elif news.what == "run" and news.record is not None and news.record.error is not None:
        yield f"[yellow]{escape(news.record.error.message)}[/yellow]"
    if news.what == "ended" and news.conclusion is not None:
        summary = news.conclusion.summary
        best = f"{summary.metric} {summary.best.mean:.6g}" if summary.best is not None else "nothing to choose from"
        stopped = "" if summary.stopped_by == "trials" else f", ended by {summary.stopped_by}"
        count = f"{len(board.ended)}/{board.subprojects}"
        yield f"[green]{count}[/green] {news.subproject}: {best} after {len(summary.trials)} trials{stopped}"
