"""``mlops gc``: free what no run that anybody needs uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import console, print_json, print_table, size
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.tracking.collection import Collected
    from mlops_assets.tracking.survey import Progress


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be freed; change nothing.")] = False,
    keep: Annotated[int, typer.Option(help="So many of the newest runs of every subproject are needed.")] = 10,
    older_than: Annotated[float, typer.Option(help="Runs younger than so many days are needed.")] = 30.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Free models, results and datasets of runs nobody needs. Records, configurations and code always stay."""
    p = opened(project)
    if dry_run or not yes:
        with _progress() as progress:
            planned = p.gc(dry_run=True, keep=keep, older_than=older_than, progress=progress)
        if dry_run and as_json:
            print_json(_document(planned))
            return
        if not as_json:
            _print(planned)
        if dry_run or not (planned.freed or as_json):
            return
        _ask(planned)
    with _progress() as progress:
        done = p.gc(keep=keep, older_than=older_than, progress=progress)
    if as_json:
        print_json(_document(done))
    else:
        _print(done)


def _ask(planned: "Collected") -> None:
    try:
        agreed = typer.confirm(f"Free {len(planned.freed)} artifacts of project {planned.project}?", err=True)
    except typer.Abort:
        raise MlopsError("nothing was freed: nobody answered; --yes frees without asking") from None
    if not agreed:
        raise MlopsError("nothing was freed")


def _document(collected: "Collected") -> dict[str, object]:
    by_kind = {kind: {"count": count, "bytes": size} for kind, (count, size) in collected.by_kind().items()}
    return {**collected.model_dump(mode="json"), "bytes": collected.bytes, "by_kind": by_kind}


def _print(collected: "Collected") -> None:
    would = "would be freed" if collected.dry_run else "freed"
    needed = len(collected.protected)
    title = f"{collected.project}: {collected.runs:,} runs tracked, {needed:,} needed"
    by_rule = collected.by_rule()
    from mlops_assets.tracking.protection import RULES

    says = {rule.name: rule.says for rule in RULES}
    rows = [(name, by_rule[name], f"a run that {says[name]}") for name in says if by_rule[name]]
    if rows:
        print_table(title, ["rule", "runs", "protects"], rows, numbers=["runs"])
    if collected.freed:
        kinds = [(kind, count, size(held)) for kind, (count, held) in collected.by_kind().items()]
        print_table(would, ["kind", "artifacts", "size"], kinds, numbers=["artifacts", "size"])
    recent = f"; {collected.recent} more were stored or used within a day" if collected.recent else ""
    console.print(f"{len(collected.freed)} artifacts, {size(collected.bytes)}, {would}{recent}", highlight=False)
    for remark in collected.remarks:
        console.print(f"[yellow]{remark}[/yellow]", highlight=False, soft_wrap=True)


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A bar on a terminal that goes when it is done."""
    shown = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=shown, disable=not shown.is_terminal, transient=True) as bar:
        tasks = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield tell
