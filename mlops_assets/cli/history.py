"""``mlops history``: every change of a subproject's configuration."""

from typing import Annotated

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.plan_text import value_text
from mlops_assets.cli.printing import print_json, print_table


def history(
    subproject: Annotated[str, typer.Argument(help="Its key; a retired one has its history too.", show_default=False)],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show when a subproject's settings, schedules, gates and stages were changed: what, by whom and why."""
    p = opened(project)
    entries = p.history(subproject)
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
        return
    rows = []
    for entry in reversed(entries):
        said = (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.what, entry.by, entry.why, (entry.digest or "")[:8])
        changes = entry.changes or (None,)
        for position, change in enumerate(changes):
            field = (change.path, value_text(change.before), value_text(change.after)) if change else ("", "", "")
            rows.append([*(said if position == 0 else ("",) * len(said)), *field])
    columns = ["time (UTC)", "what", "by", "why", "configuration", "field", "from", "to"]
    print_table(f"{p.project.name}/{subproject}: {len(entries)} entries, newest first", columns, rows)
