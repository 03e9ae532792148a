"""The last verdict of every check on every subproject, read from the event log."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from resources.event_log import EventLog


def last_verdicts(event_log: EventLog, checks: Sequence[dg.AssetCheckKey], keys: Sequence[str]) -> list[dict[str, Any]]:
    """A row per subproject and check that was ever evaluated for it, subprojects in the order of ``keys``."""
    wanted = set(keys)
    found: dict[str, list[dict[str, Any]]] = {key: [] for key in keys}
    for check in checks:
        for evaluation, timestamp in event_log.latest_evaluations(check):
            if evaluation.partition in wanted:
                found[str(evaluation.partition)].append(_row(evaluation, timestamp))
    return [row for rows in found.values() for row in rows]


def _row(evaluation: dg.AssetCheckEvaluation, timestamp: float) -> dict[str, Any]:
    said = {name: entry.value for name, entry in evaluation.metadata.items()}
    outcome = said.get("outcome") or ("pass" if evaluation.passed else "fail")
    return {
        "subproject": evaluation.partition,
        "asset": evaluation.asset_key.path[-1],
        "check": evaluation.check_name,
        "outcome": outcome,
        "passed": evaluation.passed,
        "stops": not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR,
        "value": said.get("value"),
        "wanted": said.get("threshold"),
        "because": evaluation.description,
        "stage": said.get("stage"),
        "run_id": said.get("run_id"),
        "at": datetime.fromtimestamp(timestamp, UTC).isoformat(),
    }
