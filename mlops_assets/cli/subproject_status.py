"""One subproject in detail: what it is configured to, what differs, its data versions and its last runs."""

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from mlops_assets.cli.printing import age, console, filled, print_json, print_table, shown
from mlops_assets.cli.run_grid import print_runs
from mlops_assets.cli.stage_grid import print_stages
from mlops_assets.tracking.data_versions import DataVersion, data_versions
from mlops_assets.tracking.overview import SubprojectStatus
from mlops_assets.tracking.run_query import RunQuery

if TYPE_CHECKING:
    from mlops_assets.opened_project import OpenedProject
    from partitions.catalogue import SubprojectConfiguration

LAST = 5
WIDEST = 64


def print_detail(p: "OpenedProject", status: SubprojectStatus, as_json: bool) -> None:
    """Everything about one subproject; as JSON the keys of every other one, and four more."""
    key = status.subproject
    registered = p.registry.configurations([key])[key] if status.state not in ("not applied",) else None
    declared = p.declared().get(key)
    values = _values(registered or declared)
    differs = _differences(registered, declared)
    versions = data_versions(p.tracker, p.datasets, key)
    runs = p.tracker.rows(RunQuery(subprojects=(key,), limit=LAST))
    if as_json:
        detail = {
            "values": values,
            "differs": differs,
            "data_versions": [version.row() for version in versions],
            "last_runs": runs.as_dicts(),
        }
        print_json([{**status.row(), **detail}])
        return
    _print_facts(p.project.name, status)
    print_stages([(status.subproject, of) for of in status.stages.values()], list(p.project.pipeline.metrics))
    if status.stages:
        console.print()
    told = [
        value for value in values if value["origin"] != "default" or value["path"].startswith(("config.", "params."))
    ]
    print_table("Configuration", ["field", "value", "set by"], [_cells(value) for value in told])
    if len(told) < len(values):
        console.print(f"and {len(values) - len(told)} values at their defaults (--json shows them)", highlight=False)
    if differs:
        console.print()
        rows = [[d["path"], _said(d["before"]), _said(d["after"]), d["origin"]] for d in differs]
        print_table("Declared otherwise (`mlops apply` registers it)", ["field", "registered", "declared", "by"], rows)
    if versions:
        console.print()
        print_data_versions("Data versions", versions, LAST)
    if runs.rows:
        console.print()
        print_runs(runs)


def _print_facts(project: str, status: SubprojectStatus) -> None:
    tags = ", ".join(f"{name}={value}" for name, value in status.tags.items())
    facts = [
        ("state", status.state),
        ("configuration", status.configuration[:12]),
        ("tags", escape(tags)),
        ("data version", (status.data_version or "")[:12]),
        ("data taken", f"{age(status.data_at)} ago" if status.data_at else None),
        ("rows", status.rows),
        ("best", _best(status)),
        ("runs", f"{status.runs}, {status.failed} of them failed" if status.failed else status.runs),
    ]
    print_table("", [f"{project}/{status.subproject}", ""], [fact for fact in facts if fact[1] not in (None, "")])
    if status.last is not None and status.last.error is not None:
        console.print(f"[red]last run failed[/red]: {escape(status.last.error.message)}", highlight=False)
    console.print()


def _best(status: SubprojectStatus) -> str | None:
    if status.best is None:
        return None
    chosen = status.best.chosen
    return escape(f"run {chosen.run_id}, for {age(chosen.since)}: {chosen.why} ({chosen.by})")


def _values(configuration: "SubprojectConfiguration | None") -> list[dict[str, Any]]:
    """Every value that was set for it, by path, and where; search space, gates and the like as one value each."""
    if configuration is None:
        return []
    plain = configuration.model_dump(mode="json", exclude={"origins", "project", "key"})
    plain["search_space"] = plain["search_space"]["dimensions"]
    leaves: dict[str, Any] = {}
    for name in ("config", "tags", "params", "search_space", "hpo"):
        nested = plain[name]
        leaves |= {f"{name}.{field}": value for field, value in nested.items()} if nested else {}
    leaves |= {name: plain[name] for name in ("gates", "stages", "notifications") if plain[name]}
    return [{"path": path, "value": value, "origin": configuration.origin_of(path)} for path, value in leaves.items()]


def _differences(
    registered: "SubprojectConfiguration | None", declared: "SubprojectConfiguration | None"
) -> list[dict[str, Any]]:
    from partitions.changes import field_changes

    if registered is None or declared is None:
        return []
    return [change.model_dump(mode="json") for change in field_changes(registered, declared)]


def _cells(value: dict[str, Any]) -> list[Any]:
    return [value["path"], _said(value["value"]), value["origin"]]


def _said(value: Any) -> str:
    """A value in a cell: lists of gates, stages and messages by name, mappings without what is not set."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _short(", ".join(str(item.get("name") or item.get("type") or item.get("to")) for item in value))
    if isinstance(value, dict):
        return _short(", ".join(f"{name} {shown(of)}" for name, of in value.items() if of is not None))
    return _short(shown(value))


def _short(text: str) -> str:
    return escape(text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}...")


def print_data_versions(title: str, versions: list[DataVersion], limit: int) -> None:
    """A row per data version, the one taken last first."""
    from mlops_assets.cli.printing import size

    columns = ["data version", "rows", "columns", "changed columns", "since", "until", "first seen", "last seen"]
    columns += ["taken", "runs", "expectations", "size"]
    cells = [
        [
            version.data_version[:12],
            version.rows,
            len(version.columns) if version.columns is not None else None,
            escape(str(version.changes or "")),
            (version.since or "")[:10],
            (version.until or "")[:10],
            version.first_seen,
            version.last_seen,
            version.taken,
            len(version.runs),
            version.expectations if version.expectations != "failed" else "[red]failed[/red]",
            size(version.bytes),
        ]
        for version in versions
    ]
    kept, rows = filled(columns, cells)
    print_table(title, kept, rows, numbers=["rows", "columns", "taken", "runs", "size"], limit=limit)
