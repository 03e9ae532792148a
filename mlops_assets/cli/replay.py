"""``mlops replay``: does a run still give what it gave?"""

from typing import Annotated

import typer
from rich.console import Console

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import console, print_json

COLOURS = {"identical": "green", "altered": "red", "differs": "red", "failed": "red"}


def replay(
    run: Annotated[str, typer.Argument(help="A run id, or any beginning or end of it that is unique.")],
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of numeric libraries; default as many as the run had.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the same again in a new process: identical (exit code 0), or what differs and since when (1)."""
    p = opened(project)
    record = p.record(run)
    with Console(stderr=True).status(f"replaying run {record.run_id} of {record.where}"):
        found = p.replay(record.run_id, threads=threads)
    if as_json:
        print_json({"verdict": found.verdict, **found.model_dump(mode="json")})
    else:
        first, *rest = found.lines()
        console.print(first, style=COLOURS[found.verdict], highlight=False, markup=False, soft_wrap=True)
        for line in rest:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"  replayed as run {found.replay_id}", highlight=False, soft_wrap=True)
    if not found.identical:
        raise typer.Exit(1)
