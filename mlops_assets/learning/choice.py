"""Which configuration is best, by a declared rule, judged over folds and seeds; and the reason in one sentence."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlops_assets.learning.evaluation import Evaluation, best_first, comparable
from partitions.errors import MlopsError


@dataclass(frozen=True)
class Choice:
    """The evaluation chosen, why, and how many it was chosen from."""

    evaluation: Evaluation
    reason: str
    rule: str
    considered: int


def choose(evaluations: Iterable[Evaluation], direction: str, rule: str) -> Choice:
    """The best of those that were judged alike and on most seeds and folds (see ``comparable``).

    best-mean: the best mean. one-standard-error: the simplest whose mean is within one standard error of the best mean:
    the smallest model file, then the fastest fit (give evaluations that know them). Raises MlopsError for none.
    """
    if rule not in ("best-mean", "one-standard-error"):
        raise MlopsError(f"rule {rule!r} is none; there are best-mean and one-standard-error")
    ranked = best_first(comparable(evaluations), direction)
    if not ranked:
        raise MlopsError("there is no configuration to choose from: no run succeeded that has the metric")
    best, word = ranked[0], "highest" if direction == "maximize" else "lowest"
    among = f"of {len(ranked)} configurations" if len(ranked) > 1 else "the only configuration"
    if rule == "one-standard-error" and best.standard_error is not None:
        near = within_noise(ranked, direction)
        simplest = min(near, key=_simplicity)
        if simplest is not best:
            reason = (
                f"simplest of {len(near)} configurations within one standard error ({best.standard_error:.4g}) of the "
                f"{word} mean {best.metric}, {best.mean:.6g}: {_judged(simplest)}{_simpler(simplest, best)}; "
                f"{len(ranked)} configurations judged"
            )
            return Choice(simplest, reason, rule, len(ranked))
        alone = "no other is" if len(near) == 1 else f"the simplest of the {len(near)} that are"
        reason = f"{word} mean {_judged(best)}, {among}; {alone} within one standard error"
        return Choice(best, reason, rule, len(ranked))
    return Choice(best, f"{word} mean {_judged(best)}, {among}", rule, len(ranked))


def within_noise(evaluations: Iterable[Evaluation], direction: str) -> list[Evaluation]:
    """Those comparable with the best one and within its standard error, the best first: what the rule may choose."""
    ranked = best_first(comparable(evaluations), direction)
    if not ranked:
        return []
    reach = ranked[0].score(direction) + (ranked[0].standard_error or 0.0)
    return [evaluation for evaluation in ranked if evaluation.score(direction) <= reach]


def _simplicity(evaluation: Evaluation) -> tuple[float, float]:
    sizes: Sequence[float | None] = (evaluation.model_bytes, evaluation.fit_seconds)
    first, second = (math.inf if size is None else size for size in sizes)
    return first, second


def _judged(evaluation: Evaluation) -> str:
    error = evaluation.standard_error
    noise = f" ± {error:.2g}" if error is not None else ""
    return f"{evaluation.metric} {evaluation.mean:.6g}{noise} over {evaluation.over()}"


def _simpler(simplest: Evaluation, best: Evaluation) -> str:
    if simplest.model_bytes is not None and best.model_bytes is not None and simplest.model_bytes < best.model_bytes:
        return f", model {_kilobytes(simplest.model_bytes)} instead of {_kilobytes(best.model_bytes)}"
    if simplest.fit_seconds is not None and best.fit_seconds is not None:
        return f", fitted in {simplest.fit_seconds:.2g} s instead of {best.fit_seconds:.2g} s"
    return ""


def _kilobytes(count: float) -> str:
    return f"{count / 1000:,.3g} kB" if count < 1_000_000 else f"{count / 1_000_000:,.3g} MB"
