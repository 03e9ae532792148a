"""Configurations over seeds and folds: means, spreads, and differences that are told from noise."""

import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.tracking.groups import Better, Group, direction_of, group_query, grouped
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import MlopsError, UnknownName
from resources.event_log import EventLog
from tests.tracking.runs_logged import PROJECT, log_runs, record


@pytest.fixture
def tracker(sqlite_log: EventLog, tmp_path: Path) -> Tracker:
    return Tracker(sqlite_log, PROJECT, tmp_path / "index")


def runs_of(name: str, values: list[float], **changes: Any) -> list[RunRecord]:
    """Runs of one configuration, a value of ``rmse`` for each seed."""
    digests = {"subproject": "s", "run": name}
    fields: dict[str, Any] = {"digests": digests, "parameters": {"depth": name, "same": 1}, **changes}
    return [record(n, seed=n, metrics={"rmse": value, "r2": -value}, **fields) for n, value in enumerate(values)]


def groups_of(tracker: Tracker, metric: str = "rmse", better: Better = "min", **query: Any) -> dict[str, Group]:
    found = grouped(tracker.rows(group_query(RunQuery(**query))), metric, better)
    return {group.configuration: group for group in found}


def test_a_difference_that_every_seed_shows_is_told_from_one_that_seeds_make(tracker: Tracker) -> None:
    rng = random.Random(1)
    base = [10 + rng.gauss(0, 3) for _ in range(8)]
    log_runs(tracker.event_log, runs_of("best", base))
    # Worse by little, but on every seed; worse by more on average, but only by chance.
    log_runs(tracker.event_log, runs_of("worse", [value + 0.2 + rng.gauss(0, 0.05) for value in base]))
    log_runs(tracker.event_log, runs_of("noise", [value + 0.4 + rng.gauss(0, 3) for value in base]))
    groups = groups_of(tracker)
    assert {name: group.verdict for name, group in groups.items()} == {
        "best": "best",
        "worse": "worse",
        "noise": "noise",
    }
    assert next(iter(groups)) == "best"
    worse = groups["worse"].difference
    assert worse is not None and worse.pairs == 8 and worse.low is not None and worse.high is not None
    assert 0 < worse.low < 0.2 < worse.high < 0.3
    assert groups["worse"].spreads["rmse"] == pytest.approx(statistics.stdev(base), rel=0.1), (
        "the seeds' spread is larger"
    )
    assert groups["best"].params == {"params.depth": "best"}, "only parameters that differ"


def test_the_interval_is_the_paired_t_interval_of_the_textbook(tracker: Tracker) -> None:
    from scipy import stats

    rng = random.Random(2)
    one, other = ([rng.gauss(mean, 1) for _ in range(6)] for mean in (5, 6))
    log_runs(tracker.event_log, [*runs_of("one", one), *runs_of("other", other)])
    difference = groups_of(tracker)["other"].difference
    expected = stats.ttest_rel(other, one).confidence_interval(0.95)
    assert difference is not None
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))


def test_folds_share_rows_and_widen_the_interval(tracker: Tracker) -> None:
    seeds, folds = [10.0, 11.0, 12.0, 13.0], [10.3, 11.1, 12.4, 13.1]
    log_runs(tracker.event_log, [*runs_of("one", seeds), *runs_of("two", folds)])
    by_seed = groups_of(tracker)["two"].difference
    as_folds = [
        run.model_copy(update={"fold": run.seed, "seed": 7, "run_id": f"fold-{name}-{run.seed}", "subproject": "F"})
        for name, values in (("one", seeds), ("two", folds))
        for run in runs_of(name, values)
    ]
    log_runs(tracker.event_log, as_folds)
    by_fold = groups_of(tracker, subprojects=("F",))["two"].difference
    assert by_seed is not None and by_fold is not None
    widths = [difference.high - difference.low for difference in (by_fold, by_seed)]  # type: ignore[operator]
    assert widths[0] / widths[1] == pytest.approx(math.sqrt((1 / 4 + 1 / 3) / (1 / 4)))


