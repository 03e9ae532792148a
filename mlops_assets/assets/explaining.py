"""Why two runs differ: the combinations of what they were made of, run where they never were, and what they say.

Each combination is a tracked run, found again by its fingerprint: what was run once is not run again, neither when the
same is asked twice nor after a process that was killed half way.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mlops_assets.assets.combining import Cell, Grid, grid
from mlops_assets.assets.events import experiment_events
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.recording import died
from mlops_assets.assets.replaying import check_data, way_of
from mlops_assets.assets.telling import cause_notes, differences, environment_part
from mlops_assets.assets.travel import travel
from mlops_assets.assets.way import Arrived, Way
from mlops_assets.tracking.explanation import CombinationRun, Explanation, ExplanationPlan, Noise, judged
from mlops_assets.tracking.record import RunError, RunRecord, fingerprint
from mlops_assets.tracking.shapley import Combination, Group, of_groups
from partitions.errors import MlopsError, nearest
from partitions.pipeline import Better
from partitions.project import Project
from resources.compute import Environment, WorkerError, available_cpus

OnRun = Callable[[int, int, RunRecord], None]

# Of runs with other seeds that are there already, so many take part; a worker starts in about so many seconds.
MOST_SEEDS = 20
START = 1.5
# Failures that another attempt may not have. All others are what this combination always does.
PASSING = ("worker process died", "MemoryError", "ArtifactError", "OSError")


@dataclass(frozen=True)
class Explaining:
    """A question that is ready to be answered: nothing was run yet, and ``plan`` says what has to be.

    known: the runs of the subproject. seeds: how many other seeds the noise is to be told from, at least.
    """

    ports: Ports
    project: Project
    grid: Grid
    metric: str
    seeds: int
    known: Mapping[str, RunRecord]
    failed: Mapping[str, RunRecord]

    @cached_property
    def plan(self) -> ExplanationPlan:
        """What it takes: how many runs, how long, and what cannot be told apart."""
        groups = self._groups(self.failed)
        cells = self._cells(groups)
        missing, seeds = self._missing(cells.values()), self._missing(self._seed_cells(cells))
        a, b = self.grid.a.record, self.grid.b.record
        return ExplanationPlan(
            run_a=a.run_id,
            run_b=b.run_id,
            where=a.where,
            metric=self.metric,
            parts=tuple(" + ".join(group) for group in groups),
            combinations=len(cells),
            found=len(cells) - len({cell.fingerprint for cell in missing}),
            to_run=len(missing),
            seeds_to_run=len(seeds),
            seconds=self._seconds([*missing, *seeds]),
            differs={cause: tuple(lines) for cause, lines in self._differs.items()},
            notes=tuple(cause_notes(self.grid, groups, self._reasons(self.failed))),
        )

    def explain(self, on_run: OnRun | None = None) -> Explanation:
        """Run what is missing and split the difference. ``on_run``: told of each run made: number, of how many, record.

        Raises MlopsError where the two runs themselves cannot be done again in today's environment, if that is another.
        """
        cells = self._cells(self._groups(self.failed))
        wanted = self._missing([*cells.values(), *self._seed_cells(cells)])
        known, failed = dict(self.known), dict(self.failed)
        made = set()
        for count, record in enumerate(self._run(wanted), start=1):
            (known if _gives(record, self.metric) else failed)[record.fingerprint] = record
            made.add(record.run_id)
            if on_run is not None:
                on_run(count, len(wanted), record)
        groups = self._groups(failed)
        cells = self._cells(groups)
        for some in (frozenset[str](), frozenset(self.grid.causes)):
            self._refuse_failed_corner(cells[some], failed)
        records = {some: known[cell.fingerprint] for some, cell in cells.items()}
        return self._explained(groups, records, self._noise(cells, known), failed, made)

    def _explained(
        self,
        groups: list[Group],
        records: Mapping[Combination, RunRecord],
        noise: Noise,
        failed: Mapping[str, RunRecord],
        made: set[str],
    ) -> Explanation:
        values = {some: record.metrics[self.metric] for some, record in records.items()}
        a, b = self.grid.a.record, self.grid.b.record
        before, after = a.metrics[self.metric], b.metrics[self.metric]
        parts = judged(groups, values, noise, self._differs)
        notes = cause_notes(self.grid, groups, self._reasons(failed), records, self.ports)
        none, everything = frozenset[str](), frozenset(self.grid.causes)
        if records[none].run_id != a.run_id or records[everything].run_id != b.run_id:
            rest = (after - before) - (values[everything] - values[none])
            parts, told = environment_part(parts, rest, after - before, self.grid)
            notes = [*notes, told]
        better: Better | None = self.project.pipeline.metrics.get(self.metric)
        return Explanation(
            run_a=a.run_id,
            run_b=b.run_id,
            where=a.where,
            metric=self.metric,
            better=better,
            before=before,
            after=after,
            parts=tuple(parts),
            noise=noise,
            combinations=tuple(
                CombinationRun(
                    as_in_b=tuple(cause for cause in self.grid.causes if cause in some),
                    run_id=record.run_id,
                    value=values[some],
                    made_now=record.run_id in made,
                )
                for some, record in records.items()
            ),
            notes=tuple(notes),
            made=len(made),
        )

    @cached_property
    def _differs(self) -> dict[str, list[str]]:
        return differences(self.ports, self.project, self.grid)

    def _why(self, record: RunRecord) -> str:
        if record.error is None:
            return f"run {record.run_id[-12:]} gives no metric {self.metric!r}"
        return f"run {record.run_id[-12:]} failed: {record.error.message}"

    def _groups(self, failed: Mapping[str, RunRecord]) -> list[Group]:
        return self.grid.groups(self._reasons(failed))

    def _reasons(self, failed: Mapping[str, RunRecord]) -> dict[Combination, str]:
        """Combinations that were tried and cannot be run."""
        found = {}
        for some in of_groups(self.grid.groups({})):
            record = failed.get(self.grid.cell(some).fingerprint)
            if record is not None and record.fingerprint not in self.known:
                found[some] = self._why(record)
        return found

    def _cells(self, groups: Sequence[Group]) -> dict[Combination, Cell]:
        return {some: self.grid.cell(some) for some in of_groups(groups)}

    def _seed_cells(self, cells: Mapping[Combination, Cell]) -> list[Cell]:
        """The combination of the first run with other seeds: those there are, and new ones up to ``seeds``.

        Where the seed is a cause, one of its combinations is such a run already, and counts.
        """
        if not self.seeds or not self.grid.causes:
            return []
        base = cells[frozenset()]
        own = self.grid.a.record.seed
        taken = {own, self.grid.b.record.seed}
        there = [
            record.seed
            for record in sorted(self.known.values(), key=lambda record: record.run_id)
            if record.seed not in taken and _with_seed(record, own) == base.fingerprint
        ]
        there = there[: max(MOST_SEEDS, self.seeds)]
        wanted = self.seeds - len(there) - (frozenset({"seed"}) in cells)
        after = own
        while wanted > 0:
            after = (after + 1) % 2**32
            if after not in taken and after not in there:
                there.append(after)
                wanted -= 1
        return [self.grid.cell(frozenset(), seed) for seed in there]

    def _noise(self, cells: Mapping[Combination, Cell], known: Mapping[str, RunRecord]) -> Noise:
        samples = [cells[frozenset()], *self._seed_cells(cells)] if self.seeds else [cells[frozenset()]]
        alone = cells.get(frozenset({"seed"}))
        samples += [alone] if alone is not None and self.seeds else []
        base, *others = [known[cell.fingerprint] for cell in samples if cell.fingerprint in known]
        records = [base, *sorted(others, key=lambda record: record.seed)]
        return Noise(
            seeds=tuple(record.seed for record in records),
            values=tuple(record.metrics[self.metric] for record in records),
            runs=tuple(record.run_id for record in records),
            same_predictions=len({record.predictions for record in records}) == 1,
        )

    def _missing(self, cells: Iterable[Cell]) -> list[Cell]:
        wanted = {cell.fingerprint: cell for cell in cells}
        return [c for name, c in wanted.items() if name not in self.known and name not in self.failed]

    def _seconds(self, cells: Sequence[Cell]) -> float:
        runs = (self.grid.a.record, self.grid.b.record)
        each = sum(sum(record.timings.values()) for record in runs) / len(runs)
        workers = max(1, (self.ports.compute.cpus or available_cpus()) // self.grid.a.record.environment.threads)
        return sum(START + each * math.ceil(len(some) / workers) for some in _by_code(cells).values())

    def _run(self, cells: Sequence[Cell]) -> Iterator[RunRecord]:
        """Each cell's run, tracked before it is told of, so that a process that is killed has lost none."""
        for data in {cell.recipe.configuration.data_version: cell for cell in cells}.values():
            check_data(self.ports, self.project, data.recipe)
        threads = self.grid.a.record.environment.threads
        compute = replace(self.ports.compute, backend="processes", address=None, threads=threads)
        for environment, some in _by_code(cells).items():
            ways = [way_of(self.ports, self.project, cell.recipe, cell.ready) for cell in some]
            for outcome in compute.map(travel, ways, environment=environment):
                arrived = outcome.get() if outcome.error is None else _died(ways[outcome.index], outcome.error)
                self.ports.event_log.store(experiment_events(self.project.name, arrived))
                yield arrived.records[0]

    def _refuse_failed_corner(self, cell: Cell, failed: Mapping[str, RunRecord]) -> None:
        record = failed.get(cell.fingerprint)
        if record is not None and cell.fingerprint not in self.known:
            raise MlopsError(
                "the runs were made in another environment (lock file, framework) than today's, and one of them cannot "
                f"be done again today: {self._why(record)}; restore that environment, or explain runs made since"
            )


