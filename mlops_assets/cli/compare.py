"""``mlops compare``: runs beside each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import console, print_json
from mlops_assets.tracking.compare.sections import printable
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.tracking.compare.sections import Section

LONGEST = 10_000


def compare(
    runs: Annotated[
        list[str], typer.Argument(help="Run ids, or any unique beginnings or ends; the first is the base.")
    ],
    rows: Annotated[bool, typer.Option("--rows", help="Row by row: who wins where, and where they disagree.")] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="Also find the step of the fitted pipelines at which the runs part.")
    ] = False,
    patch: Annotated[
        bool, typer.Option("--patch", help="Only the unified diff of the code, for `patch` and alike.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=LONGEST, help="At most so many rows, slices and commits.")] = 10,
    html: Annotated[Path | None, typer.Option(help="Write the report, with plots, to this file as well.")] = None,
    across_subprojects: Annotated[
        bool, typer.Option("--across-subprojects", help="Compare runs of different subprojects all the same.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what differs between runs: code, data, configuration, environment, metrics and, with --rows, single rows."""
    comparison = opened(project).compare(*runs, across_subprojects=across_subprojects, step=steps)
    if html is not None:
        _write(html, comparison.page())
    if patch:
        typer.echo("".join(comparison.code.patch(label) for label in comparison.compared.others), nl=False)
    elif as_json:
        print_json(comparison.to_dict(limit))
    else:
        sections = comparison.sections(rows=rows, limit=limit)
        console.print(Text(printable(comparison.verdict(rows=rows)), style="bold"), soft_wrap=True)
        for note in comparison.notes:
            console.print(Text(printable(f"note: {note}"), style="yellow"), soft_wrap=True)
        for section in sections:
            _print(section.turned)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MlopsError(f"--html {file}: {error.strerror}; name a file in a folder you may write to") from error


def _print(section: "Section") -> None:
    """Everything as plain text: a value may look like Rich's markup, and is none."""
    console.print()
    console.print(Text(section.title, style="bold"))
    if section.said:
        console.print(Text(section.said), soft_wrap=True)
    if section.table is None:
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name, number in zip(section.columns, section.numeric, strict=True):
        table.add_column(Text(name), justify="right" if number else "left", no_wrap=not console.is_terminal)
    for line in section.lines:
        table.add_row(*(Text(cell) for cell in line))
    console.print(table)
