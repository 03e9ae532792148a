"""``mlops status``: every subproject at a glance, or one of them in detail."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.printing import age, console, filled, print_json, print_table
from mlops_assets.cli.stage_grid import WHY, print_stages

if TYPE_CHECKING:
    from mlops_assets.opened_project import OpenedProject
    from mlops_assets.tracking.overview import SubprojectStatus

LIMIT = 40


def status(
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    state: Annotated[
        list[str] | None, typer.Option(help="Only these: registered, changed, 'not applied' or 'not declared'.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those whose last run failed.")] = False,
    group_by: Annotated[str | None, typer.Option(help="A tag: counts and mean metrics per value of it.")] = None,
    sort: Annotated[
        str | None, typer.Option(help="A column of --json, such as data_at, metrics.rmse or tags.hub; -rows downwards.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help=f"At most so many; default {LIMIT}, --json all.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show configuration, data and the last run of every subproject; of one that is named, everything."""
    from mlops_assets.tracking.overview import grouped, narrowed, ordered

    p = opened(project)
    statuses = narrowed(p.overview().statuses(subprojects or (), parsed_tags(tag)), state or (), failed=failed)
    if sort is not None:
        statuses = ordered(statuses, sort, p.project.pipeline.metrics)
    if group_by is not None:
        groups = grouped(statuses, group_by)
        if as_json:
            print_json(groups[:limit])
        else:
            _print_groups(p, group_by, groups, limit or LIMIT)
    elif len(statuses) == 1 and subprojects == [statuses[0].subproject]:
        from mlops_assets.cli.subproject_status import print_detail

        print_detail(p, statuses[0], as_json)
    elif as_json:
        print_json([status.row() for status in statuses[:limit]])
    else:
        _print_grid(p, statuses, limit or LIMIT)


def _print_grid(p: "OpenedProject", statuses: Sequence["SubprojectStatus"], limit: int) -> None:
    print_summary(p.project.name, statuses)
    if not statuses:
        return
    metrics = list(p.project.pipeline.metrics)
    columns = ["subproject", "state", "configuration", "data version", "data age", "rows", "runs", "failed"]
    columns += ["last run", "kind", "run age", *metrics, "best since", "best is"]
    cells = [
        [
            status.subproject,
            status.state,
            status.configuration[:8],
            (status.data_version or "")[:8],
            age(status.data_at),
            status.rows,
            status.runs,
            status.failed or None,
            coloured(status.last_status) if status.last_status else None,
            status.last.kind if status.last else None,
            age(status.last.created_at) if status.last else None,
            *(status.last.metrics.get(name) if status.last else None for name in metrics),
            *best_cells(status),
        ]
        for status in statuses[:limit]
    ]
    shown, rows = filled(columns, cells)
    print_table("", shown, rows, numbers=["data age", "rows", "runs", "failed", "run age", *metrics])
    console.print()
    stages = ((status.subproject, of) for status in statuses[:limit] for of in status.stages.values())
    print_stages(stages, [p.metric])
    if len(statuses) > limit:
        more = f"and {len(statuses) - limit:,} more: --limit N, --sort, --state, --failed, --tag and --group-by help"
        console.print(more, highlight=False)
    if any(status.state != "registered" for status in statuses):
        console.print("`mlops plan` shows what differs from project.py, `mlops apply` registers it", highlight=False)
    if any(status.last_status == "failed" for status in statuses):
        console.print("`mlops show RUN` has the error of a failed run, `mlops status KEY` its id", highlight=False)


def best_cells(status: "SubprojectStatus") -> list[str | None]:
    """How long ago the best configuration was chosen, and why."""
    if status.best is None:
        return [None, None]
    chosen = status.best.chosen
    why = chosen.why if len(chosen.why) <= WHY else f"{chosen.why[: WHY - 3]}..."
    return [age(chosen.since), escape(f"{why} ({chosen.by})")]


def print_summary(project: str, statuses: Sequence["SubprojectStatus"]) -> None:
    """How many there are, by state, by how the last run ended and by the age of the data."""
    from mlops_assets.tracking.overview import by_last_status, by_state

    console.print(f"[bold]{project}[/bold]: {len(statuses):,} subprojects", highlight=False)
    if not statuses:
        return
    counts = {
        "state": by_state(statuses),
        "last run": by_last_status(statuses),
        "data": by_age(statuses),
    }
    for what, of in counts.items():
        console.print(f"  {what:<9} " + ", ".join(f"{count:,} {name}" for name, count in of.items()), highlight=False)
    console.print()


def by_age(statuses: Sequence["SubprojectStatus"], now: datetime | None = None) -> dict[str, int]:
    """How many have data of which age; ages that no data has are left out."""
    moment = now or datetime.now(UTC)
    bounds = {"under a day old": 1, "under a week": 7, "under a month": 30}
    counts = dict.fromkeys([*bounds, "older", "without any"], 0)
    for status in statuses:
        taken = status.data_at
        fits = (name for name, days in bounds.items() if taken and moment - taken < timedelta(days=days))
        counts[next(fits, "older") if taken else "without any"] += 1
    return {name: count for name, count in counts.items() if count}


def _print_groups(p: "OpenedProject", tag: str, groups: Sequence[dict[str, Any]], limit: int) -> None:
    metrics = [f"mean {name}" for name in p.project.pipeline.metrics]
    states = list(dict.fromkeys(state for group in groups for state in group["states"]))
    ends = list(dict.fromkeys(end for group in groups for end in group["last_run_status"]))
    columns = [tag, "subprojects", *states, "with data", "rows", "runs", *(f"last {end}" for end in ends), *metrics]
    cells = [
        [
            escape(group["value"]) if group["value"] is not None else None,
            group["subprojects"],
            *(group["states"].get(state) for state in states),
            group["with_data"],
            group["rows"],
            group["runs"],
            *(group["last_run_status"].get(end) for end in ends),
            *(group["metrics"].get(name) for name in p.project.pipeline.metrics),
        ]
        for group in groups
    ]
    columns = [name.replace("last never run", "never run") for name in columns]
    print_table(f"{p.project.name} by {escape(tag)}", columns, cells, numbers=columns[1:], limit=limit)


def coloured(status: str) -> str:
    return status if status == "succeeded" else f"[red]{status}[/red]"
