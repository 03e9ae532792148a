"""The gates that the example declares, on its own flights: a sound model passes, a bad month is stopped."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlops_assets.learning.results import rows_with_results
from mlops_assets.learning.run import RunInput, RunResult, execute_run
from mlops_assets.quality.gates import Champion, Judged, judge
from mlops_assets.quality.verdicts import GateVerdict, stops
from projects.flight_delays.pipeline import CarrierConfig, FlightDelays, Params
from projects.flight_delays.project import project

PIPELINE = FlightDelays()
PARAMS = Params(max_iter=60)


def flights(until: str) -> pd.DataFrame:
    rows = PIPELINE.ingest(CarrierConfig(carrier="FL"), None).drop(columns=["tailnum"])
    return rows[rows["time_hour"] < pd.Timestamp(until, tz="UTC")]


def trained(rows: pd.DataFrame) -> RunResult:
    return execute_run(RunInput(PIPELINE, CarrierConfig(carrier="FL"), PARAMS, 1, rows))


def judged(rows: pd.DataFrame, champion: Champion | None = None) -> Judged:
    result = trained(rows)
    return Judged(
        pipeline=PIPELINE,
        rows=rows_with_results(rows, "flight_id", result.results, "test"),
        metrics=result.metrics,
        model=result.model,
        model_bytes=300_000,
        baseline=result.baseline,
        config=CarrierConfig(carrier="FL"),
        params=PARAMS,
        seed=1,
        champion=champion,
    )


@pytest.fixture(scope="module")
def champion() -> Champion:
    result = trained(flights("2013-09-01"))
    keys = result.results.loc[result.results["split"] == "train", "key"].tolist()
    return Champion("september", result.model, lambda rows: PIPELINE.predict(result.model, rows), frozenset(keys))


def named(one: Judged) -> dict[str, GateVerdict]:
    return {verdict.gate: verdict for verdict in judge(project.gates, one)}


def test_the_first_model_and_the_next_month_pass_every_gate(champion: Champion) -> None:
    first = named(judged(flights("2013-09-01")))
    assert stops(first.values()) == []
    assert first["not_worse_than_champion_rmse"].reason.startswith("no champion yet")
    following = named(judged(flights("2013-10-01"), champion))
    assert {name: verdict.outcome for name, verdict in following.items() if not verdict.passed} == {}
    compared = following["not_worse_than_champion_rmse"].evidence
    assert compared["rows"] > 100
    assert compared["resampled"] == "losses of rows"
    assert following["check_residual_bias"].source is not None


def test_a_month_with_wrong_departures_is_stopped_and_the_evidence_says_why(champion: Champion) -> None:
    rows = flights("2013-10-01")
    # The feed reported departures at random, in every flight the model learns from.
    learned = rows["time_hour"] < rows["time_hour"].quantile(0.75)
    random = np.random.default_rng(0).permutation(rows["dep_delay"].to_numpy())
    broken = judged(rows.assign(dep_delay=np.where(learned, random, rows["dep_delay"])), champion)
    stopped = {verdict.gate: verdict for verdict in stops(judge(project.gates, broken))}
    assert {"threshold_rmse", "better_than_baseline_rmse", "not_worse_than_champion_rmse"} <= stopped.keys()
    worse = stopped["not_worse_than_champion_rmse"]
    assert worse.outcome == "fail"
    assert worse.evidence["interval"][0] > 0
    assert worse.evidence["worse_by"] > worse.evidence["allowed"]
    lost = stops(judge(project.gates, replace(broken, rows=broken.rows.drop(columns=["dep_delay"]))))
    assert [verdict.outcome for verdict in lost if verdict.gate == "check_residual_bias"] == ["could_not_look"]
