"""How a classification is drawn: confusion, reliability of probabilities, error rate over time."""

from typing import TYPE_CHECKING, Any

from partitions.metrics import class_label

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes

_MOST_CLASSES = 12
_OTHER = "(other)"


def draw_confusion(axes: "Axes", rows: "pd.DataFrame") -> None:
    """Counts by true and predicted class, shaded by the share of the true class; beyond 12, the rarest are one."""
    import numpy as np

    truth, prediction, labels = _labels(rows)
    counts = np.array([[int(((truth == t) & (prediction == p)).sum()) for p in labels] for t in labels])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    size = 10 if len(labels) <= 4 else 7
    for row, column in np.ndindex(*counts.shape):
        ink = "white" if share[row, column] > 0.6 else "black"
        text = f"{counts[row, column]:,}\n{share[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)
    turn = 45 if any(len(label) > 6 for label in labels) else 0
    axes.set_xticks(range(len(labels)), labels, rotation=turn, ha="right" if turn else "center")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title("rows, and share of the true class", fontsize=9)


def draw_reliability(axes: "Axes", rows: "pd.DataFrame") -> None:
    """Observed over predicted probability, in up to 10 groups of equal size.

    Two classes: of the second; more: of the class that was given the highest probability, whether it is the true one.
    """
    import numpy as np

    columns = [column for column in rows.columns if column.startswith("probability_")]
    names = np.array([class_label(column.removeprefix("probability_")) for column in columns])
    probability = rows[columns].to_numpy(dtype=float)
    truth = rows["truth"].map(class_label).to_numpy()
    if len(columns) <= 2:
        stated, happened, what = probability[:, -1], truth == names[-1], f"class {names[-1]}"
    else:
        stated, happened, what = (
            probability.max(axis=1),
            truth == names[probability.argmax(axis=1)],
            "the likeliest class",
        )
    order = np.argsort(stated, kind="stable")
    groups = [group for group in np.array_split(order, min(10, max(1, len(order) // 10))) if len(group)]
    x, y = [float(stated[group].mean()) for group in groups], [float(happened[group].mean()) for group in groups]
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle="--", label="perfectly reliable")
    axes.plot(x, y, color="#c8501e", marker="o", markersize=4, linewidth=1.2, label="groups of equal size")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"predicted probability of {what}", ylabel="share that happened")
    axes.set_aspect("equal")
    axes.legend(loc="upper left", frameon=False, fontsize=8)


def draw_error_rate(axes: "Axes", when: "np.ndarray[Any, Any]", wrong: "np.ndarray[Any, Any]") -> None:
    """Share of wrong predictions over time, in up to 40 groups of equal size, with the share over all."""
    import numpy as np

    groups = [group for group in np.array_split(np.arange(len(when)), min(40, max(1, len(when) // 25))) if len(group)]
    middle = [float(np.median(when[group])) for group in groups]
    share = [float(wrong[group].mean()) for group in groups]
    axes.plot(middle, share, color="#1f4e79", marker="o", markersize=4)
    axes.axhline(float(wrong.mean()), color="#c8501e", linewidth=1.0, label=f"all rows: {wrong.mean():.1%}")
    axes.set_ylim(0.0, 1.25 * max(share) or 1.0)
    axes.set_ylabel("share of wrong predictions")
    axes.legend(loc="upper left", frameon=False, fontsize=8)


def _labels(rows: "pd.DataFrame") -> "tuple[pd.Series[str], pd.Series[str], list[str]]":
    truth, prediction = rows["truth"].map(class_label), rows["prediction"].map(class_label)
    frequent = truth.value_counts().add(prediction.value_counts(), fill_value=0).sort_values(ascending=False)
    if len(frequent) <= _MOST_CLASSES:
        return truth, prediction, sorted(frequent.index, key=_numbers_first)
    kept = set(frequent.index[: _MOST_CLASSES - 1])
    lumped = [column.where(column.isin(kept), _OTHER) for column in (truth, prediction)]
    return lumped[0], lumped[1], [*sorted(kept, key=_numbers_first), _OTHER]


def _numbers_first(label: str) -> tuple[bool, int, str]:
    """Classes that are whole numbers in the order of numbers: 2 before 10."""
    whole = label.lstrip("-").isdecimal()
    return (not whole, int(label) if whole else 0, label)
