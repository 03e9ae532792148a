"""How the last retraining of each subproject and stage ended, from the index of runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.run_query import RunQuery, View, selection
from mlops_assets.tracking.tracker import Tracker

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Key = tuple[str, str]


@dataclass(frozen=True)
class LastRetraining:
    """``status``: of the run: succeeded, rejected by its gates, failed."""

    run_id: str
    status: str
    at: datetime


def last_retrainings(tracker: Tracker, subprojects: Iterable[str] | None = None) -> dict[Key, LastRetraining]:
    """By subproject and stage, of all of them or of those named."""
    query = RunQuery(subprojects=None if subprojects is None else tuple(subprojects), kind="retrain")

    def ask(connection: "DuckDBPyConnection", view: View) -> list[Any]:
        names = ("subproject", "stage", "created_at", "run_id", "status")
        if not all(view.columns[name].stored for name in names):
            return []  # no run at all, or none for a stage
        subproject, stage, created, run_id, status = (next(iter(view.columns[n].stored.values())) for n in names)
        order = f"struct_pack(t := {created}, r := {run_id})"
        last = ", ".join(f"arg_max({column}, {order})" for column in (run_id, status, created))
        where = selection(view, query)
        text = f"select {subproject}, {stage}, {last} from {where.text} and {stage} is not null group by 1, 2"
        return connection.execute(text, where.values).fetchall()

    return {
        (subproject, stage): LastRetraining(run_id, status, _moment(at))
        for subproject, stage, run_id, status, at in tracker.reader.ask(ask)
    }


def _moment(at: datetime) -> datetime:
    """The index keeps times in UTC, without saying so."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
