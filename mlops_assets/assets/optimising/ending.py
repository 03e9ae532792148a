"""The end of an HPO run: its summary, and which configuration is best by the declared rule."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from mlops_assets.assets.optimising.study import Study
from mlops_assets.assets.optimising.trial import Result
from mlops_assets.learning.choice import Choice, choose, within_noise
from mlops_assets.learning.evaluation import Evaluation
from mlops_assets.tracking.best import BestConfiguration, chosen_by_rule
from mlops_assets.tracking.evaluations import weighed
from mlops_assets.tracking.hpo_run import ChosenBest, HPOSummary, TrialSummary
from mlops_assets.tracking.record import RunError
from mlops_assets.tracking.tracker import Tracker


@dataclass(frozen=True)
class Conclusion:
    """What came of an HPO run. ``evaluations``: its complete trials. ``error``: it brought nothing, or was stopped
    because its trials failed."""

    summary: HPOSummary
    best: BestConfiguration | None
    error: RunError | None = None
    evaluations: tuple[Evaluation, ...] = ()


@dataclass(frozen=True)
class Before:
    """What was known before an HPO run: evaluations that mean the same, how many configurations were to be tried first,
    the choice before, and when this process began with it (``time.monotonic``)."""

    told: tuple[Evaluation, ...] = ()
    values: int = 0
    tried: int = 0
    best: BestConfiguration | None = None
    began: float = 0.0


def conclude(study: Study, before: Before, tracker: Tracker, cores: int) -> Conclusion:
    """The summary and the choice. The best rests on complete trials, and on earlier ones that mean the same."""
    run, hpo = study.run, study.run.configuration
    own = {summary.number: _evaluation(study, summary) for summary in study.done if summary.state == "complete"}
    ids = {evaluation.run_ids for evaluation in own.values()}
    some = [*own.values(), *(evaluation for evaluation in before.told if evaluation.run_ids not in ids)]
    choice = choose(_weighed(some, hpo.direction, tracker), hpo.direction, hpo.rule) if some else None
    summary = HPOSummary(
        hpo_run_id=run.hpo_run_id,
        metric=hpo.metric,
        direction=hpo.direction,
        stopped_by=study.stopped_by or "trials",
        reason=study.reason,
        trials=tuple(sorted(study.done, key=lambda trial: trial.number)),
        told=before.values,
        tried=before.tried,
        seconds=round(monotonic() - before.began, 3),
        cpu_seconds=round(study.seconds_in_runs, 3),
        cores=cores,
        best=_chosen(choice, own) if choice is not None else None,
    )
    best = None
    if choice is not None:
        best = chosen_by_rule(run.project, choice, _means(choice.evaluation, study.results), before.best)
    return Conclusion(summary, best, _error(study, bool(own)), tuple(own.values()))


def _error(study: Study, complete: bool) -> RunError | None:
    where = study.run.where
    if study.stopped_by == "failures":
        return RunError(message=f"{where}: HPO stopped: {study.reason}")
    if not complete:
        last = next((trial.error for trial in reversed(study.done) if trial.error), None)
        return RunError(message=f"{where}: HPO ended without a complete trial{f': {last}' if last else ''}")
    return None


def _evaluation(study: Study, summary: TrialSummary) -> Evaluation:
    results = study.results[summary.number]
    placed = sorted(results)
    runs = [results[place] for place in placed]
    run, metric = study.run, study.run.configuration.metric
    return Evaluation(
        subproject=run.subproject,
        code_version=run.code_version.digest,
        data_version=run.data_version,
        parameters=summary.parameters,
        metric=metric,
        values=tuple(result.metrics[metric] for result in runs),
        run_ids=tuple(result.run_id for result in runs),
        seeds=tuple(study.places[place][0] for place in placed),
        folds=tuple(study.places[place][1] for place in placed),
        fold_count=run.configuration.folds,
        splits=tuple(result.split for result in runs),
        parents=(run.hpo_run_id,),
        model_bytes=_mean(result.model_bytes for result in runs),
        fit_seconds=_mean(result.fit_seconds for result in runs),
    )


def _weighed(some: Sequence[Evaluation], direction: str, tracker: Tracker) -> list[Evaluation]:
    """The same; of those in question that are not of this HPO run, model size and time to fit are looked up."""
    unknown = [evaluation for evaluation in within_noise(some, direction) if evaluation.model_bytes is None]
    found = {evaluation.run_ids: evaluation for evaluation in weighed(tracker, unknown)} if unknown else {}
    return [found.get(evaluation.run_ids, evaluation) for evaluation in some]


def _chosen(choice: Choice, own: Mapping[int, Evaluation]) -> ChosenBest:
    chosen = choice.evaluation
    trial = next((number for number, evaluation in own.items() if evaluation.run_ids == chosen.run_ids), None)
    return ChosenBest(
        run_id=chosen.run_ids[0],
        trial=trial,
        parameters=dict(chosen.parameters),
        mean=chosen.mean,
        reason=choice.reason,
    )


def _means(chosen: Evaluation, results: Mapping[int, Mapping[int, Result]]) -> dict[str, float]:
    """Means of all metrics over the runs of this HPO run that an evaluation rests on; none for an earlier one."""
    runs = [result for of_trial in results.values() for result in of_trial.values() if result.run_id in chosen.run_ids]
    names = list(dict.fromkeys(name for result in runs for name in result.metrics))
    return {name: math.fsum(result.metrics[name] for result in runs) / len(runs) for name in names}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
