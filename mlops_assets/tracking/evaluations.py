"""Configurations judged over seeds and folds, found in the index of runs: made for 100,000 runs.

Every run with the metric counts, whatever made it (dev run, trial, retraining); replays and failed runs never do. A
pruned run was run in full: what was stopped is its trial.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_assets.learning.choice import Choice, choose, within_noise
from mlops_assets.learning.evaluation import Evaluation as Evaluation
from mlops_assets.learning.evaluation import comparable
from mlops_assets.tracking.columns import EVENT_ID, Column, Type, restored
from mlops_assets.tracking.run_query import RunQuery, View, selection
from mlops_assets.tracking.tracker import Tracker
from mlops_assets.tracking.where_sql import Sql, number_sql
from partitions.errors import UnknownName, nearest
from partitions.values import canonical_json

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EVERY = RunQuery()
PARAMS = "params."
MOST_FOLDS = 50
OF_RUNS = ("seed", "fold", "run_id", "split", "configuration", "fingerprint", "parent")


class _Runs(NamedTuple):
    """Runs of one configuration as the index has them; ``folds``: the number of folds by configuration digest."""

    subproject: str
    code_version: str
    data_version: str | None
    parameters: dict[str, Any]
    runs: list[dict[str, Any]]
    folds: dict[str, int | None]


def evaluations(tracker: Tracker, metric: str, query: RunQuery = EVERY) -> list[Evaluation]:
    """The configurations of the runs that ``query`` asks for, each judged by ``metric``; of a run done twice the first.

    Runs on other code, data or folds are other evaluations. Raises UnknownName for a metric that no run has.
    """
    groups, found = tracker.reader.ask(lambda connection, view: _ask(connection, view, metric, query))
    folds = _Folds(found)
    # Parameters that are None in every run of a code version: one of its records names them.
    first = {group.code_version: group for group in reversed(groups)}
    lacking = [group.runs[0][EVENT_ID] for group in first.values() if folds.unclear(group)]
    for record in _recorded(tracker, lacking).values():
        folds.names[record["code_version"]["digest"]].update(_names(record["parameters"], PARAMS))
    unclear = [group for group in groups if folds.unclear(group)]
    recorded = _recorded(tracker, [run[EVENT_ID] for group in unclear for run in group.runs])
    made = []
    for group in groups:
        for parameters, count, runs in folds.parted(group, recorded):
            made.append(_evaluation(group, metric, parameters, count, runs))
    return made


def weighed(tracker: Tracker, some: Iterable[Evaluation]) -> list[Evaluation]:
    """The same with the means of their model files' sizes and of their seconds in fit, read from the records."""
    listed = list(some)
    costs = _costs(tracker, [run_id for evaluation in listed for run_id in evaluation.run_ids])
    made = []
    for evaluation in listed:
        sizes = [costs[run_id][0] for run_id in evaluation.run_ids if run_id in costs]
        seconds = [costs[run_id][1] for run_id in evaluation.run_ids if run_id in costs]
        made.append(replace(evaluation, model_bytes=_mean(sizes), fit_seconds=_mean(seconds)))
    return made


def chosen(tracker: Tracker, some: Sequence[Evaluation], direction: str, rule: str) -> Choice:
    """The best of these by a rule (see ``learning.choice``). Only those in question are read from the event log."""
    alike = comparable(some)
    near = within_noise(alike, direction) if rule != "best-mean" else []
    costs = {one.run_ids: one for one in weighed(tracker, near)}
    return choose([costs.get(one.run_ids, one) for one in alike], direction, rule)


def _ask(
    connection: "DuckDBPyConnection", view: View, metric: str, query: RunQuery
) -> tuple[list[_Runs], dict[str, set[str]]]:
    name = f"metrics.{metric}"
    if not view.columns["run_id"].stored:
        return [], {}
    if name not in view.columns:
        metrics = [column.removeprefix("metrics.") for column in view.columns if column.startswith("metrics.")]
        raise UnknownName(nearest(metric, metrics, noun="metric"))
    value = number_sql(view.columns[name].stored)
    params = [
        (column, kind) for column in view.columns.values() if column.name.startswith(PARAMS) for kind in column.stored
    ]
    keys = [_sql(view, key) for key in ("subproject", "code_version", "data_version")]
    keys += [column.stored[kind] for column, kind in params]
    packed = ", ".join(f"{key} := {_sql(view, key)}" for key in OF_RUNS)
    order = ", ".join(f"{_sql(view, key)} nulls first" for key in ("seed", "fold", "created_at", "run_id"))
    runs = f"list(struct_pack({packed}, value := {value}, {EVENT_ID} := {EVENT_ID}) order by {order})"
    where, (kind, status) = selection(view, query), (_sql(view, name) for name in ("kind", "status"))
    counts = Sql(f"{where.text} and {value} is not null and {kind} <> 'replay' and {status} <> 'failed'", where.values)
    numbers = ", ".join(str(number + 1) for number in range(len(keys)))
    oldest_first = ", ".join(f"min({_sql(view, key)})" for key in ("created_at", "run_id"))
    columns = ", ".join([*keys, runs])
    text = f"select {columns} from {counts.text} group by {numbers} order by {oldest_first}"
    groups, found = [], dict[str, set[str]]()
    for subproject, code, data, *values, of_runs in connection.execute(text, counts.values).fetchall():
        flat = {c.name: restored(kind, v) for (c, kind), v in zip(params, values, strict=True) if v is not None}
        found.setdefault(code, set()).update(flat)
        groups.append(_Runs(subproject, code, data, flat, of_runs, {}))
    return groups, found


