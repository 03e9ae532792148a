"""What a set of runs says of its parameters, for a notebook, a terminal, a page and the metadata of an asset."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.canvas import Figure
from mlops_assets.learning.evaluation import Evaluation
from mlops_assets.learning.exploring import figures
from mlops_assets.learning.exploring.importance import Method, importances
from mlops_assets.learning.exploring.points import Points, points
from mlops_assets.tracking.compare.html import page, report
from mlops_assets.tracking.compare.sections import Section, as_text
from mlops_assets.tracking.evaluations import evaluations, weighed
from mlops_assets.tracking.exploring.kinds import KINDS
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import MlopsError, UnknownName, nearest
from partitions.hpo import Direction
from partitions.search_space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

COSTS = ("fit_seconds", "model_bytes")
SHOWN = 20
Look = Callable[[str, Sequence[Evaluation]], Sequence[float | None]]
DIRECTIONS: dict[str, Direction] = {"min": "minimize", "max": "maximize"}


class Exploration:
    """What ``p.explore("AA")`` returns. ``table``: a row per configuration, the best first. Every picture is a Figure
    with ``png``; in a notebook the whole is a report.

    ``what``: whose runs they are. ``better``: which way each metric is better, as the pipeline declares ("min", "max",
    "zero"). ``look``: the values of another metric or cost of these evaluations, None where one has none.
    """

    def __init__(self, what: str, held: Points, metric: str, better: Mapping[str, str], look: Look) -> None:
        self.what = what
        self.points = held
        self.metric = metric
        self.better = better
        self._look = look
        self._shares: dict[Method, dict[str, float]] = {}
        self._drawn: dict[tuple[str, tuple[str, ...]], Figure] = {}

    @cached_property
    def table(self) -> "pd.DataFrame":
        """A row per configuration, the best first: mean, noise, parameters that differ, code, run ids."""
        import pandas as pd

        held = self.points
        rows: list[dict[str, Any]] = []
        for place in held.ranks:
            one = held.evaluations[place]
            rows.append(
                {
                    "subproject": one.subproject,
                    self.metric: one.mean,
                    "standard_error": one.standard_error,
                    "runs": one.n,
                    **{f"params.{name}": values[place] for name, values in held.parameters.items()},
                    "code_version": one.code_version,
                    "data_version": one.data_version,
                    "run_ids": list(one.run_ids),
                }
            )
        return pd.DataFrame(rows)

    def importances(self, method: Method = "ped-anova") -> dict[str, float]:
        """The share of each parameter, the most important first (see ``learning.exploring.importance``)."""
        # Asked for by several pictures; of a thousand configurations it takes half a second each time.
        if method not in self._shares:
            self._shares[method] = importances(self.points, method)
        return dict(self._shares[method])

    @cached_property
    def _important(self) -> list[str]:
        """All parameters that differ, the most important first."""
        return list(dict.fromkeys([*self.importances(), *self.points.parameters]))

    def history(self) -> Figure:
        """The value of each configuration in the order they were run, and the best so far."""
        return Figure(f"{self.metric} of each configuration, as they were run", figures.history(self._some(1)))

    def importance(self, method: Method = "ped-anova") -> Figure:
        """How much each parameter matters."""
        shares = self.importances(method)
        if not shares:
            raise MlopsError(f"{self.what}: importances need 4 configurations that differ in parameters and values")
        return Figure(f"importance of each parameter for {self.metric}", figures.importance(shares))

    def slice(self, *names: str) -> Figure:
        """The value over each parameter; default all that differ, the most important first."""
        return Figure(f"{self.metric} over each parameter", figures.slices(self._some(2), self._named(names, 1)))

    def contour(self, one: str | None = None, other: str | None = None) -> Figure:
        """The value over two parameters; default the two most important ones."""
        chosen = self._named([name for name in (one, other) if name is not None], 2)
        first, second = [*chosen, *(name for name in self._important if name not in chosen)][:2]
        return Figure(f"{self.metric} over {first} and {second}", figures.contour(self._some(2), first, second))

    def parallel(self, *names: str) -> Figure:
        """A line for each configuration through its parameters to its value."""
        return Figure(f"configurations and their {self.metric}", figures.parallel(self._some(2), self._named(names, 1)))

    def distribution(self) -> Figure:
        """The runs of the best configurations over folds and seeds."""
        return Figure(f"{self.metric} of the best configurations, run by run", figures.distribution(self._some(1)))

    def pareto(self, other: str | None = None) -> Figure:
        """Two metrics of each configuration and the front of them; default the next one that is declared.

        Beside metrics there are what a configuration costs: ``fit_seconds`` and ``model_bytes``.
        """
        other = other or next((name for name in self.better if name != self.metric), "fit_seconds")
        both = self.both(other)
        if not both:
            raise MlopsError(f"{self.what}: no run has {self.metric} and {other}")
        directions = self.points.direction, direction_to(other, self.better)
        x, y = zip(*both, strict=True)
        return Figure(f"{self.metric} and {other}", figures.pareto((x, y), (self.metric, other), directions))

    def both(self, other: str) -> list[tuple[float, float]]:
        """The mean of the metric and of another one (or of a cost) of each configuration that has both."""
        ours = self._some(1).evaluations
        theirs = list(self._look(other, ours))
        if self.better.get(other) == "zero":
            theirs = [None if value is None else abs(value) for value in theirs]
        return [(one.mean, value) for one, value in zip(ours, theirs, strict=True) if value is not None]

    def figure(self, kind: str, names: Sequence[str] = ()) -> Figure:
        """A picture by the name of its kind; ``names``: the parameters, or the metric, that it is about."""
        if kind not in KINDS:
            raise MlopsError(f"--plot {nearest(kind, KINDS, noun='plot')}; there are {', '.join(KINDS)}")
        if kind == "contour" and len(names) > 2:
            raise MlopsError(f"a contour is over two parameters, not over {', '.join(names)}")
        about = tuple(names) if kind in ("slice", "contour", "parallel", "pareto") else ()
        # A report and the metadata beside it show the same picture.
        if (kind, about) not in self._drawn:
            self._drawn[kind, about] = getattr(self, kind)(*about)
        return self._drawn[kind, about]

    def figures(self) -> list[Figure]:
        """Every picture there is something to draw for."""
        return [self.figure(kind) for kind in self.able()]

    def able(self) -> list[str]:
        """The kinds of pictures there is something to draw for; not pareto, which is of two metrics."""
        held = self.points
        if not held.evaluations:
            return []
        several = len(held.evaluations) > 1 and bool(held.parameters)
        kinds = {
            "history": True,
            "importance": several and bool(self.importances()),
            "slice": several,
            "parallel": several,
            "contour": several and len(held.parameters) > 1,
            "distribution": max(one.n for one in held.evaluations) > 1,
        }
        return [kind for kind, able in kinds.items() if able]

    def verdict(self) -> str:
        """The best configuration in one sentence."""
        held = self.points
        if not held.evaluations:
            return f"{self.what}: no run that ended has {self.metric}"
        best = held.evaluations[held.ranks[0]]
        noise = f" ± {best.standard_error:.2g}" if best.standard_error is not None else ""
        word = "highest" if held.direction == "maximize" else "lowest"
        count = len(held.evaluations)
        of = f"{count} configurations over {best.over()}" if count > 1 else f"one configuration over {best.over()}"
        return f"{self.what}: {of}; {word} mean {held.metric} {best.mean:.5g}{noise}"

    def sections(self, limit: int = SHOWN) -> list[Section]:
        """The tables of a report."""
        import pandas as pd

        if not self.points.evaluations:
            return []
        held = self.table.head(limit).drop(columns=["data_version"])
        held = held.assign(code_version=[code[:12] for code in held["code_version"]])
        held = held.assign(run_ids=[ids[0] for ids in held["run_ids"]]).rename(columns={"run_ids": "first run"})
        held.columns = [str(name).removeprefix("params.") for name in held.columns]
        said = f"the first {limit} of {len(self.table)}" if len(self.table) > limit else ""
        found = [Section("Best configurations", held, said)]
        shares = self.importances()
        if shares:
            rows = [(name, f"{share:.1%}") for name, share in shares.items()]
            found.append(Section("Importance of parameters", pd.DataFrame(rows, columns=["parameter", "share"])))
        return found

    def page(self, title: str = "Exploration of runs") -> str:
        """The report as one HTML page; it loads nothing from anywhere."""
        return page(title, self._repr_html_())

    def __repr__(self) -> str:
        return f"<exploration of {self.verdict()}>"

    def __str__(self) -> str:
        return as_text(self.verdict(), self.sections(), self.points.notes)

    def _repr_html_(self) -> str:
        return report(self.verdict(), self.sections(), self.figures(), self.points.notes)

    def _some(self, least: int) -> Points:
        if len(self.points.evaluations) < least:
            raise MlopsError(f"{self.what}: this needs {least} configurations with {self.metric} that compare")
        return self.points

    def _named(self, names: Sequence[str], least: int) -> list[str]:
        known = self.points.parameters
        unknown = next((name for name in names if name.removeprefix("params.") not in known), None)
        if unknown is not None:
            raise UnknownName(nearest(unknown, known, noun="parameter that differs between these runs"))
        if len(known) < least:
            raise MlopsError(f"{self.what}: this needs {least} parameters that differ; these runs have {len(known)}")
        return [name.removeprefix("params.") for name in names] or self._important


def explored(
    tracker: Tracker, query: RunQuery, metric: str, better: Mapping[str, str], space: SearchSpace | None = None
) -> Exploration:
    """The runs that ``query`` asks for. Raises UnknownName for a metric that no run has."""
    found = evaluations(tracker, metric, query)

    def look(other: str, some: Sequence[Evaluation]) -> list[float | None]:
        if other in COSTS:
            return costs(other, weighed(tracker, some))
        known = {one.run_ids: one.mean for one in evaluations(tracker, other, query)}
        return [known.get(one.run_ids) for one in some]

    keys = list(dict.fromkeys(one.subproject for one in found)) or list(query.subprojects or ())
    shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    what = f"{tracker.project}/{shown}" if shown else tracker.project
    return Exploration(what, points(found, metric, direction_to(metric, better), space), metric, better, look)


def costs(name: str, some: Sequence[Evaluation]) -> list[float | None]:
    """What is known of ``fit_seconds`` or ``model_bytes``; of anything else, nothing."""
    return [getattr(one, name) if name in COSTS else None for one in some]


def direction_to(metric: str, better: Mapping[str, str]) -> Direction:
    """``minimize`` or ``maximize``; a cost, and a metric that is best near zero, is to be small."""
    return DIRECTIONS.get(better.get(metric, "min"), "minimize")
