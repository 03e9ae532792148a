"""``mlops status``: every subproject at a glance."""

from typing import TYPE_CHECKING, Any

from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.printing import console, print_json, print_table

if TYPE_CHECKING:
    from mlops_assets.opened_project import OpenedProject


def status(
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show configuration, data and the last run of every subproject."""
    p = opened(project)
    rows = _rows(p)
    if subprojects or tag:
        wanted = set(p.project.select(tuple(subprojects or ()), parsed_tags(tag), False))
        rows = [row for row in rows if row["subproject"] in wanted]
    if as_json:
        print_json(rows)
        return
    metrics = list(p.project.pipeline.metrics)
    columns = ["subproject", "state", "configuration", "data version", "rows", "runs", "last run", *metrics]
    print_table(
        f"{p.project.name}: {len(rows)} subprojects",
        columns,
        [
            [
                row["subproject"],
                row["state"],
                row["configuration"][:8],
                (row["data_version"] or "")[:8],
                row["rows"],
                row["runs"],
                row["last_run_at"],
                *(row["metrics"].get(name) for name in metrics),
            ]
            for row in rows
        ],
        numbers=["rows", "runs", *metrics],
    )
    if any(row["state"] != "registered" for row in rows):
        console.print("`mlops plan` shows what differs from project.py, `mlops apply` registers it", highlight=False)


def _rows(p: "OpenedProject") -> list[dict[str, Any]]:
    registered = p.registry.configurations()
    declared = p.declared()
    datasets = p.event_log.latest((p.project.name, "dataset"), list(registered))
    runs: dict[str, list[Any]] = {}
    for record in p.tracker.records():
        runs.setdefault(record.subproject, []).append(record)
    rows = []
    for key in sorted(registered.keys() | declared.keys()):
        done = runs.get(key, [])
        last = done[-1] if done else None
        dataset = datasets.get(key)
        configuration = registered.get(key) or declared[key]
        rows.append(
            {
                "subproject": key,
                "state": _state(registered.get(key), declared.get(key)),
                "configuration": configuration.digest,
                "tags": dict(configuration.tags),
                "data_version": dataset.metadata["data_version"] if dataset else None,
                "rows": dataset.metadata["dagster/row_count"] if dataset else None,
                "runs": len(done),
                "last_run": last.run_id if last else None,
                "last_run_at": last.created_at if last else None,
                "last_run_status": last.status if last else None,
                "metrics": last.metrics if last else {},
            }
        )
    return rows


def _state(registered: Any, declared: Any) -> str:
    if registered is None:
        return "not applied"
    if declared is None:
        return "not declared"
    return "registered" if registered.digest == declared.digest else "changed"
