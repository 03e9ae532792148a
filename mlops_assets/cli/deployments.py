"""``mlops deployments`` and ``mlops checks``: what serves, since when and why; and what the gates last said."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.options import (
    JsonOption,
    ProjectOption,
    SubprojectsArgument,
    TagOption,
    opened,
    parsed_tags,
)
from mlops_assets.cli.printing import age, console, filled, print_json, print_table

if TYPE_CHECKING:
    from mlops_assets.opened_project import OpenedProject
    from resources.ledger.deployment import Deployment

LIMIT = 40
AtOption = Annotated[
    str | None, typer.Option("--at", help="What served at this moment (ISO 8601; without a zone UTC).")
]


def deployments(
    subprojects: SubprojectsArgument = None,
    at: AtOption = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Only this stage.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Every deployment, the last one first.")] = False,
    tag: TagOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many in a table; --json shows all.")] = LIMIT,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which model serves in which stage, since when, by whose decision and with which evidence."""
    p = opened(project)
    keys = _selected(p, subprojects, tag)
    rows = p.deployment_history(keys, stage)[::-1] if history else p.serving(keys, at=at, stage=stage)
    if as_json:
        print_json([row.row() for row in rows])
        return
    when = f" at {at}" if at else ""
    if not rows:
        said = (
            f"{p.project.name}: nothing is deployed{when}; `mlops deploy SUBPROJECTS --stage STAGE --why ...` does it"
        )
        console.print(said, highlight=False)
        return
    _print(p, rows, f"{p.project.name}: {len(rows):,} deployments{when}", limit)


def checks(
    subprojects: SubprojectsArgument = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that did not pass.")] = False,
    tag: TagOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many in a table; --json shows all.")] = LIMIT,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the last verdict of every gate, and of what is expected of the data."""
    p = opened(project)
    rows = [row for row in p.last_verdicts(_selected(p, subprojects, tag)) if not (failed and row["passed"])]
    if as_json:
        print_json(rows)
        return
    said = {"pass": "[green]pass[/green]", "fail": "[red]fail[/red]", "could not look": "[red]could not look[/red]"}
    cells = [
        [
            *(row["subproject"], row["check"], said[row["outcome"]], row["value"], row["wanted"], row["because"]),
            *(row["stage"], row["run_id"][-12:] if row["run_id"] else None, row["at"][:16].replace("T", " ")),
        ]
        for row in rows
    ]
    columns = ["subproject", "check", "verdict", "value", "wanted", "because", "stage", "run", "at"]
    shown, cells = filled(columns, cells)
    print_table(f"{p.project.name}: {len(rows):,} verdicts", shown, cells, numbers=["value"], limit=limit)


def _selected(p: "OpenedProject", subprojects: list[str] | None, tag: list[str] | None) -> list[str] | None:
    """Keys as they are, also of subprojects that are declared no more; globs and tags among the declared ones."""
    if not (subprojects or tag):
        return None
    plain = not tag and not any(wild in pattern for pattern in subprojects or () for wild in "*?[")
    return list(subprojects or ()) if plain else p.project.select(tuple(subprojects or ()), parsed_tags(tag), False)


def _print(p: "OpenedProject", rows: "list[Deployment]", title: str, limit: int) -> None:
    metrics = list(p.project.pipeline.metrics)
    columns = [
        "subproject",
        "stage",
        "sequence",
        "action",
        "run",
        *metrics,
        "code",
        "data",
        "since",
        "age",
        "by",
        "why",
    ]
    cells: list[list[Any]] = [
        [
            row.subproject,
            row.stage,
            row.sequence,
            row.action,
            row.run_id[-12:] if row.run_id else None,
            *(row.metrics.get(name) for name in metrics),
            row.revision or (row.code_version or "")[:12],
            (row.data_version or "")[:8],
            row.at,
            age(row.at),
            row.by,
            row.why,
        ]
        for row in rows
    ]
    shown, cells = filled(columns, cells)
    print_table(title, shown, cells, numbers=["sequence", "age", *metrics], limit=limit)
