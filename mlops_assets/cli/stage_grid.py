"""What stands in each stage, as a table: the deployed run, its age, code and gates, and the next retraining."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from mlops_assets.cli.printing import SHORT_ID, age, filled, print_table

if TYPE_CHECKING:
    from mlops_assets.tracking.stage_status import StageStatus

SHORT = 8
WHY = 40


def print_stages(stages: "Iterable[tuple[str, StageStatus]]", metrics: Sequence[str], title: str = "Stages") -> None:
    """A row per subproject and stage in which something serves or that is retrained by itself; nothing without any."""
    told = [(key, status) for key, status in stages if status.deployment or status.cron or status.on_new_data]
    if not told:
        return
    now = datetime.now(UTC)
    columns = ["subproject", "stage", "run", "age", "by", "why", *metrics, "code", "data", "gates"]
    columns += ["last retraining", "ago", "next (UTC)", "in"]
    shown, rows = filled(columns, [_row(key, status, metrics, now) for key, status in told])
    print_table(title, shown, rows, numbers=["age", *metrics, "ago", "in"])


def _row(key: str, status: "StageStatus", metrics: Sequence[str], now: datetime) -> list[Any]:
    serving, last = status.serving, status.last
    left_empty = "undeployed" if status.deployment else "nothing yet"
    return [
        key,
        status.stage.name,
        (serving.run_id or "")[-SHORT_ID:] if serving else left_empty,
        age(serving.at, now) if serving else None,
        escape(serving.by) if serving else None,
        escape(_short(serving.why)) if serving else None,
        *(serving.metrics.get(name) if serving else None for name in metrics),
        escape(serving.revision or (serving.code_version or "")[:SHORT]) if serving else None,
        (serving.data_version or "")[:SHORT] if serving else None,
        gates_text(status.verdicts),
        _coloured(last.status) if last else None,
        age(last.at, now) if last else None,
        status.next,
        age(now, status.next) if status.next else None,
    ]


def gates_text(verdicts: Sequence[dict[str, Any]] | None) -> str | None:
    """How many of the gates passed; None where they were not read."""
    if verdicts is None:
        return None
    passed = sum(verdict["outcome"] == "pass" for verdict in verdicts)
    return f"{passed} of {len(verdicts)}"


def _coloured(status: str) -> str:
    return status if status == "succeeded" else f"[red]{status}[/red]"


def _short(text: str) -> str:
    return text if len(text) <= WHY else f"{text[: WHY - 3]}..."
