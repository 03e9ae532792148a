"""A run done again predicts the same, in any process, with its rows in any order, and leaves no trace of itself."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_info

from mlops_assets.learning.run import execute_run
from partitions.pipeline import Split, SplitSettings
from tests.learning.pipelines_for_runs import Delays, Late, NearestHour, Params, delays, run_of


def test_the_order_of_the_rows_and_their_index_change_nothing() -> None:
    sorted_rows = delays().sort_values("id")
    first = execute_run(run_of(Delays(), sorted_rows))
    second = execute_run(
        run_of(Delays(), delays(seed=0).sample(frac=1.0, random_state=3).set_index("hour", drop=False))
    )

    assert first.predictions_digest == second.predictions_digest
    assert first.split_digest == second.split_digest


def test_another_seed_or_another_parameter_gives_other_predictions() -> None:
    results = [
        execute_run(run_of(Delays())),
        execute_run(run_of(Delays(), seed=8)),
        execute_run(run_of(Delays(), params=Params(max_depth=1))),
    ]

    assert len({result.predictions_digest for result in results}) == 3
    assert len({result.split_digest for result in results}) == 1  # by time: the seed has no part in it


def test_two_processes_give_the_same_predictions(tmp_path: Path) -> None:
    script = tmp_path / "once.py"
    script.write_text(
        "from mlops_assets.learning.run import execute_run\n"
        "from tests.learning.pipelines_for_runs import Delays, Late, run_of\n"
        "print(*(execute_run(run_of(pipeline())).predictions_digest for pipeline in (Delays, Late)))\n"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": "random"}
    there = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True).stdout

    here_too = [execute_run(run_of(pipeline())).predictions_digest for pipeline in (Delays, Late)]
    assert there.split() == here_too


class Noisy(Delays):
    """Draws from the global generators, as careless code does."""

    def build(self, params: Params, seed: int) -> Any:
        random.random()
        return NoisyMean()


class NoisyMean:
    def fit(self, X: pd.DataFrame, y: "pd.Series[float]") -> None:
        self.mean = y.mean() + np.random.normal() + random.random()

    def predict(self, X: pd.DataFrame) -> Any:
        return np.full(len(X), self.mean) + np.random.normal(size=len(X))


def test_code_that_draws_from_the_global_generators_still_repeats_and_leaves_them_as_they_were() -> None:
    random.seed(1)
    np.random.seed(1)
    undisturbed = (random.random(), np.random.random())
    random.seed(1)
    np.random.seed(1)

    first = execute_run(run_of(Noisy()))

    assert (random.random(), np.random.random()) == undisturbed
    assert execute_run(run_of(Noisy())).predictions_digest == first.predictions_digest


def test_the_estimator_is_held_to_the_given_number_of_threads() -> None:
    seen: list[int] = []

    class Watching(NearestHour):
        def fit(self, X: pd.DataFrame, y: "pd.Series[float]") -> None:
            seen.extend(library["num_threads"] for library in threadpool_info())
            super().fit(X, y)

    class Watched(Delays):
        def build(self, params: Params, seed: int) -> Any:
            return Watching()

    before = [library["num_threads"] for library in threadpool_info()]
    execute_run(run_of(Watched(), threads=1))

    assert seen and set(seen) == {1}
    assert [library["num_threads"] for library in threadpool_info()][: len(before)] == before


def test_the_rows_given_are_left_as_they_were() -> None:
    class Meddling(Delays):
        def split(self, data: pd.DataFrame, params: Params, seed: int) -> Split:
            data["distance"] = 0.0
            data.loc[:, "hour"] = 1
            return super().split(data, params, seed)

        def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
            predictions = super().predict(model, rows)
            rows["id"] = "gone"
            return predictions

        def evaluate(self, results: pd.DataFrame) -> dict[str, float]:
            results["prediction"] = results["prediction"] * 1.0
            results["truth"] -= 1.0
            return super().evaluate(results)

    data = delays()
    result = execute_run(run_of(Meddling(), data))

    pd.testing.assert_frame_equal(data, delays())
    assert set(result.results["key"]) == set(data["id"])
    assert (result.results.set_index("key")["truth"] == data.set_index("id")["delay"].sort_index()).all()


def test_a_random_split_follows_the_seed_and_the_share() -> None:
    params = Params(split=SplitSettings(method="random", test_size=0.1))
    first, second = (execute_run(run_of(Delays(), params=params, seed=seed)) for seed in (1, 2))

    assert first.rows == {"train": 180, "test": 20}
    assert first.split_digest != second.split_digest
