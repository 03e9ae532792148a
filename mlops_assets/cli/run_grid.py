"""Runs on a terminal: only the columns that tell them apart, as many as there is room for, the others named."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from mlops_assets.cli.printing import SHORT_ID, console, print_table, shown

if TYPE_CHECKING:
    from mlops_assets.tracking.groups import Group
    from mlops_assets.tracking.run_rows import RunRows

GAP = 2
DIGEST = 8
LONGEST_CELL = 40
# Those that cost the least when there is no room, first.
LESS_NEEDED = ("stage", "kind", "seconds", "note", "created_at", "seed", "fold", "status")
_VARIES = ("kind", "seed", "fold", "commit", "data_version")
_IF_ANY = ("stage", "parent", "note")
_DIGESTS = {"split", "data_version", "commit", "code_version", "configuration", "fingerprint", "predictions"}
_HEADS = {"created_at": "created", "data_version": "data", "run_id": "run"}


def print_runs(runs: "RunRows", asked: Collection[str] = ()) -> None:
    """Runs as a table under a line that counts them. ``asked``: columns to show whatever they hold."""
    columns = _telling(runs, asked)
    numbers = [_head(name) for name in columns if all(_is_number(value) for value in runs.column(name))]
    cells = {_head(name): [_cell(name, value) for value in runs.column(name)] for name in columns}
    _print_fitting(counted(runs), cells, [_head(name) for name in asked], numbers)


def counted(runs: "RunRows") -> str:
    """``1,000 runs, 50 shown; 3 failed``."""
    shown_of = f", {len(runs.rows):,} shown" if len(runs.rows) < runs.found else ""
    others = [f"{count:,} {status}" for status, count in runs.by_status.items() if status != "succeeded"]
    noun = "run" if runs.found == 1 else "runs"
    return f"{runs.found:,} {noun}{shown_of}{'; ' if others else ''}{', '.join(others)}"


def print_groups(groups: "Sequence[Group]", metric: str, limit: int | None) -> None:
    """Groups as a table, compared by ``metric``."""
    rows = [group.row(metric) for group in groups[:limit]]
    interval = "95 % interval"
    for row in rows:
        row[interval] = "" if row["low"] is None else f"{row['low']:+.4g} to {row['high']:+.4g}"
        row["difference"] = "" if row["difference"] is None else f"{row['difference']:+.4g}"
    params = [name for name in (rows[0] if rows else {}) if name.startswith("params.")]
    told = [n for n in ("code_version", "data_version") if len({row[n] for row in rows}) > 1]
    columns = ["subproject", *told, "configuration", *params, "runs", f"metrics.{metric}", "spread"]
    columns += ["difference", interval, "pairs", "verdict"]
    cells = {_head(name): [_cell(name, row[name]) for row in rows] for name in columns}
    asked = [_head(f"metrics.{metric}"), "verdict", "difference", interval, "runs"]
    numbers = [_head(f"metrics.{metric}"), "runs", "spread", "difference", "pairs"]
    more = f", {len(rows)} shown" if len(rows) < len(groups) else ""
    title = f"{len(groups)} groups{more}, by {metric}; difference to the best, paired over seeds and folds"
    _print_fitting(title, cells, asked, numbers)
    if any(group.verdict == "not paired" for group in groups):
        console.print(
            "not paired: run both with the same --seed or --folds, on one data version and split", highlight=False
        )


def fitting(cells: dict[str, list[str]], asked: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """The columns that the terminal has room for, and those it has not. The first and the last one always stay."""
    widths = {name: max([len(name), *(len(cell) for cell in column)]) for name, column in cells.items()}
    names = list(cells)
    kept = set(names)
    always = {*names[:1], *names[-1:], *asked}
    less = [_head(name) for name in LESS_NEEDED]
    order = [name for name in reversed(names) if name.startswith(("tags.", "params."))] + [n for n in less if n in kept]
    order += [name for name in reversed(names) if name not in order]
    for name in order:
        if sum(widths[kept_name] + GAP for kept_name in kept) - GAP <= console.width:
            break
        if name not in always:
            kept.discard(name)
    return [name for name in names if name in kept], [name for name in names if name not in kept]


def _telling(runs: "RunRows", asked: Collection[str]) -> list[str]:
    """The columns that tell these runs apart, those that matter anyway, and those asked for."""
    values = {name: runs.column(name) for name in runs.columns}
    telling = ["subproject", "created_at", "seconds", "run_id"]
    telling += ["status"] if any(value != "succeeded" for value in values["status"]) else []
    telling += [name for name in _VARIES if _varies(values[name])]
    telling += [name for name in _IF_ANY if any(value is not None for value in values[name])]
    telling += [name for name in runs.columns if name.startswith(("params.", "tags.")) and _varies(values[name])]
    telling += [n for n in runs.columns if n.startswith("metrics.") and any(v is not None for v in values[n])]
    wanted = {*telling, *asked}
    metrics = [name for name in runs.columns if name.startswith("metrics.") and name in wanted]
    fixed = [name for name in runs.columns if "." not in name and name in wanted]
    early = [name for name in fixed if name not in ("created_at", "seconds", "run_id", "note")]
    late = [name for name in ("seconds", "created_at", "note", "run_id") if name in fixed]
    settings = [n for n in runs.columns if n.startswith(("params.", "tags.")) and n in wanted]
    return [*early, *metrics, *settings, *late]


def _varies(values: Sequence[Any]) -> bool:
    return len({repr(value) for value in values}) > 1


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _head(name: str) -> str:
    return _HEADS.get(name, name.removeprefix("metrics."))


def _cell(name: str, value: Any) -> str:
    if name in _DIGESTS and isinstance(value, str):
        return value[:DIGEST]
    if name == "run_id":
        return str(value) if console.width >= 140 else str(value)[-SHORT_ID:]
    text = shown(value).replace("\n", " ")
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."


def _print_fitting(title: str, cells: dict[str, list[str]], asked: Collection[str], numbers: Collection[str]) -> None:
    kept, left_out = fitting(cells, asked)
    marked = {name: [escape(cell) for cell in cells[name]] for name in kept}
    if "status" in marked:
        marked["status"] = [cell if cell == "succeeded" else f"[red]{cell}[/red]" for cell in marked["status"]]
    rows = zip(*marked.values(), strict=True)
    print_table(title, [escape(name) for name in kept], rows, numbers=[escape(name) for name in numbers])
    if left_out:
        console.print(f"no room for {', '.join(left_out)} (a wider terminal, or --json)", highlight=False, markup=False)
