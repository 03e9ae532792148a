"""What a search is told, what it tries first and what it need not run again: and what it must never be told."""

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.tracking.best import BestConfigurations
from mlops_assets.tracking.earlier import Asked, Earlier, Remembered, earlier
from mlops_assets.tracking.record import Digests, RunRecord, fingerprint
from mlops_assets.tracking.tracker import Tracker
from partitions.hpo import HPO
from partitions.run_configuration import RunConfiguration
from partitions.search_space import Float, Int, SearchSpace
from resources.event_log import EventLog
from tests.tracking.runs_logged import PROJECT, log_runs
from tests.tracking.test_evaluations import judged

SPACE = SearchSpace(rate=Float(0.0, 1.0), depth=Int(1, 9))
BASE: dict[str, Any] = {"rate": 0.5, "depth": 3, "split": {"size": 0.2}}
TAGS = {"AA": {"hub": "JFK", "size": "large"}, "B6": {"hub": "JFK", "size": "large"}, "WN": {"hub": "EWR"}}


@pytest.fixture
def tracker(sqlite_log: EventLog, tmp_path: Path) -> Tracker:
    return Tracker(sqlite_log, PROJECT, tmp_path / "index")


def trial(rate: float, value: float, number: int = 0, **changes: Any) -> list[RunRecord]:
    """The runs of one trial over two folds, fingerprints as they are in earnest."""
    params = {**BASE, "rate": rate, **changes.pop("params", {})}
    fields = {"code_version": {"digest": "c"}, "data_version": "d", "kind": "trial", "folds": 2, **changes}
    of_folds = changes.get("fold_numbers", range(2))
    fields.pop("fold_numbers", None)
    made = []
    for fold in of_folds:
        run = judged(params, value + fold, number * 10 + fold, fold=fold, **fields)
        digests = Digests(subproject="s", run=run.digests.run)
        mark = fingerprint(run.code_version.digest, run.data_version, digests, run.seed, run.fold)
        made.append(run.model_copy(update={"fingerprint": mark, "run_id": f"{number:03}-{run.run_id}"}))
    return made


def asked(space: SearchSpace = SPACE, **hpo: Any) -> Asked:
    configuration = HPO(**{"metric": "rmse", "direction": "minimize", "trials": 20, "folds": 2, **hpo})
    return Asked("AA", configuration, space, BASE, "c", "d", seed=0, hpo_run_id="mine", subproject_digest="s")


def known(tracker: Tracker, question: Asked) -> Earlier:
    return earlier(tracker, BestConfigurations(tracker.event_log, PROJECT), question, TAGS)


def told(found: Earlier) -> list[tuple[float, float, str]]:
    return [(one.parameters["rate"], one.value, one.circumstance) for one in found.told]


def tried(found: Earlier) -> list[tuple[float, str]]:
    return [(parameters["rate"], origin) for parameters, origin in found.tried]


def test_only_values_that_mean_the_same_are_told(tracker: Tracker) -> None:
    same = trial(0.1, 1.0)
    foreign = [
        trial(0.2, 1.0, 1, code_version={"digest": "other"}),
        trial(0.21, 1.0, 2, data_version="other"),
        trial(0.22, 1.0, 3, folds=3),
        trial(0.23, 1.0, 4, seed=1),
        trial(0.24, 1.0, 5, fold_numbers=[0]),
        trial(0.25, 1.0, 6, params={"split": {"size": 0.3}}),
        trial(0.26, 1.0, 7, subproject="B6"),
        trial(0.27, 1.0, 8, kind="replay"),
        trial(0.28, 1.0, 9, status="failed"),
        trial(1.7, 1.0, 10),
        [
            run.model_copy(update={"fingerprint": "of another configuration of the subproject"})
            for run in trial(0.29, 1.0, 11)
        ],
        [judged({**BASE, "rate": 0.3}, 1.0, 120, code_version={"digest": "c"}, data_version="d")],
    ]
    log_runs(tracker.event_log, same, "trials")
    log_runs(tracker.event_log, [run for runs in foreign for run in runs], "trials")
    assert told(known(tracker, asked())) == [(0.1, 1.5, "")]
    assert told(known(tracker, asked(reuse="none"))) == []


def test_dev_runs_and_retrainings_are_told_and_a_parameter_added_later_has_its_default(tracker: Tracker) -> None:
    log_runs(tracker.event_log, [*trial(0.1, 1.0, kind="dev"), *trial(0.2, 2.0, 1, kind="retrain")])
    assert told(known(tracker, asked())) == [(0.1, 1.5, ""), (0.2, 2.5, "")]
    smaller = SearchSpace(rate=Float(0.0, 1.0))
    assert told(known(tracker, asked(smaller))) == told(known(tracker, asked())), (
        "depth was added: they have its default"
    )
    assert [one.parameters["depth"] for one in known(tracker, asked()).told] == [3, 3]


def test_of_a_configuration_that_was_run_with_more_seeds_those_of_the_search_are_told(tracker: Tracker) -> None:
    log_runs(tracker.event_log, [*trial(0.1, 1.0), *trial(0.1, 50.0, 1, seed=1)], "trials")
    assert told(known(tracker, asked())) == [(0.1, 1.5, "")]
    assert told(known(tracker, asked(seeds=2))) == [(0.1, 26.0, "")]


