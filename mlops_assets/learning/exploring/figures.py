"""Pictures of a set of evaluations; each says in its title what is good. PNG bytes, drawn off screen."""

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.learning.canvas import ACCENT, AS_IT_IS, INK, as_name, canvas, png
from mlops_assets.learning.evaluation import Evaluation
from mlops_assets.learning.exploring.points import Points, best_so_far

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 12
MOST_LINES = 150
MOST_NAMED = 12
MOST_SHOWN = 15
COLUMNS = 3
LEVELS = 12
LONGEST_CHOICE = 16
LONGEST_LINE = 64
POWERS_ONLY_FROM = 100
# Dark is good, whichever way is better.
GOOD_LOW, GOOD_HIGH = "viridis", "viridis_r"


def history(points: Points) -> bytes:
    """The value of each configuration in the order they were run, with its noise, and the best so far."""
    made, (axes,) = canvas(8.0, 3.8, fixed=True)
    places = range(1, len(points.values) + 1)
    errors = [evaluation.standard_error or 0.0 for evaluation in points.evaluations]
    if any(errors):
        axes.errorbar(places, points.values, yerr=errors, fmt="none", ecolor="0.8", elinewidth=1.0)
    axes.scatter(places, points.values, s=18, color=INK, alpha=0.7, linewidths=0, zorder=2, label="configuration")
    axes.step(places, best_so_far(points.values, points.direction), where="post", color=ACCENT, label="best so far")
    _focus(axes, points)
    axes.set(xlabel="configurations, oldest first")
    axes.set_ylabel(_said(points), **AS_IT_IS)
    axes.legend(loc="best", frameon=False, fontsize=8)
    return png(made)


def importance(shares: dict[str, float]) -> bytes:
    """A bar for each parameter."""
    shown = list(shares.items())[:MOST_SHOWN][::-1]
    made, (axes,) = canvas(7.0, 1.0 + 0.32 * len(shown))
    axes.barh(range(len(shown)), [share for _, share in shown], color=INK, height=0.65)
    axes.set_yticks(range(len(shown)), [as_name(name) for name, _ in shown], **AS_IT_IS)
    for place, (_, share) in enumerate(shown):
        axes.text(share, place, f" {share:.0%}", va="center", fontsize=8)
    axes.set(xlim=(0.0, 1.1 * max(share for _, share in shown) or 1.0), xlabel="share of importance")
    return png(made)


def slices(points: Points, names: Sequence[str]) -> bytes:
    """The value over each parameter, coloured by when: late ones are dark."""
    shown = list(names)[:MOST_PANELS]
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    made, panels = canvas(3.6 * columns, 2.9 * rows, columns, rows, fixed=True)
    when = list(range(len(points.values)))
    for place, (axes, name) in enumerate(zip(panels, shown, strict=False)):
        x, choices = points.places(name)
        axes.scatter(_spread(x, choices), points.values, s=14, c=when, cmap="Blues", vmin=-len(when) / 2, linewidths=0)
        _scale(axes, points, name, choices)
        _focus(axes, points)
        if place % columns == 0:
            axes.set_ylabel(_said(points), fontsize=8, **AS_IT_IS)
        else:  # the panels of a row have one scale
            axes.tick_params(labelleft=False)
            axes.set_ylim(panels[place - 1].get_ylim())
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return png(made)


def contour(points: Points, one: str, other: str) -> bytes:
    """The value over two parameters, and between numbers what lies in between; dark is good."""
    made, (axes,) = canvas(6.4, 5.0)
    (x, x_names), (y, y_names) = points.places(one), points.places(other)
    colours = GOOD_HIGH if points.direction == "maximize" else GOOD_LOW
    low, high = _middle(points)
    limits: dict[str, Any] = {"cmap": colours, "vmin": low, "vmax": high}
    if x_names is None and y_names is None:
        _between(axes, points, (one, x), (other, y), limits)
    dots = axes.scatter(
        _spread(x, x_names), _spread(y, y_names), c=points.values, s=26, edgecolors="white", linewidths=0.5, **limits
    )
    best = points.ranks[0]
    axes.scatter([x[best]], [y[best]], s=110, facecolors="none", edgecolors=ACCENT, linewidths=1.6, label="best")
    made.colorbar(dots, ax=axes, shrink=0.85).set_label(as_name(points.metric), **AS_IT_IS)
    _scale(axes, points, one, x_names)
    _scale(axes, points, other, y_names, vertical=True)
    axes.legend(loc="best", frameon=False, fontsize=8)
    return png(made)


