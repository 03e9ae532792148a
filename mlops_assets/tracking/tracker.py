"""Runs of one project, found through the index and read back from the event log."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.annotations import Overlay, annotation
from mlops_assets.tracking.columns import ASSET, EVENT_ID, Column
from mlops_assets.tracking.event_rows import tracked_text
from mlops_assets.tracking.index import RunIndex
from mlops_assets.tracking.record import RECORD_ENTRY, RunRecord
from mlops_assets.tracking.run_query import RunQuery, RunReader, View, ordered, selection
from mlops_assets.tracking.run_rows import RunRows, run_frame, run_rows
from partitions.errors import UnknownName
from resources.event_log import EventLog
from resources.home import Home

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection

TRACKED_ASSETS = ("experiments", "model", "trials")
OLDEST_FIRST = "created_at, run_id"
SHORTEST = 6
READ_AT_ONCE = 1000


@dataclass(frozen=True)
class LatestRuns:
    """The runs of one subproject in short: how many, how many of them failed, and the last one and how it ended."""

    runs: int
    failed: int
    status: str
    text: str
    overlay: Overlay | None = None

    @cached_property
    def last(self) -> RunRecord:
        """Read when asked for: a thousand subprojects have a thousand records."""
        record = RunRecord.model_validate_json(self.text)
        return self.overlay.over(record) if self.overlay else record


class Tracker:
    """Every tracked run: materialisations of what succeeded, observations of what did not.

    ``folder`` holds the index of runs; default inside MLOPS_HOME.
    """

    def __init__(self, event_log: EventLog, project: str, folder: Path | None = None) -> None:
        # Here, since it loads the storage: a code location knows trackers and opens none.
        from mlops_assets.tracking.stored_events import event_source

        self.event_log = event_log
        self.project = project
        self.source = event_source(event_log, [(project, asset) for asset in TRACKED_ASSETS])
        self.index = RunIndex(folder or index_folder(Home.default(), project), self.source)
        self.reader = RunReader(self.index)

    def rows(self, query: RunQuery) -> RunRows:
        """Runs as plain values. Raises UnknownName and WhereError for what ``query`` cannot ask."""
        return run_rows(self.reader, query)

    def frame(self, query: RunQuery) -> "pd.DataFrame":
        """Runs as a typed DataFrame. Raises as ``rows``."""
        return run_frame(self.reader, query)

    def records(self, subprojects: Iterable[str] | None = None) -> list[RunRecord]:
        """The records of all runs (of these subprojects), oldest first; a run reported again counts once."""
        keys = None if subprojects is None else tuple(subprojects)
        return self._records(RunQuery(subprojects=keys, sort=OLDEST_FIRST))

    def find(self, run_id: str) -> RunRecord:
        """The run with this id, or whose id begins or ends so (at least 6 characters). Raises UnknownName."""
        return self._found(run_id)[0]

    def latest(self, subprojects: Iterable[str] | None = None) -> dict[str, LatestRuns]:
        """Every subproject (or of those named) that has runs: how many, how many failed, and the last one.

        The last one is not a trial's where there are others.
        """
        query = RunQuery(subprojects=None if subprojects is None else tuple(subprojects))

        def ask(connection: "DuckDBPyConnection", view: View) -> tuple[list[Any], View]:
            if not view.columns["run_id"].stored:
                return [], view
            subproject, status, created, run = (_sql(view, n) for n in ("subproject", "status", "created_at", "run_id"))
            # A trial's fold says nothing about how a subproject stands: it is the last only where there is no other.
            whole = f"{_sql(view, 'kind')} <> 'trial'"
            order = f"struct_pack(w := {whole}, t := {created}, r := {run})"
            last = ", ".join(f"arg_max({column}, {order})" for column in (status, EVENT_ID, run))
            where = selection(view, query)
            counts = f"count(*), count(*) filter (where {status} = 'failed')"
            text = f"select {subproject}, {counts}, {last} from {where.text} group by 1 order by 1"
            return connection.execute(text, where.values).fetchall(), view

        rows, view = self.reader.ask(ask)
        texts = self.source.texts([event_id for *_, event_id, _ in rows])
        latest = {}
        for key, runs, failed, status, event_id, run_id in rows:
            found = tracked_text(texts[event_id]) if event_id in texts else None
            if found is not None:
                latest[key] = LatestRuns(runs, failed, status, found[1], view.overlays.get(run_id))
        return latest

    def subprojects(self) -> list[str]:
        """The subprojects that have runs."""
        return self._distinct("subproject")

    def run_ids(self) -> list[str]:
        """The ids of all runs."""
        return self._distinct("run_id")

    def _distinct(self, column: str) -> list[str]:
        def ask(connection: "DuckDBPyConnection", view: View) -> list[str]:
            text = f"select distinct {_sql(view, column)} from {view.source.text} order by 1"
            return [row[0] for row in connection.execute(text, view.source.values).fetchall()]

        return self.reader.ask(ask)

    def overlays(self) -> dict[str, Overlay]:
        """What was noted of runs, and which tags they were given, after the fact; by run id."""
        return self.reader.ask(lambda _, view: view.overlays)

    def of_dagster_run(self, dagster_run_id: str) -> list[RunRecord]:
        """The runs that one Dagster run made, oldest first."""
        quoted = dagster_run_id.replace("'", "''")
        return self._records(RunQuery(where=f"dagster_run_id = '{quoted}'", sort=OLDEST_FIRST))

    def of_parent(self, parent: str) -> list[RunRecord]:
        """The runs of one HPO run, oldest first."""
        quoted = parent.replace("'", "''")
        return self._records(RunQuery(where=f"parent = '{quoted}'", sort=OLDEST_FIRST))

    def annotate(self, run_id: str, by: str, change: Overlay) -> RunRecord:
        """Note something about a run or tag it: an event of its own. Returns the record as it now reads."""
        record, asset = self._found(run_id)
        self.event_log.store([annotation(record, asset, by, change)])
        return self.find(record.run_id)

    def _found(self, run_id: str) -> tuple[RunRecord, str]:
        """The run with this id and the asset it is tracked under. Raises as ``find``."""
        pattern = run_id if len(run_id) >= SHORTEST else None

        def ask(connection: "DuckDBPyConnection", view: View) -> tuple[list[Any], View]:
            if not view.columns["run_id"].stored:
                return [], view
            held = _sql(view, "run_id")
            fits = f"({held} = ? or starts_with({held}, ?) or ends_with({held}, ?))"
            text = f"select {EVENT_ID}, {held}, {ASSET} from {view.source.text} and {fits} order by 2 desc"
            return connection.execute(text, (*view.source.values, run_id, pattern, pattern)).fetchall(), view

        found, view = self.reader.ask(ask)
        found = [row for row in found if row[1] == run_id] or found
        if len(found) > 1:
            some = ", ".join(found_id for _, found_id, _ in found[:3])
            raise UnknownName(f"project {self.project!r}: {run_id!r} fits {len(found)} runs ({some} ...): give more")
        records = self._read([row[0] for row in found], view)
        if not records:
            last = self._records(RunQuery(limit=1))
            hint = f"; the last one is {last[0].run_id}" if last else ": no run is tracked yet, `mlops run` makes one"
            raise UnknownName(f"project {self.project!r}: no run {run_id!r} is tracked{hint}")
        return records[0], json.loads(found[0][2])[-1]

    def event_ids(self, run_ids: Sequence[str]) -> list[int]:
        """The last events of these runs, in no order; an id that is none is left out."""

        def ask(connection: "DuckDBPyConnection", view: View) -> list[int]:
            if not view.columns["run_id"].stored:
                return []
            wanted = f"{_sql(view, 'run_id')} in (select unnest(cast(? as varchar[])))"
            text = f"select {EVENT_ID} from {view.source.text} and {wanted}"
            return [row[0] for row in connection.execute(text, (*view.source.values, list(run_ids))).fetchall()]

        return self.reader.ask(ask)

    def record_texts(self, event_ids: Sequence[int]) -> Iterator[tuple[int, str]]:
        """The JSON of the records of these events, without what was noted later; as fast as the log can be read."""
        for start in range(0, len(event_ids), READ_AT_ONCE):
            for event_id, text in self.source.texts(event_ids[start : start + READ_AT_ONCE]).items():
                found = tracked_text(text)
                if found is not None and found[0] == RECORD_ENTRY:
                    yield event_id, found[1]

    def _records(self, query: RunQuery) -> list[RunRecord]:
        def ask(connection: "DuckDBPyConnection", view: View) -> tuple[list[int], View]:
            where = selection(view, query)
            text = f"select {EVENT_ID} from {where.text} {ordered(view, query)}"
            return [row[0] for row in connection.execute(text, where.values).fetchall()], view

        return self._read(*self.reader.ask(ask))

    def _read(self, event_ids: list[int], view: View) -> list[RunRecord]:
        """The records of these events as the log has them, with what was noted later over them."""
        records = []
        for start in range(0, len(event_ids), READ_AT_ONCE):
            some = event_ids[start : start + READ_AT_ONCE]
            texts = self.source.texts(some)
            # An event that was deleted since it was found is no run any more.
            for found in (tracked_text(texts[event_id]) for event_id in some if event_id in texts):
                if found is not None and found[0] == RECORD_ENTRY:
                    record = RunRecord.model_validate_json(found[1])
                    overlay = view.overlays.get(record.run_id)
                    records.append(overlay.over(record) if overlay else record)
        return records


def index_folder(home: Home, project: str) -> Path:
    """Where the index of a project's runs lies. It can be deleted at any time."""
    return home.path / "index" / project


def _sql(view: View, name: str) -> str:
    column: Column = view.columns[name]
    return next(iter(column.stored.values()), "null")
