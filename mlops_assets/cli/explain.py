"""``mlops explain``: why does a run have another metric than another one?"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import console, print_json, print_table
from mlops_assets.tracking.explanation import Explanation, ExplanationPlan, Part, share, waterfall
from mlops_assets.tracking.record import RunRecord
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.assets.explaining import OnRun

COLOURS = {"real": "bold", "noise": "dim", "none": "dim", "unknown": "yellow"}


def explain(
    run_a: Annotated[str, typer.Argument(metavar="RUN", help="The run to start from: an id, or its beginning or end.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN", help="The run to explain.")],
    metric: Annotated[str | None, typer.Option(help="Default: what is optimised.")] = None,
    seeds: Annotated[int, typer.Option(min=0, help="Other seeds to run, to tell the noise; 0 leaves that out.")] = 3,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before runs are made.")] = False,
    html: Annotated[Path | None, typer.Option("--html", dir_okay=False, help="Also write it as a web page.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Split the difference of a metric between two runs into the parts of code, data, configuration and seed.

    The combinations that were never run are run, and tracked; asked again, nothing is run.
    """
    p = opened(project)
    if html is not None and not html.parent.is_dir():
        raise MlopsError(f"--html {html}: there is no folder {html.parent}")
    err = Console(stderr=True)
    ready = p.explaining(run_a, run_b, metric=metric, seeds=seeds)
    for line in ready.plan.lines():
        err.print(line, highlight=False, markup=False, soft_wrap=True)
    if ready.plan.runs and not yes:
        _ask(ready.plan)
    with _progress(err, ready.plan.runs) as on_run:
        found = ready.explain(on_run)
    if html is not None:
        _write(html, found)
    if as_json:
        print_json({**found.model_dump(mode="json"), "plan": ready.plan.model_dump(mode="json")})
    else:
        show(found)


def show(found: Explanation) -> None:
    """The headline, a table with a waterfall, and what differs."""
    console.print(found.headline(), style="bold", highlight=False, markup=False, soft_wrap=True)
    first, *bars, last = waterfall(found)
    rows: list[list[str]] = [["before", f"{found.before:.6g}", " ", " ", " ", first, " "]]
    rows += [_row(part, bar) for part, bar in zip(found.parts, bars, strict=True)]
    rows += [["after", f"{found.after:.6g}", " ", " ", " ", last, " "]]
    columns = ["cause", found.metric, "share", "alone", "noise ±", "", "verdict"]
    print_table(f"{found.run_a} -> {found.run_b}", columns, rows, numbers=columns[1:5])
    for part in found.parts:
        for line in part.differs:
            console.print(f"  {part.cause}: {line}", highlight=False, markup=False, soft_wrap=True)
    for note in (f"noise: {found.noise.said}", *found.notes):
        console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)


def _row(part: Part, bar: str) -> list[str]:
    alone = "" if part.alone is None else f"{part.alone:+.4g}"
    noise = "" if part.noise is None else f"{part.noise:.4g}"
    style = COLOURS[part.verdict]
    cells = [part.cause, f"{part.part:+.4g}", share(part.share), alone, noise, bar, part.said]
    return [f"[{style}]{escape(cell)}[/{style}]" if cell.strip() else " " for cell in cells]


def _ask(plan: ExplanationPlan) -> None:
    try:
        answer = typer.confirm(f"Make {plan.runs} runs?", err=True)
    except typer.Abort:
        typer.echo("", err=True)
        raise MlopsError("nothing was run: nobody answered; --yes runs without asking") from None
    if not answer:
        raise MlopsError("nothing was run")


def _write(file: Path, found: Explanation) -> None:
    page = f'<!doctype html><html><head><meta charset="utf-8"><title>{found.metric}</title>{STYLE}</head><body>'
    try:
        file.write_text(f"{page}{found._repr_html_()}</body></html>\n", encoding="utf-8")
    except OSError as error:
        raise MlopsError(f"--html {file} cannot be written: {error.strerror}") from error


STYLE = (
    "<style>body{font:15px sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}</style>"
)


@contextmanager
def _progress(err: Console, total: int) -> "Iterator[OnRun]":
    """A bar on a terminal, a line a run where there is none; nothing where nothing is run."""
    with Progress(console=err, disable=not (err.is_terminal and total), transient=True) as bar:
        task = bar.add_task("running combinations", total=total)

        def made(count: int, of: int, record: RunRecord) -> None:
            if not err.is_terminal:
                err.print(f"{count}/{of} run {record.run_id} {record.status}", highlight=False, soft_wrap=True)
            bar.update(task, completed=count, total=of)

        yield made
