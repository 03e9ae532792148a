"""Configurations judged over seeds and folds, as the index finds them: against the same done on the records."""

import random
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.tracking.annotations import Overlay
from mlops_assets.tracking.evaluations import Evaluation, chosen, evaluations, weighed
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import MlopsError, UnknownName
from partitions.run_configuration import RunConfiguration
from partitions.values import canonical_json
from resources.event_log import EventLog
from tests.tracking.runs_logged import PROJECT, log_annotation, log_runs, record


@pytest.fixture
def tracker(sqlite_log: EventLog, tmp_path: Path) -> Tracker:
    return Tracker(sqlite_log, PROJECT, tmp_path / "index")


def judged(params: dict[str, Any], value: float, number: int = 0, **changes: Any) -> RunRecord:
    """A run with the digest that such parameters, folds and fold have."""
    folds, fold = changes.pop("folds", None), changes.pop("fold", None)
    configuration = RunConfiguration(params=params, folds=folds, fold=fold)
    settings = {"split": f"split {folds} {fold} {changes.get('seed', 0)}"} | ({"folds": folds} if folds else {})
    fields = {
        "parameters": params,
        "digests": {"subproject": "s", "run": configuration.digest},
        "settings": settings,
        "fold": fold,
        "seed": 0,
        "metrics": {"rmse": value},
        **changes,
    }
    return record(number, **fields)


def in_short(found: list[Evaluation]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            (canonical_json(dict(e.parameters)), e.code_version, e.data_version, e.fold_count, e.pairs, e.values)
            for e in found
        ),
        key=repr,
    )


def by_the_records(records: list[RunRecord]) -> list[tuple[Any, ...]]:
    """What ``evaluations`` promises, the slow way."""
    groups: dict[Any, dict[Any, RunRecord]] = {}
    for run in sorted(records, key=lambda run: (run.created_at, run.run_id)):
        if run.kind == "replay" or run.status == "failed" or "rmse" not in run.metrics:
            continue
        folds = run.settings.get("folds") if run.fold is not None else None
        same = (canonical_json(run.parameters), run.code_version.digest, run.data_version, folds)
        groups.setdefault(same, {}).setdefault((run.seed, run.fold), run)
    made = []
    for same, runs in groups.items():
        ordered = [runs[pair] for pair in sorted(runs, key=lambda pair: (pair[0], -1 if pair[1] is None else pair[1]))]
        pairs = tuple((run.seed, run.fold, run.settings["split"]) for run in ordered)
        made.append((*same, pairs, tuple(run.metrics["rmse"] for run in ordered)))
    return sorted(made, key=repr)


def test_runs_are_grouped_as_their_records_say(tracker: Tracker) -> None:
    """Parameters that are None, nested, of several types, lists; several cross-validations; repeats; failed runs."""
    rng = random.Random(3)
    runs = []
    for number in range(400):
        params: dict[str, Any] = {
            "depth": rng.choice([1, 2, 2.0, None]),
            "split": {"method": rng.choice(["time", None]), "size": 0.2},
            "layers": rng.choice([[1, 2], None, []]),
            "nothing": None,
        }
        folds = rng.choice([None, 2, 3, 5])
        changes: dict[str, Any] = {
            "folds": folds,
            "fold": None if folds is None else rng.randrange(folds),
            "seed": rng.randrange(2),
            "kind": rng.choice(["dev", "trial", "retrain", "replay"]),
            "status": rng.choice(["succeeded", "succeeded", "pruned", "failed"]),
            "code_version": {"digest": rng.choice(["c1", "c2"])},
            "data_version": rng.choice(["d1", "d2"]),
        }
        runs.append(judged(params, rng.random(), number, **changes))
    log_runs(tracker.event_log, runs)
    found = evaluations(tracker, "rmse")
    assert in_short(found) == by_the_records(runs)
    assert len(found) > 100


def test_a_parameter_that_only_older_code_lacks_is_no_none(tracker: Tracker) -> None:
    old = judged({"a": 1}, 1.0, code_version={"digest": "old"})
    new = judged({"a": 1, "b": 2}, 1.0, 1, code_version={"digest": "new"})
    log_runs(tracker.event_log, [old, new])
    found = {e.code_version: dict(e.parameters) for e in evaluations(tracker, "rmse")}
    assert found == {"old": {"a": 1}, "new": {"a": 1, "b": 2}}


def test_a_question_narrows_what_is_judged(tracker: Tracker) -> None:
    log_runs(
        tracker.event_log, [judged({"a": n}, float(n), n, subproject=key) for n in range(3) for key in ("AA", "B6")]
    )
    assert {e.subproject for e in evaluations(tracker, "rmse", RunQuery(subprojects=("AA",)))} == {"AA"}
    assert [e.values for e in evaluations(tracker, "rmse", RunQuery(subprojects=("AA",), where="params.a >= 1"))] == [
        (1.0,),
        (2.0,),
    ]


def test_no_runs_are_no_evaluations_and_an_unknown_metric_is_said(tracker: Tracker) -> None:
    assert evaluations(tracker, "rmse") == []
    log_runs(tracker.event_log, [judged({"a": 1}, 1.0)])
    with pytest.raises(UnknownName, match="unknown metric 'rsme'; nearest: rmse"):
        evaluations(tracker, "rsme")


def test_noted_runs_and_runs_reported_again_count_once(tracker: Tracker) -> None:
    run = judged({"a": 1}, 1.0)
    log_runs(tracker.event_log, [run])
    log_runs(tracker.event_log, [run])
    log_annotation(tracker.event_log, run, Overlay(note="look", tags={"a": "b"}))
    (found,) = evaluations(tracker, "rmse")
    assert found.run_ids == (run.run_id,) and found.n == 1 and found.standard_error is None


def test_sizes_and_seconds_come_from_the_records(tracker: Tracker) -> None:
    def model(size: int) -> dict[str, Any]:
        return {"model": {"uri": "u", "digest": "d", "bytes": size}}

    runs = [
        judged({"a": a}, 10.0 + f + a / 10, 10 * a + f, folds=3, fold=f, artifacts=model(100 - 50 * a + f))
        for a in (0, 1)
        for f in range(3)
    ]
    log_runs(tracker.event_log, runs)
    found = evaluations(tracker, "rmse")
    assert [(e.model_bytes, e.fit_seconds) for e in weighed(tracker, found)] == [(101.0, 1.0), (51.0, 1.0)]
    choice = chosen(tracker, found, "minimize", "one-standard-error")
    assert choice.evaluation.parameters == {"a": 1} and "simplest of 2" in choice.reason
    assert chosen(tracker, found, "minimize", "best-mean").evaluation.parameters == {"a": 0}
    with pytest.raises(MlopsError, match="no configuration to choose from"):
        chosen(tracker, [], "minimize", "best-mean")