def parallel(points: Points, names: Sequence[str]) -> bytes:
    """A line for each configuration through its parameters to its value; dark is good, and drawn on top."""
    shown = list(names)[:MOST_PANELS]
    made, (axes,) = canvas(max(6.0, 1.5 * (len(shown) + 1)), 4.2)
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    colour = colormaps["viridis_r"]
    heights = [_heights(points, name) for name in shown]
    low, high = _middle(points)
    heights.append([min(max((value - low) / (high - low), 0.0), 1.0) for value in points.values])
    best_first = points.ranks
    # Of many configurations the best ones, and some of all others: more lines are one blot.
    stride = max(1, (len(best_first) - MOST_LINES) // MOST_LINES)
    ranks = sorted({*range(min(MOST_LINES, len(best_first))), *range(0, len(best_first), stride)}, reverse=True)
    goodness = [1.0 - rank / max(1, len(best_first) - 1) for rank in ranks]
    lines = [[(at, column[best_first[rank]]) for at, column in enumerate(heights)] for rank in ranks]
    colours = [colour(good, alpha=0.25 + 0.6 * good) for good in goodness]
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=1.1))
    axes.plot(range(len(heights)), [column[best_first[0]] for column in heights], color=ACCENT, linewidth=2.0)
    ticks = [*shown, points.metric]
    axes.set_xticks(range(len(ticks)), [as_name(name) for name in ticks], rotation=20, ha="right", **AS_IT_IS)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for place, (lower, upper) in enumerate([*(_ends(points, name) for name in shown), (f"{low:.4g}", f"{high:.4g}")]):
        axes.axvline(place, color="0.6", linewidth=0.8, zorder=0)
        axes.text(place, -0.04, lower, ha="center", va="top", fontsize=7, **AS_IT_IS)
        axes.text(place, 1.04, upper, ha="center", va="bottom", fontsize=7, **AS_IT_IS)
    axes.set_ylim(-0.12, 1.12)
    axes.set_title("the best one is orange", fontsize=9)
    return png(made)


def distribution(points: Points) -> bytes:
    """The runs of the best configurations over folds and seeds: is one better, or do the folds differ?"""
    shown = [points.evaluations[place] for place in points.ranks[:MOST_SHOWN]]
    made, (axes,) = canvas(8.0, 1.2 + 0.34 * len(shown))
    lowest_first = list(enumerate(reversed(shown)))
    values = [value for _, evaluation in lowest_first for value in evaluation.values]
    places = [place for place, evaluation in lowest_first for _ in evaluation.values]
    axes.plot(values, places, "o", color=INK, alpha=0.45, markersize=4.5, linewidth=0)
    means, errors = zip(*((one.mean, one.standard_error or 0.0) for _, one in lowest_first), strict=True)
    axes.errorbar(means, range(len(shown)), xerr=errors, fmt="D", color=ACCENT, markersize=4, capsize=3)
    names = [_named(points, evaluation) for evaluation in reversed(shown)]
    axes.set_yticks(range(len(shown)), names, fontsize=7, **AS_IT_IS)
    axes.set_xlabel(_said(points), **AS_IT_IS)
    axes.set_title(f"runs over {shown[0].over()}; mean ± standard error in orange; the best on top", fontsize=9)
    return png(made)


def pareto(
    values: tuple[Sequence[float], Sequence[float]], metrics: tuple[str, str], directions: tuple[str, str]
) -> bytes:
    """Two metrics of each configuration, and those that no other one beats in both."""
    made, (axes,) = canvas(6.4, 5.0)
    x, y = values
    front = sorted(pareto_front(x, y, directions), key=lambda place: x[place])
    axes.scatter(x, y, s=20, color="0.6", linewidths=0, label="configuration")
    axes.plot([x[place] for place in front], [y[place] for place in front], "o-", color=ACCENT, label="front")
    for held, limit, titled, name, direction in (
        (x, axes.set_xlim, axes.set_xlabel, metrics[0], directions[0]),
        (y, axes.set_ylim, axes.set_ylabel, metrics[1], directions[1]),
    ):
        titled(f"{as_name(name)} ({_better(direction)})", **AS_IT_IS)
        low, high = min(held), max(held)
        best_first = sorted(held, reverse=direction == "maximize")
        usual = best_first[int(0.9 * (len(held) - 1))]
        if len(held) >= 10 and abs(best_first[-1] - best_first[0]) > 5 * (abs(usual - best_first[0]) or math.inf):
            low, high = min(best_first[0], usual), max(best_first[0], usual)
        margin = 0.05 * (high - low) or 0.5
        limit(low - margin, high + margin)
    axes.legend(loc="best", frameon=False, fontsize=8)
    return png(made)


def pareto_front(one: Sequence[float], other: Sequence[float], directions: tuple[str, str]) -> list[int]:
    """Positions of those that none is at least as good as in both and better in one; in the order given."""
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]
    costs = [(signs[0] * a, signs[1] * b) for a, b in zip(one, other, strict=True)]
    front: list[int] = []
    least = math.inf
    before: tuple[float, float] | None = None
    for cost, place in sorted((cost, place) for place, cost in enumerate(costs)):
        if cost[1] < least or cost == before:
            front.append(place)
            least, before = cost[1], cost
    return sorted(front)


