"""Runs of a real project, judged again from the store, and proven to predict where only the store is at hand."""

import shutil
from pathlib import Path

import pytest

from mlops_assets.assets.judging import Rejudging, champion_of, judge_again
from mlops_assets.assets.parity import proving
from mlops_assets.assets.way import Aim, Arrived, Origin, Way
from mlops_assets.opened_project import OpenedProject
from mlops_assets.quality.verdicts import GateVerdict
from mlops_assets.tracking.record import RunError, RunRecord
from partitions.errors import ArtifactError
from partitions.gates import (
    BetterThanBaseline,
    Check,
    Gate,
    ModelSize,
    NotWorseThanChampion,
    PredictionSanity,
    PredictLatency,
    SliceFloor,
    StableOverSeeds,
    Threshold,
)
from resources.compute import Compute, Environment
from resources.proof import Question, stored_test_rows
from tests.end_to_end.conftest import PIPELINE
from tests.public.conftest import opened

GATES: tuple[Gate, ...] = (
    Threshold("rmse", max=0.5),
    BetterThanBaseline("rmse"),
    NotWorseThanChampion("rmse", tolerance=0.02, min_rows=5),
    StableOverSeeds("rmse", 0.5, seeds=2),
    SliceFloor("trouble", "mae", max=1.0, min_rows=10),
    PredictionSanity(low=-10, high=10),
    PredictLatency(10_000),
    ModelSize(5),
)


def asked(
    p: OpenedProject, record: RunRecord, champion: RunRecord | None = None, gates: tuple[Gate, ...] = GATES
) -> Rejudging:
    way = Way(
        home=p.home,
        subproject=p.registry.configurations([record.subproject])[record.subproject],
        reference=p.project.reference,
        origin=Origin(record.code_version, record.environment.lock),
        fresh=False,
        runs=(),
        aim=Aim("production", gates, champion.run_id if champion is not None else None),
    )
    return Rejudging(way, record.run_id)


def named(arrived: Arrived) -> dict[str, GateVerdict]:
    assert arrived.error is None, arrived.error.message
    return {verdict.gate: verdict for verdict in arrived.verdicts}


def test_a_stored_run_is_judged_again_on_a_worker_by_what_is_in_the_store(folder: Path) -> None:
    p = opened(folder)
    (record,) = p.run("a", seed=1)
    (outcome,) = Compute(backend="processes", cpus=1).map(judge_again, [asked(p, record)])
    verdicts = named(outcome.get())
    assert {verdict.outcome for verdict in verdicts.values()} == {"pass"}
    assert verdicts["threshold_rmse"].value == record.metrics["rmse"]
    assert verdicts["model_size"].evidence == {"bytes": record.artifacts["model"].bytes}
    assert verdicts["better_than_baseline_rmse"].evidence["baseline"] == record.baseline["rmse"]
    (other,) = p.run("a", seed=2)
    spread = verdicts["stable_over_seeds_rmse"].evidence["by_seed"]
    assert spread == {"1": record.metrics["rmse"], "2": other.metrics["rmse"]}
    again = named(judge_again(asked(p, record)))
    assert again.pop("predict_latency").outcome == "pass"
    assert again == {name: verdict for name, verdict in verdicts.items() if name != "predict_latency"}


def test_the_champion_is_asked_on_the_rows_it_was_not_trained_on(folder: Path) -> None:
    p = opened(folder)
    (champion,), (worse,) = p.run("a", seed=1), p.run("a", seed=2, params={"alpha": 500.0})
    found = named(judge_again(asked(p, worse, champion)))["not_worse_than_champion_rmse"]
    assert found.outcome == "fail"
    trained = set(p.state(champion.run_id).train["row"])
    fresh = [row not in trained for row in p.state(worse.run_id).test["row"]]
    assert found.evidence["rows"] == sum(fresh) < len(fresh)
    assert found.evidence["rows_champion_was_trained_on"] == len(fresh) - sum(fresh)
    assert found.evidence["champion"] == champion.run_id
    back = named(judge_again(asked(p, champion, worse)))["not_worse_than_champion_rmse"]
    assert back.outcome == "pass"


def test_the_champion_predicts_by_the_code_it_was_trained_with(folder: Path) -> None:
    other = PIPELINE.replace("return X.to_numpy(dtype=float) @ self.weights", "return X['x'].to_numpy() * 0.0 + 7.0")
    (folder / "lines" / "pipeline.py").write_text(other)
    (champion,) = opened(folder).run("a", seed=1)
    (folder / "lines" / "pipeline.py").write_text(PIPELINE)
    p = opened(folder)
    (record,) = p.run("a", seed=2)
    found = named(judge_again(asked(p, record, champion)))["not_worse_than_champion_rmse"]
    assert found.outcome == "pass"
    rows = p.state(record.run_id).test
    loaded = champion_of(p.artifacts, champion)
    assert loaded.code_version == champion.code_version.digest != record.code_version.digest
    assert loaded.predict(rows.drop(columns=["y", "truth", "prediction"]))["prediction"].eq(7.0).all()


