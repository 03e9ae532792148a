"""Output: tables on a terminal, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from mlops_assets.tracking.record import RunRecord

WIDE = 240
SHORT_ID = 12


def _console() -> Console:
    """As wide as the terminal; wide where nobody looks, so that a pipe or a log gets whole lines."""
    made = Console()
    return made if made.is_terminal or "COLUMNS" in os.environ else Console(width=WIDE)


console = _console()


def print_json(value: Any) -> None:
    """One JSON document on stdout, the same whether or not a terminal reads it."""
    out = sys.__stdout__ or sys.stdout
    out.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Sequence[str] = (),
    limit: int | None = None,
) -> None:
    """A table; columns named in ``numbers`` are right-aligned. Beyond ``limit`` rows are only counted."""
    rows = list(rows)
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", no_wrap=True, overflow="fold")
    for row in rows[:limit]:
        table.add_row(*(shown(cell) for cell in row))
    console.print(table)
    if limit is not None and len(rows) > limit:
        console.print(f"and {len(rows) - limit:,} more (--limit {len(rows)} shows them, --json too)", highlight=False)


def filled(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows without the columns that hold nothing in any row."""
    kept = [i for i in range(len(columns)) if any(row[i] is not None and row[i] != "" for row in rows)]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def age(moment: datetime | None, now: datetime | None = None) -> str | None:
    """How long ago a moment in UTC was, in the largest unit that fits: ``5 min``, ``3 h``, ``12 d``."""
    if moment is None:
        return None
    seconds = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def size(count: int | None) -> str | None:
    """A number of bytes: ``812 B``, ``3.4 MB``."""
    if count is None:
        return None
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError(count)


def shown(value: Any) -> str:
    """A value as a cell: numbers short, times to the minute, nothing as a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)


def print_records(title: str, records: Sequence[RunRecord]) -> None:
    """Runs as a table: what defines each, its metrics, and the baseline it has to beat."""
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    baseline = [name for name in metrics if any(name in record.baseline for record in records)][:1]
    numbers = ["seed", "fold", *metrics, *(f"{name} of baseline" for name in baseline), "seconds"]
    columns = ["subproject", "status", "kind", "seed", "fold", *metrics, *(f"{n} of baseline" for n in baseline)]
    rows = [
        [
            record.subproject,
            _status(record),
            record.kind,
            record.seed,
            record.fold,
            *(record.metrics.get(name) for name in metrics),
            *(record.baseline.get(name) for name in baseline),
            sum(record.timings.values()),
            record.run_id if console.width >= 140 else record.run_id[-SHORT_ID:],
        ]
        for record in records
    ]
    print_table(title, [*columns, "seconds", "run"], rows, numbers=numbers)


def _status(record: RunRecord) -> str:
    return record.status if record.status == "succeeded" else f"[red]{record.status}[/red]"


def print_failures(failed: Mapping[str, str]) -> None:
    for key in sorted(failed):
        console.print(f"[red]failed[/red] {failed[key]}", highlight=False, soft_wrap=True)
