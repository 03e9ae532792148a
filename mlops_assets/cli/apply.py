"""``mlops plan`` and ``mlops apply``: what is declared against what is registered."""

from typing import Annotated, Any

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import console, print_json, print_table
from partitions.catalogue import Changes


def plan(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show what `mlops apply` would register, change and retire. Changes nothing."""
    changes = opened(project).plan()
    if as_json:
        print_json(_as_dict(changes))
    else:
        _show(changes)


def apply(
    project: ProjectOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    allow_retire: Annotated[bool, typer.Option(help="Retire subprojects that are no longer declared.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Register the declared subprojects and their configuration."""
    p = opened(project)
    changes = p.plan()
    nothing = not (changes.new or changes.changed or changes.retired)
    if not as_json:
        _show(changes)
    if not nothing and not yes and not typer.confirm("Apply this?"):
        raise typer.Exit(1)
    done = p.apply(allow_retire=allow_retire)
    if as_json:
        print_json(_as_dict(done))
    elif not nothing:
        console.print(f"applied: {_counts(done)}", highlight=False)


def _counts(changes: Changes) -> str:
    return (
        f"{len(changes.new)} new, {len(changes.changed)} changed, {len(changes.retired)} retired, "
        f"{len(changes.unchanged)} unchanged"
    )


def _show(changes: Changes) -> None:
    console.print(_counts(changes), highlight=False)
    rows: list[tuple[Any, ...]] = [(key, "new", "", "", "", "") for key in changes.new]
    for key, fields in changes.changed.items():
        rows += [(key, "changed", f.path, str(f.before), str(f.after), f.origin) for f in fields]
    rows += [(key, "retired", "", "", "", "") for key in changes.retired]
    if rows:
        print_table("", ["subproject", "change", "field", "from", "to", "set by"], rows)


def _as_dict(changes: Changes) -> dict[str, Any]:
    return {
        "new": list(changes.new),
        "changed": {
            key: [{"path": f.path, "before": f.before, "after": f.after, "origin": f.origin} for f in fields]
            for key, fields in changes.changed.items()
        },
        "retired": list(changes.retired),
        "unchanged": len(changes.unchanged),
    }