def _between(
    axes: "Axes", points: Points, one: tuple[str, list[float]], other: tuple[str, list[float]], limits: dict[str, Any]
) -> None:
    """Interpolated, where enough points span an area."""
    x, y = (_logged(points, name, values) for name, values in (one, other))
    if len(set(zip(x, y, strict=True))) < MOST_NAMED:
        return
    from matplotlib.tri import Triangulation

    try:
        triangles = Triangulation(x, y).triangles
    except (RuntimeError, ValueError):
        return  # all on one line
    place = Triangulation(one[1], other[1], triangles)
    low, high = limits["vmin"], limits["vmax"]
    values = [min(max(value, low), high) for value in points.values]
    levels = [low + (high - low) * step / LEVELS for step in range(LEVELS + 1)]
    axes.tricontourf(place, values, levels=levels, alpha=0.75, **limits)


def _logged(points: Points, name: str, values: list[float]) -> list[float]:
    moved = [math.log(value) for value in values] if points.is_log(name) else list(values)
    low, high = min(moved), max(moved)
    return [(value - low) / ((high - low) or 1.0) for value in moved]


def _heights(points: Points, name: str) -> list[float]:
    values, choices = points.places(name)
    if choices is not None:
        return [value / max(1, len(choices) - 1) for value in values]
    return _logged(points, name, values)


def _ends(points: Points, name: str) -> tuple[str, str]:
    values, choices = points.places(name)
    if choices is not None:
        return as_name(choices[0])[:LONGEST_CHOICE], as_name(choices[-1])[:LONGEST_CHOICE]
    return f"{min(values):.4g}", f"{max(values):.4g}"


def _scale(axes: "Axes", points: Points, name: str, choices: list[str] | None, *, vertical: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis, titled = (axes.yaxis, axes.set_ylabel) if vertical else (axes.xaxis, axes.set_xlabel)
    titled(as_name(name), **AS_IT_IS)
    if choices is not None:
        shown = [as_name(choice) for choice in choices] if len(choices) <= MOST_NAMED else []
        axis.set_ticks(range(len(shown)), shown, fontsize=7, **AS_IT_IS)
    elif points.is_log(name):
        (axes.set_yscale if vertical else axes.set_xscale)("log")
        values = points.places(name)[0]
        few = max(values) < POWERS_ONLY_FROM * min(values)
        # As few as are read: to draw the eight between two powers of ten would take longer than all the rest.
        axis.set_minor_locator(NullLocator())
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=MOST_NAMED))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif all(isinstance(value, int) for value in points.parameters[name]):
        axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _spread(places: list[float], choices: list[str] | None) -> list[float]:
    """Points of a choice beside each other, the same way each time."""
    if choices is None:
        return places
    chance = random.Random(0)
    return [place + chance.uniform(-0.15, 0.15) for place in places]


def _focus(axes: "Axes", points: Points) -> None:
    """A few very bad configurations may not press the others into a line."""
    values = sorted(points.values, reverse=points.direction == "maximize")
    if len(values) < 10:
        return
    best, usual = values[0], values[int(0.9 * (len(values) - 1))]
    reach = abs(usual - best) or abs(best) * 0.1 or 1.0
    if abs(values[-1] - best) > 3 * reach:
        far = best + (1.5 * reach if usual > best else -1.5 * reach)
        near = best - (0.1 * reach if usual > best else -0.1 * reach)
        axes.set_ylim(min(near, far), max(near, far))
        outside = sum(abs(value - best) > 1.5 * reach for value in values)
        axes.set_title(f"{outside} worse ones lie outside the picture", fontsize=8, color="0.4")


def _middle(points: Points) -> tuple[float, float]:
    """What the best nine tenths span: a few very bad configurations may not take all the colours."""
    best_first = [points.values[place] for place in points.ranks]
    last = best_first[-1] if len(best_first) < 10 else best_first[int(0.9 * (len(best_first) - 1))]
    low, high = min(best_first[0], last), max(best_first[0], last)
    return (low, high) if high > low else (low, low + 1.0)


def _named(points: Points, evaluation: Evaluation) -> str:
    place = points.evaluations.index(evaluation)
    said = ", ".join(f"{as_name(name)} {_short(values[place])}" for name, values in points.parameters.items())
    said = said if len(said) <= LONGEST_LINE else f"{said[: LONGEST_LINE - 3]}..."
    return said or evaluation.run_ids[0][-12:]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else as_name(value)


def _better(direction: str) -> str:
    return "higher is better" if direction == "maximize" else "lower is better"


def _said(points: Points) -> str:
    return f"{as_name(points.metric)} ({_better(points.direction)})"
