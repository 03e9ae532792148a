"""The pictures of a comparison: error against error, difference by slice, disagreement over time. Drawn off screen."""

from typing import TYPE_CHECKING, Any

from mlops_assets.learning.canvas import ACCENT, AS_IT_IS, INK, Figure, as_name, canvas, png
from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.compare.row_comparison import RowComparison
from mlops_assets.tracking.compare.row_features import row_features

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

MOST_SLICES = 12
MOST_PAIRS = 3
MOST_POINTS = 3_000
PARTS = 30


def figures(runs: ComparedRuns, rows: RowComparison, slices: "pd.DataFrame") -> list[Figure]:
    """The pictures of the base with each other run, of three at most; one without anything to draw is left out."""
    found = []
    for label in list(rows.judged)[:MOST_PAIRS]:
        judged = rows.judged[label]
        if not judged.any():
            continue
        chosen = rows.frame[judged]
        base = rows.base
        what = "error" if rows.regression else "loss"
        found.append(Figure(f"{what} of {base} against {what} of {label}", _errors(rows, chosen, label)))
        of_run = slices[slices["run"] == label]
        if of_run["interval_low"].notna().any():
            found.append(Figure(f"difference by slice: {label} less {base}", _by_slice(rows, of_run, label)))
        when = _times(runs, chosen)
        if when is not None:
            found.append(Figure(f"disagreement of {base} and {label} over time", _over_time(rows, chosen, when, label)))
    return found


def _errors(rows: RowComparison, chosen: "pd.DataFrame", label: str) -> bytes:
    import numpy as np

    what = "error" if rows.regression else "loss"
    x, y = (chosen[f"{what}_{one}"].to_numpy(dtype=float) for one in (rows.base, label))
    made, axes = _axes(5.6, 5.0)
    both = np.concatenate([x, y])
    low, high = (float(edge) for edge in np.percentile(both, [0.1, 99.9] if len(both) > 1_000 else [0, 100]))
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin
    if len(x) <= MOST_POINTS:
        axes.scatter(x, y, s=14, color=INK, alpha=0.5, linewidths=0)
    else:
        extent = (low, high, low, high)
        cells = axes.hexbin(x, y, gridsize=50, extent=extent, bins="log", mincnt=1, cmap="Blues", linewidths=0)
        made.colorbar(cells, ax=axes, label="rows per cell", shrink=0.85)
    axes.plot([low, high], [low, high], color=ACCENT, linewidth=1.0)
    if rows.regression:
        axes.plot([low, high], [-low, -high], color=ACCENT, linewidth=1.0, linestyle="--")
        axes.set_title(f"above or below both lines {rows.base} is nearer to the truth", fontsize=9)
    else:
        axes.set_title(f"above the line {rows.base} is better", fontsize=9)
    unit = rows.loss if not rows.regression else "prediction - truth"
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=f"{unit}, {rows.base}", ylabel=f"{unit}, {label}")
    axes.set_aspect("equal")
    return png(made)


def _by_slice(rows: RowComparison, slices: "pd.DataFrame", label: str) -> bytes:
    shown = slices[slices["interval_low"].notna()].head(MOST_SLICES).iloc[::-1]
    made, axes = _axes(8.0, 1.2 + 0.32 * len(shown))
    places = range(len(shown))
    middle = shown["difference"].to_numpy(dtype=float)
    low, high = (shown[f"interval_{edge}"].to_numpy(dtype=float) for edge in ("low", "high"))
    reach = [middle - low, high - middle]
    colours = [INK if str(word).endswith(" better") else "0.7" for word in shown["verdict"]]
    axes.barh(places, middle, color=colours, height=0.65)
    axes.errorbar(middle, places, xerr=reach, fmt="none", ecolor="0.25", elinewidth=1.0, capsize=2.5)
    axes.axvline(0.0, color="0.3", linewidth=0.8)
    names = [
        f"{as_name(column)}: {as_name(value)} ({count:,})"
        for column, value, count in zip(shown["column"], shown["slice"], shown["rows"], strict=True)
    ]
    axes.set_yticks(list(places), names, **AS_IT_IS)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel(f"{rows.loss} of {label} less that of {rows.base}: {label} is better to the left; grey is noise")
    return png(made)


def _over_time(rows: RowComparison, chosen: "pd.DataFrame", when: "pd.Series[Any]", label: str) -> bytes:
    import numpy as np
    from matplotlib import dates

    order = np.argsort(when.to_numpy(), kind="stable")
    moments = dates.date2num(when.to_numpy()[order])  # type: ignore[no-untyped-call]
    apart = chosen[f"disagreement_{label}"].to_numpy(dtype=float)[order]
    gain = chosen[f"difference_{label}"].to_numpy(dtype=float)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), min(PARTS, max(1, len(order) // 20))) if len(part)]
    middle = [float(np.median(moments[part])) for part in parts]
    made, axes = _axes(8.0, 3.6)
    marker = "o" if len(parts) < 4 else None
    lines = ((apart, INK, "disagreement"), (gain, ACCENT, f"{rows.loss}: {label} less {rows.base}"))
    for values, colour, name in lines:
        means = [float(values[part].mean()) for part in parts]
        axes.plot(middle, means, color=colour, linewidth=1.6, marker=marker, label=name)
    axes.axhline(0.0, color="0.3", linewidth=0.8)
    axes.legend(loc="best", frameon=False, fontsize=8)
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel(as_name(str(when.name)), **AS_IT_IS)
    return png(made)


def _times(runs: ComparedRuns, chosen: "pd.DataFrame") -> "pd.Series[Any] | None":
    """When each of these rows became known; None where the schema names no time, or a row has none."""
    import pandas as pd

    time = runs.sources.pipeline.schema.time
    if time is None:
        return None
    features = row_features(runs, chosen["key"], time)
    if time not in features or not pd.api.types.is_datetime64_any_dtype(features[time].dtype):
        return None
    when = pd.to_datetime(features[time], utc=True).dt.tz_localize(None)
    return None if when.isna().any() else when


def _axes(width: float, height: float) -> "tuple[Canvas, Axes]":
    made, axes = canvas(width, height)
    return made, axes[0]
