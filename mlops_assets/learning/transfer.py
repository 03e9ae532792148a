"""What other runs can teach a search: configurations that are worth trying first. Only configurations travel between
subprojects, never results."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.learning.evaluation import Evaluation, best_first, comparable
from partitions.search_space import Fixed, Float, Int, SearchSpace
from partitions.values import canonical_json

# How many common configurations weigh as much as the tags do.
TAGS_WEIGH = 3
FEWEST_IN_COMMON = 3
# The best configurations of each sibling that are offered, and the share of the budget that all offers may take.
BEST_OF_EACH = 3
SHARE = 0.5
Parameters = dict[str, Any]
Offer = tuple[str, list[Parameters]]


@dataclass(frozen=True)
class Sibling:
    """What is known of another subproject. chosen: what is considered best of it, if anything was chosen."""

    tags: Mapping[str, str]
    evaluations: Sequence[Evaluation]
    chosen: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Goal:
    """A search that may try configurations from elsewhere first. own: what is known of its own subproject."""

    space: SearchSpace
    base: Mapping[str, Any]
    direction: str
    tags: Mapping[str, str]
    own: Sequence[Evaluation] = ()


def offered_by(goal: Goal, siblings: Mapping[str, Sibling]) -> list[Offer]:
    """The best configurations of each sibling as points of the search, the most similar sibling first."""
    alike = {key: similarity((goal.tags, one.tags), goal.own, one.evaluations) for key, one in siblings.items()}
    offers = []
    for key in sorted(siblings, key=lambda key: (-alike[key], key)):
        sibling = siblings[key]
        found = [dict(sibling.chosen)] if sibling.chosen is not None else []
        found += best_configurations(sibling.evaluations, goal.direction, BEST_OF_EACH)
        if found:
            points = [fitted(goal.space, goal.base, configuration) for configuration in found]
            offers.append((f"sibling:{key}", points[:BEST_OF_EACH]))
    return offers


def to_try(offers: Sequence[Offer], known: Iterable[Mapping[str, Any]], trials: int) -> list[tuple[Parameters, str]]:
    """What is tried first, and where each comes from: the first of each source in their order, then the second of each;
    none twice, none that is known, and not more than a share of the budget."""
    marks = {canonical_json(dict(configuration)) for configuration in known}
    worth = [one for one in in_turn(offers) if canonical_json(one[0]) not in marks]
    return worth[: max(1, int(trials * SHARE))]


def within(space: SearchSpace, base: Mapping[str, Any], parameters: Mapping[str, Any]) -> Parameters | None:
    """``parameters`` if they are a point of this search, else None.

    A parameter that is not sampled has to be as in ``base``, and so has one whose condition does not hold. One that
    the parameters lack, because it was added later, has its default: what ``base`` says.
    """
    if parameters.keys() - base.keys():
        return None
    point = {**base, **parameters}
    fits = all(
        space.dimensions[name].contains(point[name]) if _active(space, name, point) else _equal(point[name], base[name])
        for name in space.names
        if name in base
    )
    others = all(_equal(value, base[name]) for name, value in point.items() if name not in space.dimensions)
    return point if fits and others else None


def fitted(space: SearchSpace, base: Mapping[str, Any], parameters: Mapping[str, Any]) -> Parameters:
    """The point of this search that is nearest to ``parameters``, which may be of other code, space or subproject."""
    point = dict(base)
    for name in space.in_order():
        dimension = space.dimensions[name]
        if isinstance(dimension, Fixed):
            point[name] = dimension.value
        elif _active(space, name, point):
            given = parameters.get(name, base.get(name))
            point[name] = given if dimension.contains(given) else _nearest(dimension, given, base.get(name))
    return point


def similarity(
    tags: tuple[Mapping[str, str], Mapping[str, str]], own: Iterable[Evaluation], other: Iterable[Evaluation]
) -> float:
    """How alike two subprojects are, at most 1: by the share of tags they have in common and, the more configurations
    both have judged, by how alike they ranked them (Kendall's tau)."""
    ours, theirs = (set(one.items()) for one in tags)
    alike = len(ours & theirs) / len(ours | theirs) if ours | theirs else 0.0
    common, tau = agreement(own, other)
    return (TAGS_WEIGH * alike + common * tau) / (TAGS_WEIGH + common)


def agreement(own: Iterable[Evaluation], other: Iterable[Evaluation]) -> tuple[int, float]:
    """How many configurations two subprojects have both judged, and how alike they ranked them, from -1 to 1.

    Only order counts: a result of one subproject is never set against one of another. Too few are none.
    """
    from scipy.stats import kendalltau

    ours, theirs = (_means(one) for one in (own, other))
    both = sorted(ours.keys() & theirs.keys())
    if len(both) < FEWEST_IN_COMMON:
        return 0, 0.0
    first, second = ([means[key] for key in both] for means in (ours, theirs))
    if len(set(first)) == 1 or len(set(second)) == 1:
        return 0, 0.0
    return len(both), float(kendalltau(first, second).statistic)


def in_turn(offers: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> list[tuple[Parameters, str]]:
    """The first configuration of each source in their order, then the second of each ...: each once."""
    taken: dict[str, tuple[Parameters, str]] = {}
    for offered in itertools.zip_longest(*(configurations for _, configurations in offers)):
        for (origin, _), configuration in zip(offers, offered, strict=True):
            if configuration is not None:
                taken.setdefault(canonical_json(dict(configuration)), (dict(configuration), origin))
    return list(taken.values())


def best_configurations(evaluations: Iterable[Evaluation], direction: str, most: int) -> list[Parameters]:
    """The parameters of the best of those that were judged alike."""
    return [dict(evaluation.parameters) for evaluation in best_first(comparable(evaluations), direction)[:most]]


def _means(evaluations: Iterable[Evaluation]) -> dict[str, float]:
    return {one.key: one.mean for one in comparable(evaluations)}


def _active(space: SearchSpace, name: str, point: Mapping[str, Any]) -> bool:
    """Whether the parameter is sampled where the others are as in ``point``."""
    conditions = space.dimensions[name].when or {}
    return all(
        _active(space, other, point) and any(_equal(point.get(other), value) for value in values)
        for other, values in conditions.items()
        if other in space.dimensions
    )


def _nearest(dimension: Any, given: Any, default: Any) -> Any:
    """A number outside a range is its bound, one between two steps the lower of them; anything else the default."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not isinstance(dimension, Float | Int) or not number:
        return default if dimension.contains(default) else (dimension.values() or (dimension.low,))[0]
    clipped = min(max(given, dimension.low), dimension.high)
    if dimension.step is not None:
        clipped = dimension.low + int((clipped - dimension.low) / dimension.step + 1e-9) * dimension.step
    return int(clipped) if isinstance(dimension, Int) else float(clipped)


def _equal(one: Any, other: Any) -> bool:
    """Equal as JSON is: true is not 1, and 1.0 is not 1, since digests tell them apart."""
    return canonical_json(one) == canonical_json(other)
