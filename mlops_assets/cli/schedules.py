"""``mlops schedules``: when each subproject is retrained by itself, and how that went last."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.printing import age, console, filled, print_json, print_table

if TYPE_CHECKING:
    from mlops_assets.opened.scheduling import Scheduled

LIMIT = 40


def schedules(
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help=f"At most so many; default {LIMIT}, --json all.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the registered schedules, what is due next first, with the last retraining of each."""
    p = opened(project)
    found = p.scheduled(subprojects or (), tags=parsed_tags(tag))
    sensor = p.retraining_sensor()
    if as_json:
        print_json([{**one.row(), "sensor": sensor.row()} for one in found[:limit]])
        return
    console.print(sensor.text, highlight=False, markup=False)
    if not found:
        console.print("no registered stage has a schedule: Stage(..., retraining=Cron(...)) declares one, then apply")
        return
    columns = ["subproject", "stage", "schedule", "time zone", "new data", "next (UTC)", "in", "deployed", "last run"]
    shown, rows = filled([*columns, "outcome", "age"], _rows(found[: limit or LIMIT]))
    print_table("", shown, rows, numbers=["in", "age"])
    if len(found) > (limit or LIMIT):
        console.print(f"and {len(found) - (limit or LIMIT):,} more: --limit N and --json show them", highlight=False)
    if any(not one.status.serving for one in found):
        console.print("a schedule counts once something is deployed: `mlops deploy KEY --stage STAGE`", highlight=False)


def _rows(found: Sequence["Scheduled"]) -> list[list[object]]:
    now = datetime.now(UTC)
    rows: list[list[object]] = []
    for one in found:
        status, last = one.status, one.status.last
        rows.append(
            [
                one.subproject,
                status.stage.name,
                status.cron.expression if status.cron else None,
                status.cron.timezone if status.cron else None,
                "yes" if status.on_new_data else None,
                status.next,
                age(now, status.next) if status.next else None,
                "yes" if status.serving else "not yet",
                last.run_id[-12:] if last else None,
                last.status if last else None,
                age(last.at, now) if last else None,
            ]
        )
    return rows
