"""The pictures that there are of a set of runs, by name; a command line knows them before anything heavy is loaded."""

from typing import Literal, get_args

Kind = Literal["history", "importance", "slice", "contour", "parallel", "distribution", "pareto"]
KINDS: tuple[Kind, ...] = get_args(Kind)