@pytest.mark.parametrize(
    ("better", "metric", "best", "difference"),
    [("min", "rmse", "a", 2.0), ("max", "rmse", "b", -2.0), ("max", "r2", "a", -2.0), ("zero", "r2", "a", 2.0)],
)
def test_the_declared_direction_decides_and_the_sign_is_the_metrics(
    tracker: Tracker, better: Better, metric: str, best: str, difference: float
) -> None:
    log_runs(tracker.event_log, [*runs_of("a", [1.0, 2.0, 3.0]), *runs_of("b", [3.1, 4.0, 4.9])])
    groups = groups_of(tracker, metric, better)
    assert groups[best].verdict == "best"
    other = next(group for name, group in groups.items() if name != best)
    assert other.verdict == "worse" and other.difference is not None
    assert other.difference.mean == pytest.approx(difference)
    assert other.difference.low <= difference <= other.difference.high  # type: ignore[operator]


def test_what_cannot_be_paired_is_not_judged(tracker: Tracker) -> None:
    log_runs(tracker.event_log, runs_of("a", [1.0, 2.0]))
    log_runs(tracker.event_log, [run.model_copy(update={"seed": run.seed + 10}) for run in runs_of("b", [3.0, 4.0])])
    log_runs(tracker.event_log, runs_of("c", [1.7]))
    groups = groups_of(tracker)
    assert [(g.verdict, g.difference and g.difference.pairs) for g in groups.values()] == [
        ("best", None),
        ("not paired", 1),
        ("not paired", 0),
    ]
    assert groups["c"].difference is not None and groups["c"].difference.mean == pytest.approx(0.7)
    assert groups["c"].spreads == {"rmse": None, "r2": None}


def test_only_what_is_comparable_is_compared(tracker: Tracker) -> None:
    """Another data version or subproject has other rows; failed runs have no metrics; a run repeated is one pair."""
    log_runs(tracker.event_log, runs_of("a", [1.0, 2.0]))
    log_runs(tracker.event_log, runs_of("a", [1.0, 2.0]))
    log_runs(tracker.event_log, runs_of("b", [9.0, 9.5], data_version="another"))
    log_runs(tracker.event_log, runs_of("c", [9.0, 9.5], subproject="BB"))
    log_runs(tracker.event_log, [record(n, status="failed", metrics={}) for n in range(2)])
    groups = groups_of(tracker)
    assert {name: (group.runs, group.verdict) for name, group in groups.items()} == {
        "a": (4, "best"),
        "b": (2, "best"),
        "c": (2, "best"),
    }
    log_runs(tracker.event_log, runs_of("d", [1.5, 2.6]))
    difference = groups_of(tracker)["d"].difference
    assert difference is not None and difference.pairs == 2


def test_runs_that_were_judged_on_other_rows_are_no_pairs(tracker: Tracker) -> None:
    log_runs(tracker.event_log, runs_of("a", [1.0, 2.0], settings={"split": "x" * 64}))
    log_runs(tracker.event_log, runs_of("b", [1.5, 2.6], settings={"split": "y" * 64}))
    log_runs(tracker.event_log, runs_of("c", [1.5, 2.51], settings={"split": "x" * 64}))
    assert {name: group.verdict for name, group in groups_of(tracker).items()} == {
        "a": "best",
        "b": "not paired",
        "c": "worse",
    }


def test_a_metric_that_there_is_not_is_an_error(tracker: Tracker) -> None:
    assert groups_of(tracker) == {}
    log_runs(tracker.event_log, runs_of("a", [1.0]))
    with pytest.raises(UnknownName, match="unknown metric 'rsme'; nearest: rmse"):
        groups_of(tracker, "rsme")
    with pytest.raises(MlopsError, match=r"unknown metric 'mse'.*Pipeline.metrics says which way"):
        direction_of("mse", {"rmse": "min"})
