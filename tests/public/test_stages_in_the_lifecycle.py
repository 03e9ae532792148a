"""``deployment/<stage>`` selected with everything else, as the web UI does: each selected stage gets a decision."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.lifecycle import ALL
from mlops_assets.definitions import build_definitions
from mlops_assets.opened_project import OpenedProject
from partitions.errors import MlopsError
from tests.public.hpo_lines import declare_hpo
from tests.public.staged_project import p as p
from tests.public.staged_project import served, staged

STAGES = ("deployment/testing", "deployment/production", "deployment/archive")
PLAIN = ("dataset", "model", "metrics")


@pytest.fixture(autouse=True)
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(folder / "home"))


def key_of(name: str) -> dg.AssetKey:
    return dg.AssetKey(["lines", *name.split("/")])


def materialize(p: OpenedProject, partition: str, *names: str, **config: Any) -> dg.ExecuteInProcessResult:
    job = build_definitions(p.project).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        partition_key=partition,
        asset_selection=[key_of(name) for name in names],
        instance=p.event_log.instance,
        run_config={"ops": {"lifecycle": {"config": config}}} if config else None,
        raise_on_error=False,
    )


def latest(p: OpenedProject, name: str, key: str = "a") -> Any:
    return p.event_log.latest(tuple(key_of(name).path), [key]).get(key)


def test_data_model_metrics_and_a_decision_for_every_stage(p: OpenedProject) -> None:
    assert materialize(p, "a", *PLAIN, *STAGES).success
    (row,) = p.serving("a")
    assert (row.stage, row.action, row.why) == ("testing", "deploy", "materialised in Dagster")
    record = p.record(str(row.run_id))
    assert (record.kind, record.stage) == ("retrain", "testing")
    assert {latest(p, name).metadata["run_id"] for name in ("model", "metrics", "deployment/testing")} == {row.run_id}
    production = latest(p, "deployment/production")
    assert production.metadata["decision"] == "kept" and production.tags["dagster/data_version"] == "none"
    assert "mlops promote a --from testing --to production --why ..." in production.metadata["why"]
    assert "by being replaced" in latest(p, "deployment/archive").metadata["why"]
    gates = {row["check"]: row["outcome"] for row in p.last_verdicts("a")}
    assert gates["threshold_rmse"] == "pass"

    # Once more: nothing is new, and everything that was selected is there for this run, too.
    before = {name: latest(p, name).event_id for name in (*PLAIN, *STAGES)}
    assert materialize(p, "a", *PLAIN, *STAGES).success
    assert all(latest(p, name).event_id > event for name, event in before.items())
    again = latest(p, "deployment/testing")
    assert again.metadata["decision"] == "unchanged" and again.metadata["sequence"] == row.sequence
    assert row.model is not None and again.tags["dagster/data_version"] == row.model.digest
    assert p.deployment_history("a") == [row] and len(p.runs("a")) == 1


def test_another_stage_is_asked_for_by_the_run_config(p: OpenedProject) -> None:
    p.deploy("a", stage="testing", why="there first")
    assert materialize(p, "a", *PLAIN, *STAGES, stage="production", why="straight on").success
    assert set(served(p)) == {("a", "testing"), ("a", "production")}
    assert latest(p, "deployment/testing").metadata["decision"] == "kept"


def test_a_refusal_is_a_decision_and_no_failure(folder: Path) -> None:
    p = staged(folder, rmse=0.0001)
    assert materialize(p, "a", *PLAIN, "deployment/testing").success
    refused = latest(p, "deployment/testing")
    assert refused.metadata["decision"] == "rejected" and "threshold_rmse" in refused.metadata["why"]
    assert not p.serving("a") and latest(p, "model") is None and latest(p, "metrics") is not None
    assert p.runs("a")["status"].tolist() == ["rejected"]


def test_a_stage_without_the_deciding_one_is_kept_and_the_model_is_a_dev_run(p: OpenedProject) -> None:
    assert materialize(p, "a", *PLAIN, "deployment/production").success
    assert latest(p, "deployment/production").metadata["decision"] == "kept" and not p.serving("a")
    assert p.runs("a")["kind"].tolist() == ["dev"]


def test_after_hpo_the_best_configuration_is_what_is_deployed(folder: Path) -> None:
    declare_hpo(folder, [("a", 1.0, "")], space="alpha=Float(0.01, 1000.0, log=True)")
    project = folder / "lines" / "project.py"
    project.write_text(
        project.read_text()
        .replace("from mlops_assets import ", "from mlops_assets import Stage, ", 1)
        .replace("pipeline=", "stages=[Stage('testing'), Stage('production')], pipeline=", 1)
    )
    from tests.public.conftest import opened

    p = opened(folder)
    p.apply()
    assert materialize(p, "a", *ALL, *STAGES, trials=2).success
    best, (row,) = p.best("a"), p.serving("a")
    assert best is not None and p.record(str(row.run_id)).parameters == best.parameters
    assert len(p.event_log.instance.fetch_materializations(key_of("dataset"), limit=9).records) == 1


@pytest.mark.parametrize(
    ("names", "config", "said"),
    [
        (("deployment/testing",), {}, "mlops deploy KEY --stage testing"),
        ((*PLAIN, "deployment/testing"), {"stage": "production"}, "select deployment/production"),
        ((*PLAIN, "deployment/testing"), {"params": {"alpha": 2.0}}, "leave it out, or select the model without"),
    ],
)
def test_what_cannot_be_is_refused(p: OpenedProject, names: tuple[str, ...], config: Any, said: str) -> None:
    job = build_definitions(p.project).resolve_implicit_global_asset_job_def()
    with pytest.raises(MlopsError, match=said):
        job.execute_in_process(
            partition_key="a",
            asset_selection=[key_of(name) for name in names],
            instance=p.event_log.instance,
            run_config={"ops": {"lifecycle": {"config": config}}},
        )
    assert not p.serving() and len(p.runs()) == 0
