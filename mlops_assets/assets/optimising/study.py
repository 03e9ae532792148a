"""One HPO run under way: which run is next, and what the runs that came back mean. No Dagster, no clock but its own."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from mlops_assets.assets.optimising.trial import Result, Ticket, Trial
from mlops_assets.assets.way import RunPlan
from mlops_assets.learning.search.search import Asked, Search
from mlops_assets.tracking.hpo_run import HPORun, StoppedBy, TrialSummary
from mlops_assets.tracking.record import Digests, RunRecord, fingerprint, new_run_id
from partitions.errors import MlopsError
from partitions.run_configuration import RunConfiguration

Bind = Callable[[Mapping[str, Any]], dict[str, Any]]


class Study:
    """The trials of one HPO run. ``known``: results by fingerprint, of which no run is done again.

    ``bind`` completes parameters as the pipeline's code does, so that a fingerprint is known before the run; raises
    MlopsError for what the code refuses. ``subproject``: the digest of its configuration, also part of fingerprints.
    """

    def __init__(self, run: HPORun, search: Search, known: Mapping[str, Result], bind: Bind, subproject: str) -> None:
        self.run = run
        self.search = search
        self.done: list[TrialSummary] = []
        self.ended: Counter[str] = Counter()
        self.results: dict[int, dict[int, Result]] = {}
        self.stopped_by: StoppedBy | None = None
        self.reason = ""
        self.seconds_in_runs = 0.0
        self.in_flight = 0
        self._known = dict(known)
        self._bind = bind
        self._open: dict[int, Trial] = {}
        self._opened = 0
        self._failed_in_a_row = 0
        self._awaited: dict[str, list[tuple[int, int]]] = {}
        self._made: dict[str, int] = {}
        self._subproject = subproject
        self._deadline = monotonic() + run.configuration.timeout if run.configuration.timeout else math.inf
        hpo = run.configuration
        folds: Iterable[int | None] = range(hpo.folds) if hpo.folds else (None,)
        self.places = [(run.seed + number, fold) for number in range(hpo.seeds) for fold in folds]

    # ---- what is next

    def next(self) -> Ticket | None:
        """A run to do; None where there is none now. With ``over``, there will be none."""
        while True:
            for trial in list(self._open.values()):
                ticket = self._next_of(trial)
                if ticket is not None:
                    return ticket
            asked = self.search.ask() if self._may_ask() else None
            if asked is None:
                if self.search.exhausted and self.stopped_by is None:
                    self.stopped_by = "space exhausted"
                return None
            self._begin(asked)

    @property
    def over(self) -> bool:
        """Whether everything is done that was to be done."""
        if self._open or self.in_flight:
            return False
        if self.stopped_by is None and self._opened >= self.run.configuration.trials:
            self.stopped_by = "trials"
        if self.stopped_by is None and monotonic() >= self._deadline:
            self.stopped_by = "timeout"
        return self.stopped_by is not None

    @property
    def left(self) -> int:
        """How many runs are still to be done, at most."""
        hpo = self.run.configuration
        trials = 0 if self.stopped_by else hpo.trials - self._opened
        started = sum(len(self.places) - len(trial.begun) for trial in self._open.values())
        return trials * hpo.runs_per_trial + started

    @property
    def running(self) -> int:
        """How many trials are open."""
        return len(self._open)

    def _may_ask(self) -> bool:
        hpo = self.run.configuration
        if self.stopped_by or self._opened >= hpo.trials or monotonic() >= self._deadline:
            return False
        return hpo.concurrency is None or len(self._open) < hpo.concurrency

    def _begin(self, asked: Asked) -> Trial:
        self._opened += 1
        try:
            params = self._bind(asked.parameters)
        except MlopsError:
            params = asked.parameters  # refused by the code: its runs fail, each with the reason
        trial = self._open[asked.number] = Trial(asked, params)
        return trial

    def _next_of(self, trial: Trial) -> Ticket | None:
        one_by_one = self.run.configuration.pruner != "none"
        while not (trial.pruned or trial.error or (one_by_one and trial.in_flight)):
            place = next((place for place in range(len(self.places)) if place not in trial.begun), None)
            if place is None:
                return None
            trial.begun.add(place)
            ticket = self._ticket(trial, place)
            known = self._known.get(ticket.fingerprint)
            if known is not None:
                self._take(trial, place, known)
                self._close_if_done(trial)
                continue
            trial.in_flight += 1
            if ticket.fingerprint in self._awaited:
                # Another trial with the same configuration is on it: its result is this one's too.
                self._awaited[ticket.fingerprint].append((trial.asked.number, place))
                continue
            self._awaited[ticket.fingerprint] = []
            self.in_flight += 1
            return ticket
        return None

    def _ticket(self, trial: Trial, place: int) -> Ticket:
        seed, fold = self.places[place]
        run, folds = self.run, self.run.configuration.folds
        configuration = RunConfiguration(
            data_version=run.data_version, params=trial.params, folds=folds, fold=fold, seed=seed
        )
        digests = Digests(subproject=self._subproject, run=configuration.digest)
        mark = fingerprint(run.code_version.digest, run.data_version, digests, seed, fold)
        return Ticket(trial.asked, place, RunPlan(new_run_id(), configuration), mark)

    # ---- what came back

    def returned(self, ticket: Ticket, record: RunRecord) -> RunRecord:
        """A run came back. Returns its record as it is to be tracked: pruned, where it made its trial end."""
        self.in_flight -= 1
        waiting = self._awaited.pop(ticket.fingerprint)
        trial = self._open[ticket.asked.number]
        trial.in_flight -= 1
        self.seconds_in_runs += sum(record.timings.values())
        if record.status == "succeeded":
            result = Result.of(record)
            self._known[ticket.fingerprint] = result
            self._made[result.run_id] = ticket.asked.number
            if self._take(trial, ticket.place, result):
                record = record.model_copy(update={"status": "pruned"})
        else:
            trial.error = record.error.message if record.error else record.status
        self._close_if_done(trial)
        for number, place in waiting:
            other = self._open[number]
            other.in_flight -= 1
            if record.status == "failed":
                other.begun.discard(place)
            else:
                self._take(other, place, self._known[ticket.fingerprint])
            self._close_if_done(other)
        return record

    def _take(self, trial: Trial, place: int, result: Result) -> bool:
        """The result of a place; whether it makes the trial end early."""
        metric = self.run.configuration.metric
        value = result.metrics.get(metric)
        if value is None or not math.isfinite(value):
            trial.error = trial.error or f"run {result.run_id}: {metric} is {value}; a trial needs a finite number"
            return False
        trial.results[place] = result
        trial.reused += self._made.get(result.run_id) != trial.asked.number
        if self.run.configuration.pruner == "none" or trial.error or trial.pruned:
            return False
        trial.pruned = self.search.report(trial.asked.number, value)
        return trial.pruned

    def _close_if_done(self, trial: Trial) -> None:
        number, ended = trial.asked.number, trial.ended(len(self.places))
        if ended is None or number not in self._open:
            return
        del self._open[number]
        summary = trial.summary(self.run.configuration.metric, ended)
        self.search.tell(number, summary.mean if ended == "complete" else None, ended)
        self._count(trial, summary)

    def _count(self, trial: Trial, summary: TrialSummary) -> None:
        self.done.append(summary)
        self.ended[summary.state] += 1
        self.results[summary.number] = trial.results
        limit = self.run.configuration.max_failures
        self._failed_in_a_row = self._failed_in_a_row + 1 if summary.state == "failed" else 0
        if self._failed_in_a_row >= limit and self.stopped_by is None:
            self.stopped_by = "failures"
            self.reason = f"{limit} trials in a row failed, the last one with: {trial.error}"

    # ---- going on

    def resume(self, records: Iterable[RunRecord]) -> None:
        """Take up what was done of this HPO run before; half-done trials are open again. Before anything is asked."""
        trials: dict[int, list[RunRecord]] = {}
        for record in records:
            trials.setdefault(int(record.settings["trial"]), []).append(record)
            self.seconds_in_runs += sum(record.timings.values())
        for number, of_trial in sorted(trials.items()):
            self._resume(number, of_trial)

    def _resume(self, number: int, records: list[RunRecord]) -> None:
        origin = str(records[0].settings.get("origin", "sampled"))
        trial = Trial(Asked(number, records[0].parameters, origin), records[0].parameters)
        for record in records:
            if record.status != "failed":
                place = self.places.index((record.seed, record.fold))
                trial.results[place] = self._known[record.fingerprint] = Result.of(record)
                self._made[record.run_id] = number
            trial.pruned = trial.pruned or record.status == "pruned"
            if record.status == "failed" and trial.error is None:
                trial.error = record.error.message if record.error else "failed"
        for place in range(len(self.places)):
            reused = self._known.get(self._ticket(trial, place).fingerprint)
            if reused is not None and place not in trial.results and not (trial.pruned or trial.error):
                trial.results[place] = reused
                trial.reused += 1
        ended = trial.ended(len(self.places))
        values = trial.values(self.run.configuration.metric)
        if not self.search.restore(number, trial.params, values, ended):
            return
        self._opened += 1
        if ended is not None:
            self._count(trial, trial.summary(self.run.configuration.metric, ended))
            return
        # What is known of it is found again when its runs are asked for, and reported then.
        self._open[number] = Trial(trial.asked, trial.params)
