"""A run and the same run again: identical, or what differs and since when."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from pydantic import computed_field

from mlops_assets.tracking.record import RunRecord
from partitions.values import Value

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 5
ABSENT = "not there"


class Seen(Value):
    """A run by which something was first, or last, seen."""

    run_id: str
    at: datetime

    @classmethod
    def of(cls, record: RunRecord) -> "Seen":
        return cls(run_id=record.run_id, at=record.created_at)


class EnvironmentDifference(Value):
    """Something a run depends on that is not as it was. ``since``: the first tracked run that had it so."""

    name: str
    before: str
    after: str
    since: Seen | None = None


class MetricDifference(Value):
    """A metric that is not what it was; ``of``: test, train or baseline."""

    name: str
    of: str
    before: float | None
    after: float | None


class RowDifference(Value):
    """Results row by row: how many ``of`` the rows both have differ in their prediction, and by how much at most.

    ``largest`` is None where predictions are no numbers. ``other_part``: rows that were for training and are for
    testing now, or the other way round. ``keys``: some of the rows that differ most.
    """

    of: int
    differ: int
    largest: float | None
    other_part: int = 0
    only_before: int = 0
    only_after: int = 0
    keys: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.differ or self.other_part or self.only_before or self.only_after)


class Replay(Value):
    """What running a run again has shown. ``replay_id``: the run that did it, tracked like any other.

    altered: what is stored of the run and is not as it was stored. rows: None where the stored results cannot be read.
    first_other, last_same: among runs of the same code, data, configuration and seed, the first with other predictions
    and the last with the same ones before it. error: why the run cannot be done any more. freed: what of the run was
    not there any more because `mlops gc` freed it: without its results, rows cannot be compared.
    """

    run_id: str
    replay_id: str
    where: str
    predictions_identical: bool
    metrics: tuple[MetricDifference, ...] = ()
    rows: RowDifference | None = None
    environment: tuple[EnvironmentDifference, ...] = ()
    altered: tuple[str, ...] = ()
    first_other: Seen | None = None
    last_same: Seen | None = None
    error: str | None = None
    freed: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own order of decorators
    @property
    def identical(self) -> bool:
        """The same predictions and the same metrics, and what is stored is what was stored."""
        return self.predictions_identical and not (self.metrics or self.altered or self.error)

    @property
    def verdict(self) -> str:
        if self.identical:
            return "identical"
        if self.error is not None:
            return "failed"
        return "altered" if self.altered and self.predictions_identical else "differs"

    def lines(self) -> list[str]:
        """The whole finding, for people; the first line is the verdict."""
        return [f"{self.verdict}: {self._headline()}", *self._details()]

    def _headline(self) -> str:
        if self.error is not None:
            return f"{self.where}: the run cannot be done again: {self.error}"
        if self.identical:
            return f"{self.where}: same predictions, same metrics"
        if not self.predictions_identical:
            return f"{self.where}: other predictions with the same code, data, configuration and seed"
        if self.altered:
            return f"{self.where}: the run gives the predictions it gave; what is stored of it was altered"
        return f"{self.where}: same predictions, other metrics"

    def _details(self) -> Iterator[str]:
        yield from (f"altered: {line}" for line in self.altered)
        yield from self.freed
        if self.rows is not None and not self.rows.nothing:
            yield f"rows: {_rows_said(self.rows)}"
        for metric in self.metrics:
            before, after = (f"{v:.10g}" if v is not None else ABSENT for v in (metric.before, metric.after))
            yield f"{metric.of} {metric.name}: {before} before, {after} now"
        for difference in self.environment:
            since = (
                f" (since run {difference.since.run_id} of {_time(difference.since.at)})" if difference.since else ""
            )
            yield f"{difference.name}: {difference.before} before, {difference.after} now{since}"
        if not self.predictions_identical and self.error is None:
            if not self.environment and not self.altered:
                yield (
                    "nothing recorded of the environment differs: the code itself does not repeat (does all of it take "
                    "the seed?), or it reads something that is no part of the run"
                )
            if self.first_other is not None:
                same = f"; last the same in run {self.last_same.run_id}" if self.last_same else ""
                yield f"other predictions since run {self.first_other.run_id} of {_time(self.first_other.at)}{same}"

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        first, *rest = self.lines()
        listed = "".join(f"<li>{escape(line)}</li>" for line in rest)
        return f"<p><b>{escape(first)}</b><br>replayed as {self.replay_id}</p><ul>{listed}</ul>"


def judge(
    before: RunRecord,
    after: RunRecord,
    rows: RowDifference | None,
    altered: Sequence[str],
    known: Iterable[RunRecord],
) -> Replay:
    """Compare a run with its replay. ``known``: the runs of the subproject, among which "since when" is looked for."""
    history = sorted((*known, after), key=lambda record: (record.created_at, record.run_id))
    failed = after.status != "succeeded"
    same = after.predictions == before.predictions
    first_other, last_same = (None, None) if same or failed else _since(before, history)
    reason = (after.error.message if after.error else after.status) if failed else None
    return Replay(
        run_id=before.run_id,
        replay_id=after.run_id,
        where=before.where,
        predictions_identical=same,
        metrics=() if failed else tuple(_metrics_differ(before, after)),
        rows=rows,
        environment=tuple(_environment_differs(before, after, history)),
        altered=tuple(altered),
        first_other=first_other,
        last_same=last_same,
        error=reason,
    )


def compare_rows(before: "pd.DataFrame", after: "pd.DataFrame") -> RowDifference:
    """Two results row by row, joined on the row key; bit for bit, as the predictions digest sees them."""
    import numpy as np

    from mlops_assets.tracking.state_steps import column_differs

    left, right = before.set_index("key"), after.set_index("key")
    known = set(right.index.tolist())
    both = [key for key in left.index.tolist() if key in known]
    only = {"only_before": len(left) - len(both), "only_after": len(right) - len(both)}
    left, right = left.loc[both], right.loc[both]
    differs, distance = column_differs(left["prediction"], right["prediction"])
    for name in (n for n in left.columns if n.startswith("probability_") and n in right.columns):
        differs = differs | column_differs(left[name], right[name])[0]
    weight = differs.astype("float64") if distance is None else distance
    worst = [place for place in np.argsort(-weight, kind="stable")[:EXAMPLES].tolist() if differs[place]]
    return RowDifference(
        of=len(both),
        differ=int(differs.sum()),
        largest=float(distance.max()) if distance is not None and len(distance) else None,
        other_part=int((left["split"].to_numpy() != right["split"].to_numpy()).sum()),
        keys=tuple(str(both[place]) for place in worst),
        **only,
    )


def _metrics_differ(before: RunRecord, after: RunRecord) -> Iterator[MetricDifference]:
    groups = {
        "test": (before.metrics, after.metrics),
        "train": (before.train_metrics, after.train_metrics),
        "baseline": (before.baseline, after.baseline),
    }
    for of, (was, now) in groups.items():
        for name in dict.fromkeys([*was, *now]):
            if was.get(name) != now.get(name):
                yield MetricDifference(name=name, of=of, before=was.get(name), after=now.get(name))


def environment_of(record: RunRecord) -> dict[str, str]:
    """All that is recorded of what a run depends on beside code, data, configuration and seed."""
    environment, framework = record.environment, record.code_version.framework
    return {
        "python": environment.python,
        "threads": str(environment.threads),
        "lock": environment.lock[:12],
        **({"framework": framework} if framework is not None else {}),
        **{f"package {name}": version for name, version in environment.packages.items()},
    }


def _environment_differs(
    before: RunRecord, after: RunRecord, history: Sequence[RunRecord]
) -> Iterator[EnvironmentDifference]:
    was, now = environment_of(before), environment_of(after)
    for name in dict.fromkeys([*was, *now]):
        # A run that failed names no packages: that says nothing about them.
        if was.get(name) == now.get(name) or (name not in now and not after.environment.packages):
            continue
        since = _first(history, before, lambda record, name=name: environment_of(record).get(name) == now.get(name))  # type: ignore[misc]
        yield EnvironmentDifference(name=name, before=was.get(name, ABSENT), after=now.get(name, ABSENT), since=since)


def _first(history: Sequence[RunRecord], before: RunRecord, holds: Callable[[RunRecord], bool]) -> Seen | None:
    """The first run after ``before`` for which it holds."""
    later = (r for r in history if (r.created_at, r.run_id) > (before.created_at, before.run_id))
    return next((Seen.of(record) for record in later if record.status == "succeeded" and holds(record)), None)


def _since(before: RunRecord, history: Sequence[RunRecord]) -> tuple[Seen | None, Seen | None]:
    """Among runs that should predict the same: the first that does not, and the last before it that does."""
    same = [record for record in history if _defined_alike(record, before) and record.status == "succeeded"]
    last = None
    for record in same:
        if record.predictions != before.predictions and (record.created_at, record.run_id) > (
            before.created_at,
            before.run_id,
        ):
            return Seen.of(record), last
        if record.predictions == before.predictions:
            last = Seen.of(record)
    return None, last


def _defined_alike(one: RunRecord, other: RunRecord) -> bool:
    """The same code files, data, configuration and seed; unlike the fingerprint, whatever framework and lock file."""

    def defined(record: RunRecord) -> tuple[Any, ...]:
        code = record.code_version.tree or record.code_version.digest
        digests = record.digests
        return code, record.data_version, digests.subproject, digests.run, record.seed, record.fold

    return defined(one) == defined(other)


def _rows_said(rows: RowDifference) -> str:
    said = []
    if rows.differ:
        largest = f", by {rows.largest:.6g} at most" if rows.largest is not None else ""
        said.append(f"{rows.differ} of {rows.of} predictions differ{largest} (such as {', '.join(rows.keys)})")
    if rows.other_part:
        said.append(f"{rows.other_part} rows changed between train and test")
    if rows.only_before or rows.only_after:
        said.append(f"{rows.only_before} rows are gone, {rows.only_after} are new")
    return "; ".join(said)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
