"""One study: which parameters to try next, told what came of those before. In memory; no storage of Optuna's."""

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlops_assets.learning.search.dimensions import HERE, Dimensions
from mlops_assets.learning.search.grid import grid
from mlops_assets.learning.search.samplers import pruner, sampler
from partitions.hpo import HPO
from partitions.search_space import SearchSpace

Ended = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Question:
    """What is searched, and how. ``base``: complete parameters; those not in ``space`` stay as they are.

    ``seed``: with it, the same answers in the same order lead to the same trials.
    """

    space: SearchSpace
    hpo: HPO
    base: Mapping[str, Any]
    seed: int = 0


@dataclass(frozen=True)
class Known:
    """A configuration whose values, run by run, are known before the first trial.

    ``circumstance``: empty where they mean the same as here; else a name for the code and data they were measured with.
    """

    parameters: Mapping[str, Any]
    values: Sequence[float]
    circumstance: str = HERE


@dataclass(frozen=True)
class Asked:
    """A trial to do. ``origin``: "sampled", or where a configuration that is tried first comes from."""

    number: int
    parameters: dict[str, Any]
    origin: str = "sampled"


@dataclass
class _Trial:
    asked: Asked
    trial: Any
    values: list[float] = field(default_factory=list)


def sampler_seed(seed: int, subproject: str) -> int:
    """The seed of a subproject's sampler, out of the one that is given for all.

    With the same for each, all would begin with the same random configurations: siblings had nothing to tell each
    other that they do not try themselves.
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {subproject}".encode()).digest()[:4])


class Search:
    """Asks Optuna for trials and tells it what came of them.

    ``told``: values that mean the same as those of this search. ``tried``: configurations to try first, and where each
    comes from; what lies outside of the space, and what is there twice, is left out.
    """

    def __init__(
        self, question: Question, told: Sequence[Known] = (), tried: Sequence[tuple[Mapping[str, Any], str]] = ()
    ) -> None:
        self.question = question
        circumstances = tuple(dict.fromkeys((HERE, *(known.circumstance for known in told))))
        self.dimensions = Dimensions(question.space, question.base, circumstances)
        self._study = _study(question.hpo)
        self._sampler: Any = None
        self._open: dict[int, _Trial] = {}
        self._next = 0
        self._used = 0
        self._skipped: set[int] = set()
        self._grid: Iterator[dict[str, Any]] | None = None
        if question.hpo.sampler == "grid":
            self._grid = grid(self.dimensions, question.seed)
        self._best: tuple[float, int] | None = None
        self.exhausted = False
        self.told = sum(self._tell(known) for known in told)
        self._first = self._worth_trying(tried)

    def _tell(self, known: Known) -> bool:
        params = self.dimensions.known(known.parameters, known.circumstance)
        if params is None or not known.values or not all(map(math.isfinite, known.values)):
            return False
        self._add(params, known.values, "complete")
        return True

    def _worth_trying(self, tried: Sequence[tuple[Mapping[str, Any], str]]) -> list[tuple[dict[str, Any], str]]:
        worth: dict[str, tuple[dict[str, Any], str]] = {}
        for parameters, origin in tried:
            kept = self.dimensions.kept(parameters)
            if kept is not None:
                worth.setdefault(repr(self.dimensions.known(kept)), (kept, origin))
        return list(worth.values())

    def ask(self) -> Asked | None:
        """The next trial; None where the space has no other configuration left."""
        while self._next in self._skipped:
            self._skipped.discard(self._next)
            self._next += 1
        number = self._next
        first = self._first.pop(0) if self._first else None
        if first is None and self._grid is not None:
            parameters = next(self._grid, None)
            if parameters is None:
                self.exhausted = True
                return None
            first = parameters, "sampled"
        trial, asked = self._ask(number, first)
        self._next += 1
        self._open[number] = _Trial(asked, trial)
        return asked

    def _ask(self, number: int, first: tuple[dict[str, Any], str] | None) -> tuple[Any, Asked]:
        study, question = self._study, self.question
        # A sampler anew for each trial: what it draws depends on the trial's number and on what was told, and not on
        # what this process has drawn before. So a study that was rebuilt goes on and does not begin again.
        if question.hpo.sampler != "grid":
            study.sampler = sampler(question.hpo, question.seed, number, self.dimensions, self._sampler)
            self._sampler = self._sampler or study.sampler
        if first is not None:
            study.enqueue_trial(self.dimensions.known(first[0]) or {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask()
            parameters = self.dimensions.suggested(trial)
        return trial, Asked(number, parameters, first[1] if first is not None else "sampled")

    def report(self, number: int, value: float) -> bool:
        """The value of one more run of an open trial, in order; whether the trial should be stopped."""
        open_trial = self._open[number]
        open_trial.values.append(value)
        step = len(open_trial.values)
        open_trial.trial.report(self._reported(open_trial.values), step)
        return step < self.question.hpo.runs_per_trial and bool(open_trial.trial.should_prune())

    def tell(self, number: int, value: float | None, ended: Ended = "complete") -> None:
        """An open trial is over. ``value``: its mean; None where it failed."""
        from optuna.trial import TrialState

        open_trial = self._open.pop(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if ended == "complete" and value is not None and math.isfinite(value):
                self._study.tell(open_trial.trial, value)
                self._remember(value, number)
            elif ended == "pruned":
                self._study.tell(open_trial.trial, state=TrialState.PRUNED)
            else:
                self._study.tell(open_trial.trial, state=TrialState.FAIL)

    def restore(self, number: int, parameters: Mapping[str, Any], values: Sequence[float], ended: Ended | None) -> bool:
        """A trial of before this process, by its number: how it ended, or None where it is open still.

        All of them are restored before anything is asked; a number that is missing is asked for anew. The values of an
        open one are reported again. False where the space does not hold it any more.
        """
        params = self.dimensions.known(parameters)
        self._skipped.add(number)
        if params is None:
            return False
        self._first = [one for one in self._first if self.dimensions.known(one[0]) != params]
        while self.question.hpo.sampler == "qmc" and self._used <= number:  # these points are not to come again
            self._study.tell(self._ask(self._used, None)[0], state=_pruned())
            self._used += 1
        if self._grid is not None:
            self._grid = _without(self._grid, dict(parameters))
        if ended is None:
            trial, asked = self._ask(number, (dict(parameters), "sampled"))
            self._open[number] = _Trial(asked, trial)
            return True
        self._add(params, values, ended)
        if ended == "complete":
            self._remember(sum(values) / len(values), number)
        return True

    def _add(self, params: dict[str, Any], values: Sequence[float], ended: Ended) -> None:
        from optuna.trial import TrialState, create_trial

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        self._study.add_trial(
            create_trial(
                params=params,
                distributions={name: self.dimensions.sampled[name] for name in params},
                value=sum(values) / len(values) if ended == "complete" else None,
                state=states[ended],
                intermediate_values={step: self._reported(values[:step]) for step in range(1, len(values) + 1)},
            )
        )

    def _reported(self, values: Sequence[float]) -> float:
        """What the pruner hears after these runs: Wilcoxon compares run with run, the others how far a trial got."""
        return values[-1] if self.question.hpo.pruner == "wilcoxon" else sum(values) / len(values)

    def _remember(self, value: float, number: int) -> None:
        sign = 1.0 if self.question.hpo.direction == "minimize" else -1.0
        if self._best is None or sign * value < sign * self._best[0]:
            self._best = value, number

    @property
    def best(self) -> tuple[float, int] | None:
        """The best mean of a complete trial of this search, and its number."""
        return self._best

    def sampler_trials(self) -> int:
        """How many trials the sampler knows, those told beforehand among them."""
        return len(self._study.get_trials(deepcopy=False))


def _study(hpo: HPO) -> Any:
    import optuna

    # The progress of a study is told by who conducts it.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction=hpo.direction, pruner=pruner(hpo))


def _pruned() -> Any:
    from optuna.trial import TrialState

    return TrialState.PRUNED


def _without(configurations: Iterator[dict[str, Any]], left_out: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (parameters for parameters in configurations if parameters != left_out)