def explaining(
    ports: Ports, project: Project, runs: tuple[RunRecord, RunRecord], asked: tuple[str, int], known: list[RunRecord]
) -> Explaining:
    """Get ready to explain the second of ``runs`` by the first one. ``asked``: the metric, and how many seeds at least.

    Raises MlopsError where the two cannot be compared, or one cannot be had any more.
    """
    metric, seeds = asked
    refuse_unlike(*runs, metric)
    if seeds < 0:
        raise MlopsError(f"seeds is {seeds}; 0 leaves the noise out, 3 tells it roughly")
    succeeded: dict[str, RunRecord] = {}
    failed: dict[str, RunRecord] = {}
    for record in known:
        if _gives(record, metric):
            succeeded.setdefault(record.fingerprint, record)
        elif not _passing(record):
            failed[record.fingerprint] = record
    # The two runs themselves, not others like them.
    succeeded |= {record.fingerprint: record for record in reversed(runs)}
    return Explaining(ports, project, grid(ports, project, *runs), metric, seeds, succeeded, failed)


def refuse_unlike(one: RunRecord, other: RunRecord, metric: str) -> None:
    """Raises MlopsError, with the reason, for two runs of which the difference has no meaning."""
    if one.run_id == other.run_id:
        raise MlopsError(f"run {one.run_id} is given twice: name two runs")
    if one.subproject != other.subproject:
        raise MlopsError(
            f"run {one.run_id} is of {one.where} and run {other.run_id} of {other.where}: results are not compared "
            "across subprojects, which have other rows and other targets; name two runs of one subproject"
        )
    for record in (one, other):
        if record.status != "succeeded":
            raise MlopsError(f"run {record.run_id} of {record.where} {record.status}: it has no metrics to explain")
        if metric not in record.metrics:
            raise MlopsError(f"run {record.run_id}: {nearest(metric, record.metrics, noun='metric')}")
    if (one.fold is None) != (other.fold is None):
        fold, whole = (one, other) if one.fold is not None else (other, one)
        raise MlopsError(
            f"run {fold.run_id} is fold {fold.fold} of a cross-validation, judged on a part of the train rows, and run "
            f"{whole.run_id} is judged on the test rows: name two runs without folds, or two folds"
        )


def _by_code(cells: Iterable[Cell]) -> dict[Environment, list[Cell]]:
    found: dict[Environment, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.ready.environment, []).append(cell)
    return found


def _gives(record: RunRecord, metric: str) -> bool:
    return record.status == "succeeded" and metric in record.metrics


def _with_seed(record: RunRecord, seed: int) -> str:
    """The fingerprint that a run would have with another seed."""
    return fingerprint(record.code_version.digest, record.data_version, record.digests, seed, record.fold)


def _passing(record: RunRecord) -> bool:
    said = f"{record.error.message} {record.error.traceback}" if record.error else ""
    return record.status in ("pruned", "rejected") or any(reason in said for reason in PASSING)


def _died(way: Way, error: WorkerError) -> Arrived:
    return died(way, RunError(message=f"{way.where}: {error}", traceback=error.traceback))
