"""Stages and what serves there, as a notebook uses them; with events and ledger in SQLite and in Postgres."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.assets.deployment import ENTRY
from mlops_assets.opened_project import OpenedProject
from partitions.errors import MlopsError, UnknownName
from resources.ledger.deployment import Deployment
from tests.public.staged_project import AUGUST, JULY, JUNE, results, served, shown, staged
from tests.public.staged_project import p as p


def test_a_model_gets_to_production_is_replaced_and_comes_back(stored_in: str, folder: Path) -> None:
    p = staged(folder)
    first = p.deploy(["a", "b"], stage="testing", why="the first one", now=JUNE)
    assert results(first) == {"a": "deployed", "b": "deployed"}
    run = first[0].run_id if first[0].subproject == "a" else first[1].run_id
    record = p.record(str(run))
    assert (record.kind, record.stage, record.status) == ("retrain", "testing", "succeeded")

    again = p.retrain("a", stage="testing", now=JUNE)
    assert results(again) == {"a": "unchanged"} and str(run) in again[0].said and len(p.runs("a")) == 1

    (bad,) = p.retrain("a", stage="testing", now=JULY)
    assert bad.result == "rejected" and "threshold_rmse" in bad.said and served(p)["a", "testing"] == run
    rejected = p.record(str(bad.run_id))
    assert rejected.status == "rejected" and rejected.error is not None and "threshold_rmse" in rejected.error.message
    assert p.state(str(bad.run_id)).test is not None, "nothing of it is lost"

    promoted = p.promote(["a", "b"], source="testing", target="production", why="a month went well")
    assert results(promoted) == {"a": "deployed", "b": "deployed"} and served(p)["a", "production"] == run
    before = p.ledger.history("lines")[-1].at
    (new,) = p.retrain("a", stage="production", now=AUGUST, reason="schedule", due={"a": AUGUST.isoformat()})
    assert served(p)["a", "production"] == new.run_id and served(p)["a", "archive"] == run
    assert p.deployments("a", at=before, stage="production")["run_id"].tolist() == [run]
    row = next(row for row in p.serving("a") if row.stage == "production")
    assert row.evidence["reason"] == "schedule" and row.evidence["due"] == AUGUST.isoformat()
    assert row.evidence["parity"]["identical"] and row.evidence["parity"]["rows"] == 30
    assert [verdict["outcome"] for verdict in row.evidence["verdicts"]] == ["pass", "pass"]
    assert row.strategy["type"] == "canary" and row.configuration["window"]["until"].startswith("2013-08-01")

    (back,) = p.rollback("a", stage="production", why="the new one is slow")
    assert back.result == "deployed" and served(p)["a", "production"] == run and served(p)["a", "archive"] == new.run_id
    (same,) = p.retrain("a", stage="production", now=AUGUST)
    assert same.result == "unchanged" and "rolled back" in same.said
    (off,) = p.undeploy("a", stage="production", why="no flights any more")
    assert off.result == "undeployed" and ("a", "production") not in served(p)
    assert served(p)["b", "production"] == served(p)["b", "testing"]

    for stage in ("testing", "production", "archive"):
        assert shown(p, "a", stage) == [row.sequence for row in p.deployment_history("a", stage)]


def test_what_is_decided_is_seen_in_dagster(p: OpenedProject) -> None:
    p.deploy("a", stage="testing", why="the first one", now=JUNE)
    (bad,) = p.retrain("a", stage="testing", now=JULY)
    (event,) = p.event_log.latest(("lines", "deployment", "testing"), ["a"]).values()
    deployment = Deployment.model_validate_json(event.metadata[ENTRY])
    assert deployment == p.serving("a")[0] and deployment.model is not None
    assert event.tags["dagster/data_version"] == deployment.model.digest
    assert "`threshold_rmse` | pass" in event.metadata["gates"]
    (seen,) = p.event_log.events(("lines", "deployment", "testing"), ["a"], "observation")
    assert seen.metadata["decision"] == "rejected" and seen.metadata["run_id"] == bad.run_id
    verdicts = {row["check"]: row for row in p.last_verdicts("a")}
    assert verdicts["threshold_rmse"]["outcome"] == "fail" and verdicts["threshold_rmse"]["run_id"] == bad.run_id
    assert verdicts["threshold_rmse"]["stops"] and verdicts["threshold_rmse"]["stage"] == "testing"
    # The metrics of the bad month are there to be seen; the model is the one that serves.
    metrics = p.event_log.latest(("lines", "metrics"), ["a"])["a"]
    model = p.event_log.latest(("lines", "model"), ["a"])["a"]
    assert (metrics.metadata["run_id"], model.metadata["run_id"]) == (bad.run_id, deployment.run_id)


def test_a_stage_with_gates_of_its_own_asks_them_when_a_model_is_promoted(folder: Path) -> None:
    p = staged(folder, staging=0.01)
    p.deploy(["a", "b"], stage="testing", why="good enough there")
    decisions = p.promote("a", source="testing", target="staging", why="let us see")
    assert results(decisions) == {"a": "rejected"} and ("a", "staging") not in served(p)
    (verdict,) = decisions[0].verdicts
    assert verdict.threshold["max"] == 0.01
    # Past it, to a stage that asks for less: the one that was left out stands in the evidence.
    (over,) = p.promote("a", source="testing", target="production", why="it is urgent")
    assert over.deployment is not None and over.deployment.evidence["promoted_from"]["over"] == ["staging"]
    again = p.promote(["a", "b"], source="testing", target="production", why="both")
    assert results(again) == {"a": "unchanged", "b": "deployed"}


def test_fixed_parameters_and_the_best_configuration(folder: Path) -> None:
    p = staged(folder, retraining=", configuration={'alpha': 0.5}")
    best = p.run("a", params={"alpha": 3.0}, seed=1)[0]
    p.set_best("a", best.run_id, why="it looks best")
    p.deploy("a", stage="testing", why="the best one")
    p.deploy("a", stage="production", why="the fixed one")
    rows = {row.stage: p.record(str(row.run_id)).parameters["alpha"] for row in p.serving("a")}
    assert rows == {"testing": 3.0, "production": 0.5}


def test_rollback_goes_further_back_each_time_or_to_the_one_asked_for(p: OpenedProject) -> None:
    for number in range(3):
        p.deploy("a", stage="testing", why=f"number {number}", now=JUNE + timedelta(days=number))
    one, two, three = p.deployment_history("a", "testing")
    assert p.rollback("a", stage="testing", why="back")[0].run_id == two.run_id
    assert p.rollback("a", stage="testing", why="further back")[0].run_id == one.run_id
    with pytest.raises(MlopsError, match="no earlier deployment to go back to"):
        p.rollback("a", stage="testing", why="past the first")
    (asked,) = p.rollback("a", stage="testing", why="the newest after all", to=three.sequence)
    assert asked.run_id == three.run_id and asked.deployment is not None
    assert asked.deployment.restores == three.sequence and asked.deployment.action == "rollback"
    with pytest.raises(MlopsError, match="99 is no deployment of 'testing'; there are: 1, 2, 3"):
        p.rollback("a", stage="testing", why="x", to=99)
    with pytest.raises(MlopsError, match="serves in 'testing' already"):
        p.rollback("a", stage="testing", why="x", to=three.sequence)
    position = p.ledger.position()
    p.undeploy("a", stage="testing", why="off")
    assert p.rollback("a", stage="testing", why="on again")[0].run_id == three.run_id
    assert p.ledger.position() == position + 2


def test_a_model_file_that_was_damaged_does_not_serve(p: OpenedProject) -> None:
    for number in range(2):
        p.deploy("a", stage="testing", why=f"number {number}", now=JUNE + timedelta(days=number))
    first = p.deployment_history("a", "testing")[0]
    assert first.model is not None
    file = Path(p.artifacts.url, first.model.uri)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(MlopsError, match="is damaged"):
        p.rollback("a", stage="testing", why="back")
    assert p.serving("a")[0].run_id != first.run_id


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: p.deploy("a", stage="prod", why="x"), "unknown stage 'prod'; nearest: production .*it has testing"),
        (lambda p: p.deploy("a", stage="archive", why="x"), "gets into 'archive' by being replaced"),
        (lambda p: p.deploy("a", stage="testing", why=" "), "say why"),
        (lambda p: p.deploy("c", stage="testing", why="x"), "unknown subproject 'c'"),
        (
            lambda p: p.retrain("a", stage="testing"),
            "nothing is deployed to 'testing' .*mlops deploy a --stage testing",
        ),
        (lambda p: p.promote("a", source="testing", target="production", why="x"), "nothing serves in 'testing'"),
        (lambda p: p.promote("a", source="production", target="testing", why="x"), "does not come after 'production'"),
        (lambda p: p.promote("a", source="testing", target="testing", why="x"), "does not come after 'testing'"),
        (lambda p: p.rollback("a", stage="testing", why="x"), "no earlier deployment"),
        (lambda p: p.rollback(["a", "b"], stage="testing", why="x", to=1), "one subproject, and 2 are named"),
        (lambda p: p.undeploy("a", stage="testing", why="x"), "nothing serves in 'testing'"),
        (lambda p: p.deploy("a", stage="testing", why="x", code_version="v9"), "v9|no git repository"),
        (lambda p: p.deployments("a", at="yesterday"), "'yesterday' is no ISO 8601 time"),
        (lambda p: p.deployments(stage="prod"), "unknown stage 'prod'"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(p: OpenedProject, call: object, said: str) -> None:
    with pytest.raises(MlopsError, match=said):
        call(p)  # type: ignore[operator]
    assert p.ledger.position() == 0 and p.runs().empty


def test_a_code_version_may_skip_a_stage_and_that_is_said(p: OpenedProject) -> None:
    p.deploy("a", stage="testing", why="the usual way")
    (decision,) = p.deploy("a", stage="production", why="it is urgent")
    assert decision.deployment is not None and decision.deployment.evidence["code_not_in"] == ["staging"]
    assert "does not serve in staging" in decision.said


def test_a_stage_may_follow_a_branch(folder: Path) -> None:
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org")

    def commit(message: str) -> None:
        for arguments in (("add", "lines"), ("commit", "-q", "-m", message)):
            subprocess.run([*git, *arguments], cwd=folder, check=True)

    (folder / ".gitignore").write_text("__pycache__/\n")
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=folder, check=True)
    p = staged(folder, retraining=", follow='main'")
    commit("as it is")
    (first,) = p.retrain("a", stage="production", now=JUNE)
    code = (folder / "lines" / "pipeline.py").read_text()
    (folder / "lines" / "pipeline.py").write_text(code.replace("1e9", "1e8"))
    commit("another baseline")
    (second,) = p.retrain("a", stage="production", now=JUNE)
    assert [first.result, second.result] == ["deployed", "deployed"], "the data is the same, the code is not"
    commits = [p.record(str(decision.run_id)).code_version.commit for decision in (first, second)]
    assert len(set(commits)) == 2 and {row.revision for row in p.deployment_history("a")} == {"main"}


def test_deployed_models_are_kept_by_a_collection(p: OpenedProject) -> None:
    p.deploy("a", stage="testing", why="the first one", now=JUNE)
    p.retrain("a", stage="testing", now=AUGUST)
    (bad,) = p.retrain("a", stage="testing", now=JULY)
    kept = p.gc(dry_run=True, keep=0, older_than=0).protected
    assert {run_id for run_id, rules in kept.items() if "deployed" in rules} == {
        str(row.run_id) for row in p.deployment_history("a")
    }
    assert bad.run_id not in kept


def test_what_is_declared_no_more_can_be_taken_off(p: OpenedProject, folder: Path) -> None:
    p.deploy("b", stage="testing", why="while it lasts")
    p = staged(folder, {"a": 1.0}, retire=True)
    assert p.subprojects == ["a"] and served(p).keys() == {("b", "testing")}
    with pytest.raises(UnknownName, match="unknown subproject 'b'"):
        p.retrain("b", stage="testing")
    assert p.undeploy("b", stage="testing", why="nobody flies there")[0].result == "undeployed"
    assert served(p) == {}
    with pytest.raises(UnknownName, match="unknown subproject 'c'"):
        p.undeploy("c", stage="testing", why="it never was")