def test_a_champion_that_is_gone_says_why_and_stops(folder: Path) -> None:
    p = opened(folder)
    (champion,), (record,) = p.run("a", seed=1), p.run("a", seed=2)
    Path(p.artifacts.url, champion.artifacts["model"].uri).unlink()
    found = named(judge_again(asked(p, record, champion)))["not_worse_than_champion_rmse"]
    assert found.outcome == "could_not_look"
    assert champion.artifacts["model"].uri in found.reason
    unjudged = judge_again(asked(p, champion))
    assert unjudged.verdicts == ()
    assert unjudged.error is not None
    assert champion.artifacts["model"].uri in unjudged.error.message
    with pytest.raises(ArtifactError, match="missing"):
        champion_of(p.artifacts, champion)


OWN = """
LIMIT = {limit}


def sound(results):
    return len(results) <= LIMIT, f"{{len(results)}} rows, at most {{LIMIT}}"
"""


def test_a_gate_of_ones_own_is_that_of_the_code_version_that_is_judged(folder: Path) -> None:
    (folder / "lines" / "checks.py").write_text(OWN.format(limit=100))
    p = opened(folder)
    (record,) = p.run("a", seed=1)
    before = folder / "before"
    shutil.copytree(folder / "lines", before / "lines", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "lines" / "checks.py").write_text(OWN.format(limit=10))
    question = asked(p, record, gates=(Check("lines.checks:sound"),))
    here, there = (
        named(outcome.get())["check_sound"]
        for environment in (Environment(folder), Environment(before))
        for outcome in Compute(backend="processes", cpus=1).map(judge_again, [question], environment=environment)
    )
    assert (here.outcome, here.reason) == ("fail", "30 rows, at most 10")
    assert (there.outcome, there.reason) == ("pass", "30 rows, at most 100")
    assert here.source != there.source
    assert all(verdict.source is not None for verdict in (here, there))


def test_runs_of_any_code_version_are_proven_in_one_process(folder: Path) -> None:
    first = opened(folder).run("a", seed=1)
    (folder / "lines" / "pipeline.py").write_text(PIPELINE.replace("@ self.weights", "@ self.weights + 1.0"))
    p = opened(folder)
    second = p.run(["a", "b"], seed=1)
    with proving(p._ports()) as prove:
        found = [prove(record) for record in (*first, *second)]
    assert [(parity.identical, parity.rows, parity.reason) for parity in found] == [(True, 30, "")] * 3


def test_what_keeps_a_run_from_being_proven_is_the_answer(folder: Path) -> None:
    p = opened(folder)
    (record,), (other,) = p.run("a", seed=1), p.run("b", seed=1)
    (folder / "lines" / "pipeline.py").write_text(PIPELINE.replace("@ self.weights", "@ self.weights + os.getpid()"))
    (wayward,) = opened(folder).run("a", seed=1)
    failed = record.model_copy(update={"status": "failed", "artifacts": {}})
    swapped = {**record.artifacts, "model": other.artifacts["model"]}
    with proving(p._ports()) as prove:
        assert "differs in 30 of 30 rows" in prove(wayward).reason
        assert prove(failed).reason == f"run {record.run_id} (failed) has no model"
        assert "differs in" in prove(record.model_copy(update={"artifacts": swapped})).reason
        Path(p.artifacts.url, record.artifacts["results"].uri).unlink()
        gone = prove(record)
    assert (gone.identical, gone.rows) == (False, 0)
    assert record.artifacts["results"].uri in gone.reason


def test_of_many_test_rows_some_are_taken_from_all_over_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_assets.assets.parity.PARITY_ROWS", 7)
    p = opened(folder)
    (record,) = p.run("a", seed=1)
    results, model = (record.artifacts[name].uri for name in ("results", "model"))
    question = Question(p.artifacts, record.where, record.run_id, record.data_version or "", model, results, 7)
    rows, expected = stored_test_rows(question)
    tested = p.state(record.run_id).test
    assert rows["row"].tolist() == tested["row"].tolist()
    assert expected["prediction"].tolist() == tested["prediction"].tolist()
    assert list(expected.columns) == ["prediction"]
    with proving(p._ports()) as prove:
        assert prove(record).rows == 7


def test_runs_are_proven_ahead_while_others_are_on_their_way(folder: Path) -> None:
    p = opened(folder)
    records = p.run(["a", "b"], seed=1)
    gone = records[0].model_copy(update={"run_id": "gone", "status": "failed", "artifacts": {}})
    with proving(p._ports()) as prove:
        for record in (*records, gone):
            prove.foresee(Arrived(record.subproject, records=(record,)))
        prove.foresee(Arrived("c", error=RunError(message="it failed")))
        found = [prove(record) for record in (gone, *records, records[0])]
    assert [parity.identical for parity in found] == [False, True, True, True]


def test_a_model_that_sums_over_all_rows_at_once_is_asked_for_all_of_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for a library whose last bit depends on how many rows it is given.
    summing = PIPELINE.replace("@ self.weights", "@ self.weights + 1e-9 * len(X)")
    (folder / "lines" / "pipeline.py").write_text(summing)
    monkeypatch.setattr("mlops_assets.assets.parity.PARITY_ROWS", 7)
    p = opened(folder)
    (record,) = p.run("a", seed=1)
    with proving(p._ports()) as prove:
        parity = prove(record)
    assert (parity.identical, parity.rows) == (True, 30)