class _Folds:
    """Which cross-validation a run belongs to, and whether its parameters are complete.

    The index has neither the number of folds nor a parameter that is None, but the digest over both: with the right
    ones it comes out again. Where it does not, the record is read.
    """

    def __init__(self, names: Mapping[str, set[str]]) -> None:
        self.names = names
        self.likely: list[int] = []

    def unclear(self, group: _Runs) -> bool:
        """Find the number of folds of these runs; whether it does not come out for some of them."""
        known = group.folds
        params = canonical_json(self.parameters(group))
        for run in group.runs:
            if run["configuration"] not in known:
                count = self._count(params, run["configuration"], run["fold"])
                if isinstance(count, _Unknown):
                    return True
                known[run["configuration"]] = count
        return False

    def parameters(self, group: _Runs) -> dict[str, Any]:
        """Nested as they were; those that other runs of this code have and these have not are None."""
        nested: dict[str, Any] = {}
        missing = self.names[group.code_version] - group.parameters.keys()
        flat = {**group.parameters, **{name: None for name in sorted(missing) if not self._below(name, group)}}
        for name, value in flat.items():
            *path, last = name.removeprefix(PARAMS).split(".")
            here = nested
            for part in path:
                here = here.setdefault(part, {})
            here[last] = value
        return nested

    def parted(
        self, group: _Runs, recorded: Mapping[int, Mapping[str, Any]]
    ) -> Iterator[tuple[dict[str, Any], int | None, list[dict[str, Any]]]]:
        """The runs by parameters and number of folds, with both."""
        known, parameters = group.folds, self.parameters(group)
        parts: dict[tuple[str, int | None], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        for run in group.runs:
            digest = run["configuration"]
            if digest in known:
                key, held = ("", known[digest]), parameters
            elif run[EVENT_ID] in recorded:
                record = recorded[run[EVENT_ID]]
                held = record["parameters"]
                key = (canonical_json(held), (record.get("settings") or {}).get("folds"))
            else:
                continue
            # A run that is judged on the test rows is another thing than one that is judged on a fold.
            parts.setdefault(key if run["fold"] is not None else (key[0], None), (held, []))[1].append(run)
        for (_, count), (held, runs) in parts.items():
            yield held, count, runs

    def _below(self, name: str, group: _Runs) -> bool:
        """Whether these runs have a mapping, or something in it, where others have this name."""
        return any(held.startswith(f"{name}.") or name.startswith(f"{held}.") for held in group.parameters)

    def _count(self, params: str, digest: str, fold: int | None) -> "int | _Unknown | None":
        if fold is None:
            counts: Iterable[int | None] = (None,)
        else:
            counts = chain(tuple(self.likely), range(max(fold + 1, 2), MOST_FOLDS + 1))
        for count in counts:
            if configuration_digest(params, count, fold) == digest:
                if count is not None and count not in self.likely:
                    self.likely.append(count)
                return count
        return _Unknown()


class _Unknown:
    """No number of folds, which is not the same as no folds."""


def configuration_digest(params: str, folds: int | None, fold: int | None) -> str:
    """``RunConfiguration.digest`` from the parameters' canonical JSON: a thousand of them in a millisecond."""
    said = ("null" if number is None else str(number) for number in (fold, folds))
    text = '{{"fold":{},"folds":{},"params":{}}}'.format(*said, params)
    return hashlib.sha256(text.encode()).hexdigest()


def _evaluation(
    group: _Runs, metric: str, parameters: dict[str, Any], count: int | None, runs: Sequence[dict[str, Any]]
) -> Evaluation:
    once = {(run["seed"], run["fold"]): run for run in reversed(runs)}
    ordered = [once[pair] for pair in sorted(once, key=lambda pair: (pair[0], -1 if pair[1] is None else pair[1]))]
    return Evaluation(
        subproject=group.subproject,
        code_version=group.code_version,
        data_version=group.data_version,
        parameters=parameters,
        metric=metric,
        values=tuple(float(run["value"]) for run in ordered),
        run_ids=tuple(run["run_id"] for run in ordered),
        seeds=tuple(run["seed"] for run in ordered),
        folds=tuple(run["fold"] for run in ordered),
        fold_count=count,
        splits=tuple(run["split"] for run in ordered),
        fingerprints=tuple(run["fingerprint"] for run in ordered),
        parents=tuple(sorted({run["parent"] for run in runs if run["parent"] is not None})),
    )


def _recorded(tracker: Tracker, event_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The records of these events as plain data."""
    return {event_id: json.loads(text) for event_id, text in tracker.record_texts(event_ids)}


def _names(parameters: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _costs(tracker: Tracker, run_ids: Sequence[str]) -> dict[str, tuple[float | None, float | None]]:
    """Bytes of the model file and seconds in fit, by run id."""
    costs = {}
    for _, text in tracker.record_texts(tracker.event_ids(run_ids)):
        record = json.loads(text)
        model = (record.get("artifacts") or {}).get("model") or {}
        costs[record["run_id"]] = (model.get("bytes"), (record.get("timings") or {}).get("fit"))
    return costs


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sql(view: View, name: str) -> str:
    column: Column = view.columns[name]
    return next(iter(column.stored.values()), _nothing(name))


def _nothing(name: str) -> str:
    kinds: dict[str, Type] = {"fold": "i", "seed": "i"}
    return f"cast(null as {'bigint' if name in kinds else 'varchar'})"
