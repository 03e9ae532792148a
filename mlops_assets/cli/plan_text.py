"""A plan for people: counts first, then what changes, the same change of many subprojects in one line."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mlops_assets.cli.printing import console, print_table
from partitions.changes import Changes, FieldChange

NAMES = 5
WIDEST_VALUE = 48


def summary(changes: Changes) -> str:
    """``3 new, 120 changed, 0 retired, 9,877 unchanged``."""
    back = f"{len(changes.brought_back):,} brought back, " if changes.brought_back else ""
    return (
        f"{len(changes.new):,} new, {len(changes.changed):,} changed, {back}{len(changes.retired):,} retired, "
        f"{changes.unchanged:,} unchanged"
    )


def show_changes(changes: Changes, limit: int) -> None:
    """Print them; of each kind at most ``limit`` rows or names, or all of them where it is 0."""
    console.print(summary(changes), highlight=False)
    _show_names("new", changes.new, limit)
    _show_fields("changed", changes.changed, limit)
    _show_names("brought back, with their history", tuple(changes.brought_back), limit)
    _show_fields("changed since they were retired", changes.brought_back, limit)
    _show_names("retired (their history stays)", changes.retired, limit)


def _show_names(title: str, keys: Sequence[str], limit: int) -> None:
    if keys:
        console.print(f"\n[bold]{title}[/bold]: {_named(keys, limit or len(keys))}", highlight=False)


def _show_fields(title: str, changed: dict[str, tuple[FieldChange, ...]], limit: int) -> None:
    groups = grouped(changed)
    if not groups:
        return
    shown = groups[: limit or len(groups)]
    names = NAMES if limit else len(changed)
    rows = [(f.path, value_text(f.before), value_text(f.after), f.origin, len(k), _named(k, names)) for f, k in shown]
    console.print()
    print_table(title, ["field", "from", "to", "set by", "count", "subprojects"], rows, numbers=["count"])
    if len(groups) > len(shown):
        console.print(f"and {len(groups) - len(shown):,} more changes; --limit 0 or --json shows all", highlight=False)


def grouped(changed: dict[str, tuple[FieldChange, ...]]) -> list[tuple[FieldChange, list[str]]]:
    """Every change with the subprojects it is made to, the most common first."""
    groups: dict[str, tuple[FieldChange, list[str]]] = {}
    order: dict[str, int] = {}
    for key, fields in changed.items():
        for field in fields:
            order.setdefault(field.path, len(order))
            groups.setdefault(field.model_dump_json(), (field, []))[1].append(key)
    return sorted(groups.values(), key=lambda group: (-len(group[1]), order[group[0].path]))


def value_text(value: Any) -> str:
    """A value on one line, long ones cut."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= WIDEST_VALUE else f"{text[: WIDEST_VALUE - 3]}..."


def _named(keys: Iterable[str], most: int) -> str:
    names = list(keys)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
