"""A difference split into the parts of its causes: Shapley's, which average what each does over all orders.

A combination is the set of causes that are as in the second run; all others are as in the first one. The empty set is
the first run, the full set the second.
"""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

Combination = frozenset[str]
Group = tuple[str, ...]

# Where it is not clear which two causes cannot be told apart, the earlier pair here is taken.
LIKELY = (("code", "data"), ("code", "configuration"), ("data", "configuration"))


def combinations(causes: Collection[str]) -> Iterator[Combination]:
    """All combinations of these causes, 2 to the power of their number: the empty one first, the full one last."""
    names = sorted(causes)
    for size in range(len(names) + 1):
        yield from (frozenset(some) for some in itertools.combinations(names, size))


def coefficients(groups: Sequence[Group], group: Group) -> dict[Combination, float]:
    """What to multiply the value of each combination with, so that the sum is the part of ``group``.

    Causes of one group change together. Over all groups the coefficients of the full combination add up to 1, those of
    the empty one to -1 and all others to 0: that is why parts add up to the whole difference.
    """
    others = [other for other in groups if other != group]
    orders = math.factorial(len(groups))
    found: dict[Combination, float] = {}
    for size in range(len(others) + 1):
        weight = math.factorial(size) * math.factorial(len(others) - size) / orders
        for some in itertools.combinations(others, size):
            before = frozenset(itertools.chain.from_iterable(some))
            found[before | frozenset(group)] = weight
            found[before] = -weight
    return found


def shapley(groups: Sequence[Group], values: Mapping[Combination, float]) -> dict[Group, float]:
    """The part of each group in ``values[all] - values[none]``. ``values``: of every combination of the groups."""
    return {
        group: math.fsum(weight * values[some] for some, weight in coefficients(groups, group).items())
        for group in groups
    }


def of_groups(groups: Sequence[Group]) -> list[Combination]:
    """The combinations that remain where the causes of a group only change together."""
    return [
        frozenset(itertools.chain.from_iterable(some))
        for size in range(len(groups) + 1)
        for some in itertools.combinations(groups, size)
    ]


def merged(causes: Sequence[str], impossible: Collection[Combination]) -> list[Group]:
    """The causes, with as few as possible put together so that no ``impossible`` combination remains.

    Two causes in one group are never apart, so a combination that holds just one of them falls away. The pair that
    takes away most impossible combinations, and among those the fewest possible ones, is merged first. The empty and
    the full combination are the two runs, and always possible.
    """
    groups: list[Group] = [(cause,) for cause in causes]
    while len(groups) > 1:
        remaining = of_groups(groups)
        left = [some for some in remaining if some in impossible and some and len(some) < len(causes)]
        if not left:
            break
        pairs = list(itertools.combinations(groups, 2))
        worst = max(pairs, key=lambda pair: _gain(pair, left, remaining))
        together = tuple(cause for cause in causes if cause in worst[0] + worst[1])
        groups = [together if group == worst[0] else group for group in groups if group != worst[1]]
    return groups


def _gain(pair: tuple[Group, Group], left: list[Combination], remaining: list[Combination]) -> tuple[float, ...]:
    def parted(some: Combination) -> bool:
        return (pair[0][0] in some) != (pair[1][0] in some)

    taken = sum(parted(some) for some in left)
    lost = sum(parted(some) for some in remaining) - taken
    likely = next((i for i, (a, b) in enumerate(LIKELY) if {a, b} <= {*pair[0], *pair[1]}), len(LIKELY))
    return taken, -lost, -likely
