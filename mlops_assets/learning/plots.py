"""Pictures and tables of one run's results, for the metadata of its materialisation. PNG bytes, drawn off screen."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.learning.canvas import ACCENT, INK, canvas, png
from mlops_assets.learning.class_plots import draw_confusion, draw_error_rate, draw_reliability
from partitions.metrics import class_label
from partitions.pipeline import Better

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Task = Literal["regression", "classification"]

DPI = 110
_MANY = 3_000
_BINS = 40


def predicted_against_true(
    results: "pd.DataFrame", metrics: Mapping[str, float], task: Task | None = None, target: str = "target"
) -> bytes:
    """Regression: predictions over true values; classification: confusion, and reliability of the probabilities.

    results: columns truth, prediction and probability_<class>; with a column ``split``, its test rows are drawn.
    target: the name that the axes give to what is predicted, with its unit ("arr_delay (minutes)").
    """
    rows = _judged(results)
    if (task or _task(rows)) == "classification":
        reliable = any(column.startswith("probability_") for column in rows.columns)
        figure, axes = _figure(2 if reliable else 1)
        draw_confusion(axes[0], rows)
        if reliable:
            draw_reliability(axes[1], rows)
    else:
        figure, axes = _figure(1)
        _draw_scatter(figure, axes[0], rows, target)
    figure.suptitle(_caption(metrics, len(rows)), fontsize=9)
    return png(figure, DPI)


def residuals_over_time(
    results: "pd.DataFrame", time_column: str, task: Task | None = None, target: str = "target"
) -> bytes:
    """Regression: prediction minus truth over time, with its median and 10 and 90 %; classification: the error rate.

    results: as in ``predicted_against_true``, plus the column ``time_column`` (datetimes, none missing).
    """
    import pandas as pd
    from matplotlib import dates

    rows = _judged(results).sort_values(time_column, kind="stable")
    figure, axes = _figure(1, wide=True)
    moments = pd.to_datetime(rows[time_column], utc=True).dt.tz_localize(None)
    when = dates.date2num(moments.to_numpy())  # type: ignore[no-untyped-call]
    if (task or _task(rows)) == "classification":
        wrong = rows["truth"].map(class_label) != rows["prediction"].map(class_label)
        draw_error_rate(axes[0], when, wrong.to_numpy())
    else:
        residual = rows["prediction"].to_numpy(dtype=float) - rows["truth"].to_numpy(dtype=float)
        _draw_residuals(figure, axes[0], when, residual)
        axes[0].set_ylabel(f"prediction - truth: {target}")
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes[0].xaxis.set_major_locator(locator)
    axes[0].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes[0].set_xlabel(time_column)
    return png(figure, DPI)


def metric_table(
    metrics: Mapping[str, float],
    train: Mapping[str, float],
    baseline: Mapping[str, float],
    better: Mapping[str, Better],
) -> str:
    """A Markdown table, a row per metric: on the test rows, on the train rows, of the baseline, and who is better."""
    words = {"min": "lower", "max": "higher", "zero": "nearer 0"}
    header = ["metric", "better is", "test", "train"] + (["baseline", "model beats baseline"] if baseline else [])
    table = [header, ["---", "---", *("---:" for _ in header[2:])]]
    for name, value in metrics.items():
        line = [name, words[better[name]] if name in better else "", _number(value), _number(train.get(name))]
        if baseline:
            line += [_number(baseline.get(name)), _verdict(value, baseline.get(name), better.get(name))]
        table.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def _verdict(value: float, baseline: float | None, better: Better | None) -> str:
    if baseline is None or better is None:
        return ""
    cost = {"min": lambda x: x, "max": lambda x: -x, "zero": abs}[better]
    gain = cost(baseline) - cost(value)
    word = "yes" if gain > 0 else "no" if gain < 0 else "equal"
    return f"{word}, by {_number(abs(gain))}" if gain else word


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _judged(results: "pd.DataFrame") -> "pd.DataFrame":
    """The test rows, where rows say which they are and some are."""
    if "split" in results.columns:
        test = results[results["split"] == "test"]
        if len(test):
            return test
    return results


def _task(rows: "pd.DataFrame") -> Task:
    """Without being told: probabilities, or truth that is no number, make a classification."""
    import pandas as pd

    if any(column.startswith("probability_") for column in rows.columns):
        return "classification"
    truth = rows["truth"].dtype
    numeric = pd.api.types.is_numeric_dtype(truth) and not pd.api.types.is_bool_dtype(truth)
    return "regression" if numeric else "classification"


def _caption(metrics: Mapping[str, float], rows: int) -> str:
    named = "   ".join(f"{name} {_number(value)}" for name, value in metrics.items())
    return f"{named}\n{rows:,} rows"


def _figure(panels: int, *, wide: bool = False) -> "tuple[Figure, list[Axes]]":
    return canvas(8.0 if wide else 5.6 * panels, 3.8 if wide else 5.0, panels)


def _draw_scatter(figure: "Figure", axes: "Axes", rows: "pd.DataFrame", target: str) -> None:
    import numpy as np

    truth, prediction = rows["truth"].to_numpy(dtype=float), rows["prediction"].to_numpy(dtype=float)
    low, high = _limits(np.concatenate([truth, prediction]))
    _draw_points(figure, axes, truth, prediction, (low, high, low, high))
    axes.plot([low, high], [low, high], color=ACCENT, linewidth=1.2, label="prediction = truth")
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=f"true {target}", ylabel=f"predicted {target}")
    axes.set_aspect("equal")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    outside = int(((truth < low) | (truth > high) | (prediction < low) | (prediction > high)).sum())
    if outside:
        axes.set_title(f"{outside:,} rows lie outside the picture", fontsize=8, color="0.4")


def _draw_residuals(
    figure: "Figure", axes: "Axes", when: "np.ndarray[Any, Any]", residual: "np.ndarray[Any, Any]"
) -> None:
    import numpy as np

    low, high = _limits(residual)
    first, last = float(when[0]), float(when[-1])
    if first == last:
        first, last = first - 0.5, last + 0.5
    _draw_points(figure, axes, when, residual, (first, last, low, high))
    parts = [part for part in np.array_split(np.arange(len(when)), min(_BINS, max(1, len(when) // 20))) if len(part)]
    if len(parts) > 1:
        middle = [float(np.median(when[part])) for part in parts]
        tenth, median, ninetieth = np.array([np.percentile(residual[part], [10, 50, 90]) for part in parts]).T
        axes.plot(middle, median, color=ACCENT, linewidth=1.6, label="median")
        axes.plot(middle, tenth, color=ACCENT, linewidth=1.0, linestyle="--", label="10 and 90 %")
        axes.plot(middle, ninetieth, color=ACCENT, linewidth=1.0, linestyle="--")
        axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    axes.axhline(0.0, color="0.3", linewidth=0.8)
    axes.set(xlim=(first, last), ylim=(low, high))
    outside = int(((residual < low) | (residual > high)).sum())
    if outside:
        axes.set_title(f"{outside:,} rows lie outside the picture", fontsize=8, color="0.4")


def _draw_points(
    figure: "Figure",
    axes: "Axes",
    x: "np.ndarray[Any, Any]",
    y: "np.ndarray[Any, Any]",
    extent: tuple[float, float, float, float],
) -> None:
    """Points while they can be told apart, else the count of points per cell."""
    if len(x) <= _MANY:
        axes.scatter(x, y, s=14, color=INK, alpha=0.5, linewidths=0)
        return
    cells = axes.hexbin(x, y, gridsize=60, extent=extent, bins="log", mincnt=1, cmap="Blues", linewidths=0)
    figure.colorbar(cells, ax=axes, label="rows per cell", shrink=0.85)


def _limits(values: "np.ndarray[Any, Any]") -> tuple[float, float]:
    """What the middle 99.8 % span, and a margin: a few far values may not press the others into a line."""
    import numpy as np

    low, high = (float(value) for value in np.percentile(values, [0.1, 99.9]))
    if len(values) < 1_000:
        low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or max(1.0, abs(high) * 0.1)
    return low - margin, high + margin
