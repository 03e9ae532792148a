"""Every configuration of a space once, in an order that a seed decides."""

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_assets.learning.search.dimensions import Dimensions
from partitions.errors import DeclarationError
from partitions.search_space import Dimension

# Of so many places a list is shuffled; of more, places are drawn until one is new.
SHUFFLED = 100_000


def grid(dimensions: Dimensions, seed: int) -> Iterator[dict[str, Any]]:
    """Complete parameters of every combination, no two the same. Raises DeclarationError where values are uncounted."""
    values = {name: _values(name, dimensions.space.dimensions[name]) for name in dimensions.order}
    seen: set[tuple[tuple[str, Any], ...]] = set()
    for place in _places(math.prod(len(of_one) for of_one in values.values()), random.Random(seed)):
        parameters = _at(place, values, dimensions)
        known = dimensions.known(parameters) or {}
        # Where a condition does not hold, several combinations are one configuration.
        mark = tuple(sorted(known.items()))
        if mark not in seen:
            seen.add(mark)
            yield parameters


def _values(name: str, dimension: Dimension) -> tuple[Any, ...]:
    values = dimension.values()
    if values is None:
        raise DeclarationError("hpo", f"sampler: a grid needs a step for the range of {name!r}")
    return values


def _places(count: int, chance: random.Random) -> Iterator[int]:
    if count <= SHUFFLED:
        order = list(range(count))
        chance.shuffle(order)
        yield from order
        return
    drawn: set[int] = set()
    while len(drawn) < count:
        place = chance.randrange(count)
        if place not in drawn:
            drawn.add(place)
            yield place


def _at(place: int, values: Mapping[str, tuple[Any, ...]], dimensions: Dimensions) -> dict[str, Any]:
    chosen = {}
    for name, of_one in values.items():
        place, position = divmod(place, len(of_one))
        chosen[name] = of_one[position]
    return dimensions.kept(chosen) or dict(dimensions.base)
