"""A picture of how a metric came from one value to another, cause by cause. PNG bytes, drawn off screen."""

from collections.abc import Sequence

from mlops_assets.learning.canvas import ACCENT, INK, canvas, png
from partitions.pipeline import Better

WORSE = ACCENT
GOOD = "#3a7d44"
PLAIN = "#8a8a8a"


def draw_waterfall(
    metric: str, before: float, steps: Sequence[tuple[str, float, float | None]], better: Better | None = None
) -> bytes:
    """``steps``: cause, its part, and how much the seed's noise is (drawn as a line; None: not known).

    Parts that make the metric better are green, worse ones orange; grey where neither is known.
    """
    figure, (axes,) = canvas(7.0, 1.2 + 0.45 * (len(steps) + 2))
    level, levels = before, [before]
    for row, (_, part, noise) in enumerate(steps, start=1):
        axes.barh(row, part, left=level, height=0.6, color=_colour(level, part, better))
        if noise:
            axes.errorbar(level + part, row, xerr=noise, color="#333333", capsize=3, linewidth=1)
        axes.plot([level, level], [row - 1, row], color=PLAIN, linewidth=0.8, linestyle=":")
        level += part
        levels.append(level)
        axes.annotate(f"{part:+.4g}", (max(level, level - part), row), (6, 6), textcoords="offset points", fontsize=8)
    for row, value in ((0, before), (len(steps) + 1, level)):
        axes.plot([value, value], [row - 0.35, row + 0.35], color=INK, linewidth=3)
        axes.annotate(f"{value:.5g}", (value, row), (6, -3), textcoords="offset points", fontsize=8, color=INK)
    axes.set_yticks(range(len(steps) + 2), ["before", *(cause for cause, *_ in steps), "after"])
    axes.invert_yaxis()
    axes.set_xlabel(metric)
    margin = 0.15 * (max(levels) - min(levels)) or max(abs(before) * 0.05, 1e-9)
    axes.set_xlim(min(levels) - margin, max(levels) + 1.5 * margin)
    return png(figure, dpi=110)


def _colour(level: float, part: float, better: Better | None) -> str:
    if better is None or part == 0:
        return PLAIN
    loss = {"min": part, "max": -part, "zero": abs(level + part) - abs(level)}[better]
    return PLAIN if loss == 0 else WORSE if loss > 0 else GOOD
