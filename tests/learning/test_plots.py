import io
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.learning.class_plots import draw_confusion
from mlops_assets.learning.plots import metric_table, predicted_against_true, residuals_over_time


def regression(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    truth = random.normal(10, 20, rows)
    return pd.DataFrame(
        {
            "key": np.arange(rows),
            "split": np.where(np.arange(rows) % 4 == 0, "test", "train"),
            "time": pd.Timestamp("2013-01-01") + pd.to_timedelta(np.arange(rows), unit="h"),
            "truth": truth,
            "prediction": truth + random.normal(0, 5, rows),
        }
    )


def classification(rows: int, classes: int) -> pd.DataFrame:
    frame = regression(rows)
    random = np.random.default_rng(1)
    names = [f"class{number}" for number in range(classes)]
    likely = random.dirichlet(np.ones(classes), rows)
    frame["truth"] = [random.choice(names, p=row) for row in likely]
    frame["prediction"] = [names[position] for position in likely.argmax(axis=1)]
    return frame.assign(**{f"probability_{name}": likely[:, position] for position, name in enumerate(names)})


def pixels(png: bytes) -> Any:
    """(height, width, 3) of a PNG; an image that cannot be read raises."""
    from PIL import Image

    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


CASES = {
    "few points": regression(80),
    "many points": regression(20_000),
    "one row": regression(1),
    "constant": regression(40).assign(truth=1.0, prediction=1.0),
    "whole numbers": regression(60).astype({"truth": int, "prediction": int}),
    "two classes": classification(300, 2),
    "many classes": classification(600, 20),
    "one classified row": classification(1, 2),
    "no probabilities": classification(200, 3)[["key", "split", "time", "truth", "prediction"]],
}


@pytest.mark.parametrize("results", CASES.values(), ids=CASES.keys())
def test_every_kind_of_results_gives_two_pictures_with_something_drawn(results: pd.DataFrame) -> None:
    for png in (predicted_against_true(results, {"mae": 4.5}), residuals_over_time(results, "time")):
        image = pixels(png)
        assert image.shape[0] > 300 and image.shape[1] > 400
        colours = np.unique(image.astype(np.int32) @ np.array([65_536, 256, 1]))
        assert len(colours) > 10


def test_the_test_rows_alone_are_drawn() -> None:
    results = regression(100)
    moved = results.assign(prediction=results["prediction"].where(results["split"] == "test", 1_000.0))
    changed = results.assign(prediction=results["prediction"] + 1.0)

    assert predicted_against_true(moved, {}) == predicted_against_true(results, {})
    assert predicted_against_true(changed, {}) != predicted_against_true(results, {})
    assert residuals_over_time(moved, "time") == residuals_over_time(results, "time")


def test_classes_that_are_numbers_stand_in_the_order_of_numbers() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    draw_confusion(axes, pd.DataFrame({"truth": [10, 2, 1, -3], "prediction": [2, 2, 1, 1]}))

    assert [label.get_text() for label in axes.get_yticklabels()] == ["-3", "1", "2", "10"]
    assert [text.get_text() for text in axes.texts][:2] == ["0\n0%", "1\n100%"]


def test_beyond_twelve_classes_the_rarest_are_drawn_as_one() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    names = [f"c{number:02d}" for number in range(20) for _ in range(20 - number)]
    draw_confusion(axes, pd.DataFrame({"truth": names, "prediction": names}))

    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [*(f"c{number:02d}" for number in range(11)), "(other)"]


def test_the_order_of_the_rows_does_not_change_the_residuals() -> None:
    results = regression(200)

    assert residuals_over_time(results.sample(frac=1.0, random_state=1), "time") == residuals_over_time(results, "time")


def test_numbers_that_are_classes_are_drawn_as_classes_when_told_so() -> None:
    results = regression(200).assign(truth=[0, 1] * 100, prediction=[0, 1, 1, 1] * 50)

    told, guessed = predicted_against_true(results, {}, task="classification"), predicted_against_true(results, {})

    assert told != guessed


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_times_with_a_zone_are_drawn(zone: str) -> None:
    results = regression(100)

    pixels(residuals_over_time(results.assign(time=results["time"].dt.tz_localize(zone)), "time"))


def test_drawing_needs_no_screen_and_leaves_no_pyplot_state() -> None:
    script = (
        "import sys, pandas as pd\n"
        "from mlops_assets.learning.plots import predicted_against_true\n"
        "assert 'matplotlib' not in sys.modules and 'pandas' in sys.modules\n"
        "predicted_against_true(pd.DataFrame({'truth': [1.0, 2.0], 'prediction': [1.0, 2.5]}), {})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stderr


def test_the_metric_table_says_whether_the_model_beats_its_baseline() -> None:
    table = metric_table(
        {"mae": 10.0, "r2": 0.1, "bias": -2.0, "rows": 12_345.6},
        {"mae": 8.0, "r2": 0.5, "bias": 0.0},
        {"mae": 12.5, "r2": 0.3, "bias": 2.0},
        {"mae": "min", "r2": "max", "bias": "zero"},
    )

    assert table.splitlines() == [
        "| metric | better is | test | train | baseline | model beats baseline |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| mae | lower | 10 | 8 | 12.5 | yes, by 2.5 |",
        "| r2 | higher | 0.1 | 0.5 | 0.3 | no, by 0.2 |",
        "| bias | nearer 0 | -2 | 0 | 2 | equal |",
        "| rows |  | 12,346 |  |  |  |",
    ]


def test_without_a_baseline_the_table_has_no_columns_for_it() -> None:
    table = metric_table({"mae": 1.0}, {"mae": 0.5}, {}, {"mae": "min"})

    assert table.splitlines()[0] == "| metric | better is | test | train |"
    assert table.splitlines()[2] == "| mae | lower | 1 | 0.5 |"
