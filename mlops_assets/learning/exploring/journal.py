"""Evaluations as an Optuna journal: the file that optuna-dashboard, and Optuna itself, opens."""

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mlops_assets.learning.evaluation import Evaluation, judged_alike
from mlops_assets.learning.exploring.points import flat
from partitions.hpo import Direction
from partitions.search_space import Categorical, Float, Int, SearchSpace
from partitions.values import canonical_json

DIGEST = 8


@dataclass(frozen=True)
class Exported:
    """One study. ``left_out``: configurations judged on other seeds or folds, whose values do not compare."""

    name: str
    trials: int
    pruned: int
    left_out: int


@dataclass(frozen=True)
class Studied:
    """The evaluations of one subproject, its search space, and what is better."""

    project: str
    subproject: str
    space: SearchSpace
    metric: str
    direction: Direction
    evaluations: Sequence[Evaluation]


def journal(several: Iterable[Studied]) -> tuple[str, list[Exported]]:
    """The text of a journal file, and what is in it.

    A study for each subproject, code version and data version: only values that compare are in one. A trial is a
    configuration: parameters, their distributions, its mean, the value of each run as an intermediate value, and the
    ids of its runs as a user attribute. One that lacks folds is a pruned trial.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend

    lines: list[dict[str, Any]] = []

    class Lines(BaseJournalBackend):  # type: ignore[misc, unused-ignore]  # Optuna has no types
        """A file that is written at once: appended to trial by trial, it takes 20 ms for each."""

        def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
            return lines[log_number_from:]

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines.extend(json.loads(json.dumps(log)) for log in logs)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Optuna calls experimental
        storage = JournalStorage(Lines())
        exported = [_write(storage, studied, group) for studied in several for group in _by_circumstance(studied)]
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines), exported


def _by_circumstance(studied: Studied) -> list[list[Evaluation]]:
    """By code and data, the newest first."""
    groups: dict[tuple[str, str | None], list[Evaluation]] = {}
    for one in studied.evaluations:
        groups.setdefault((one.code_version, one.data_version), []).append(one)
    return sorted(groups.values(), key=lambda group: max(max(one.run_ids) for one in group), reverse=True)


def _write(storage: Any, studied: Studied, group: Sequence[Evaluation]) -> Exported:
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    code, data = group[0].code_version, group[0].data_version
    name = f"{studied.project}/{studied.subproject} (code {code[:DIGEST]}, data {(data or 'unknown')[:DIGEST]})"
    study = optuna.create_study(storage=storage, study_name=name, direction=studied.direction)
    for attribute, value in (("metric", studied.metric), ("code_version", code), ("data_version", data)):
        study.set_user_attr(attribute, value)
    study.set_metric_names([studied.metric])
    alike = judged_alike(group)
    counted = {one.run_ids[0] for one in alike}
    complete = frozenset(pair for one in alike[:1] for pair in one.pairs)
    others = [one for one in group if not counted & set(one.run_ids)]
    pruned = [one for one in others if set(one.pairs) < complete]
    told = sorted([*alike, *pruned], key=lambda one: one.run_ids[0])
    distributions = _distributions(studied.space, [flat(one.parameters) for one in told])
    for one in told:
        state = TrialState.COMPLETE if set(one.pairs) == complete else TrialState.PRUNED
        study.add_trial(_trial(one, distributions, state))
    return Exported(name, len(told), len(pruned), len(others) - len(pruned))


def _trial(one: Evaluation, distributions: Mapping[str, Any], state: Any) -> Any:
    from optuna.trial import TrialState, create_trial

    params = {name: _plain(value) for name, value in flat(one.parameters).items() if name in distributions}
    trial = create_trial(
        params=params,
        distributions={name: distributions[name] for name in params},
        value=one.mean if state == TrialState.COMPLETE else None,
        state=state,
        intermediate_values=dict(enumerate(one.values)),
        user_attrs={
            "run_ids": list(one.run_ids),
            "hpo_run_ids": list(one.parents),
            "standard_error": one.standard_error,
            "seeds": list(one.seeds),
            "folds": list(one.folds),
        },
    )
    trial.datetime_start = _time(min(one.run_ids)) or trial.datetime_start
    trial.datetime_complete = _time(max(one.run_ids)) or trial.datetime_complete
    return trial


def _distributions(space: SearchSpace, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of every parameter of the space, and of those that differ: the space's, as wide as the values of these runs."""
    names = list(dict.fromkeys(name for one in parameters for name in one))
    held = {name: [_plain(one[name]) for one in parameters if name in one] for name in names}
    wanted = [name for name in names if name in space.dimensions or len(set(map(canonical_json, held[name]))) > 1]
    return {name: _distribution(space.dimensions.get(name), held[name]) for name in wanted}


def _distribution(dimension: Any, values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if isinstance(dimension, Float | Int) and numbers:
        low, high = min(dimension.low, *values), max(dimension.high, *values)
        outside = not all(dimension.contains(value) for value in values)
        whole = isinstance(dimension, Int) and all(isinstance(value, int) for value in values)
        log = dimension.log and low > 0
        if whole:
            step = 1 if outside or dimension.step is None else int(dimension.step)
            return IntDistribution(int(low), int(high), log=log, step=step)
        return FloatDistribution(low, high, log=log)
    if numbers and not isinstance(dimension, Categorical):
        kind = IntDistribution if all(isinstance(value, int) for value in values) else FloatDistribution
        return kind(min(values), max(values))
    declared = list(map(_plain, dimension.choices)) if isinstance(dimension, Categorical) else []
    choices = {canonical_json(value): value for value in [*declared, *values]}
    return CategoricalDistribution(tuple(choices.values()))


def _plain(value: Any) -> Any:
    """What Optuna takes as a choice; lists and mappings as their JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else canonical_json(value)


def _time(run_id: str) -> datetime | None:
    """When a run's id was made: it is a UUID of version 7."""
    try:
        made = UUID(run_id)
    except ValueError:
        return None
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC) if made.version == 7 else None