def test_other_code_and_data_are_told_as_what_they_are_or_tried(tracker: Tracker) -> None:
    runs = [
        *trial(0.1, 1.0),
        *trial(0.2, 1.0, 1, code_version={"digest": "old"}),
        *trial(0.3, 9.0, 2, data_version="older"),
    ]
    log_runs(tracker.event_log, runs, "trials")
    found = {reuse: known(tracker, asked(reuse=reuse)) for reuse in ("same", "same-data", "all", "none")}
    assert told(found["same"]) == [(0.1, 1.5, "")]
    assert tried(found["same"]) == [(0.3, "earlier"), (0.2, "earlier")], "the newest first"
    assert told(found["same-data"]) == [(0.1, 1.5, ""), (0.2, 1.5, "code old")]
    assert tried(found["same-data"]) == [(0.3, "earlier")]
    assert told(found["all"]) == [(0.1, 1.5, ""), (0.2, 1.5, "code old"), (0.3, 9.5, "code c on data older")]
    assert found["all"].circumstances == ("", "code old", "code c on data older") and tried(found["all"]) == []
    assert told(found["none"]) == [] and tried(found["none"]) == []


def test_of_siblings_only_configurations_travel_the_most_similar_first(tracker: Tracker) -> None:
    log_runs(tracker.event_log, trial(0.7, 0.001, 1, subproject="WN") + trial(0.6, 500.0, 2, subproject="B6"), "trials")
    found = known(tracker, asked())
    assert tried(found) == [(0.6, "sibling:B6"), (0.7, "sibling:WN")] and told(found) == [] and not found.results
    assert tried(known(tracker, asked(transfer="none"))) == []
    # They rank the same configurations the other way round: then tags are not believed any more.
    both = [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0), (0.4, 4.0), (0.5, 5.0)]
    log_runs(tracker.event_log, [run for n, (rate, value) in enumerate(both) for run in trial(rate, value, n + 20)])
    for key, sign in (("B6", -1), ("WN", 1)):
        siblings = [
            run for n, (rate, value) in enumerate(both) for run in trial(rate, 1000 + sign * value, n, subproject=key)
        ]
        log_runs(tracker.event_log, siblings)
    assert tried(known(tracker, asked()))[:2] == [(0.7, "sibling:WN"), (0.6, "sibling:B6")]


def test_what_is_considered_best_of_a_sibling_is_tried_before_what_its_trials_say(tracker: Tracker) -> None:
    runs = trial(0.6, 5.0, 1, subproject="B6") + trial(0.65, 4.0, 2, subproject="B6")
    log_runs(tracker.event_log, runs, "trials")
    BestConfigurations(tracker.event_log, PROJECT).choose(runs[0], "person", "me", "I know it")
    assert tried(known(tracker, asked())) == [(0.6, "sibling:B6"), (0.65, "sibling:B6")]


def test_half_of_the_budget_is_left_to_the_sampler_and_what_is_known_is_not_tried(tracker: Tracker) -> None:
    log_runs(tracker.event_log, [run for n in range(9) for run in trial(n / 10, n, n, subproject="WN")], "trials")
    log_runs(tracker.event_log, [run for n in range(9) for run in trial(n / 10, n, n, subproject="B6")], "trials")
    assert len(known(tracker, asked(trials=4)).tried) == 2 and len(known(tracker, asked(trials=1)).tried) == 1
    log_runs(tracker.event_log, trial(0.0, 1.0, 30))
    assert tried(known(tracker, asked(trials=4))) == [(0.1, "sibling:B6"), (0.2, "sibling:B6")]


def test_finished_runs_are_results_by_fingerprint(tracker: Tracker) -> None:
    done = trial(0.1, 1.0, parent="mine") + trial(0.2, 1.0, 1, fold_numbers=[0], status="pruned", parent="another")
    lost = (
        trial(0.3, 1.0, 2, status="failed") + trial(0.4, 1.0, 3, kind="replay") + trial(0.5, 1.0, 4, data_version="x")
    )
    log_runs(tracker.event_log, [*done, *lost], "trials")
    results = known(tracker, asked()).results
    assert {mark: row["run_id"] for mark, row in results.items()} == {run.fingerprint: run.run_id for run in done}
    assert results[done[0].fingerprint]["metrics.rmse"] == 1.0
    own = known(tracker, asked(reuse="none")).results
    assert set(own) == {run.fingerprint for run in done[:2]}, "a resumed HPO run has its own runs"
    assert told(known(tracker, asked(reuse="none"))) == [(0.1, 1.5, "")]


def test_the_first_hpo_run_of_all_knows_nothing(tracker: Tracker) -> None:
    assert known(tracker, asked()) == Earlier()
    log_runs(tracker.event_log, [judged({**BASE, "rate": 0.1}, 1.0, metrics={"mae": 1.0})])
    assert known(tracker, asked()) == Earlier(), "a metric that is new"


def test_digests_of_configurations_are_those_of_run_configurations() -> None:
    from mlops_assets.tracking.evaluations import configuration_digest
    from partitions.values import canonical_json

    params = {"a": [1, None], "ü": "x", "b": 1.5}
    for folds, fold in ((None, None), (5, 3)):
        stated = RunConfiguration(params=params, folds=folds, fold=fold)
        assert configuration_digest(canonical_json(params), folds, fold) == stated.digest


def test_of_a_launch_siblings_are_looked_up_once(tracker: Tracker) -> None:
    log_runs(tracker.event_log, trial(0.6, 1.0, subproject="B6"), "trials")
    best = BestConfigurations(tracker.event_log, PROJECT)
    remembered: Remembered = {}
    first = earlier(tracker, best, asked(), TAGS, remembered)
    log_runs(tracker.event_log, trial(0.7, 0.1, 1, subproject="B6"), "trials")
    assert earlier(tracker, best, asked(), TAGS, remembered) == first
    assert tried(earlier(tracker, best, asked(), TAGS)) == [(0.7, "sibling:B6"), (0.6, "sibling:B6")]
