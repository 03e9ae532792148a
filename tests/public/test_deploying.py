"""Stages and what serves there, as a notebook uses them; with events and ledger in SQLite and in Postgres."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.decision import Decision
from mlops_assets.assets.deployment import ENTRY, announce, never_announced, unannounced
from mlops_assets.assets.gating import Attempt
from mlops_assets.automation.jobs import retrain_job
from mlops_assets.checks import ExpectationChecks, GateChecks
from mlops_assets.opened_project import DeployFailed, OpenedProject
from partitions.errors import MlopsError, UnknownName
from resources.ledger.deployment import Deployment, ModelFile, NewDeployment
from tests.end_to_end.staged_lines import STAGED_PIPELINE, project_text
from tests.public.conftest import opened

JUNE, JULY, AUGUST = (datetime(2013, month, 1, tzinfo=UTC) for month in (6, 7, 8))
AT_ONCE = timedelta(0)


def staged(
    folder: Path, slopes: dict[str, float] | None = None, retire: bool = False, **fields: object
) -> OpenedProject:
    (folder / "lines" / "pipeline.py").write_text(STAGED_PIPELINE)
    (folder / "lines" / "project.py").write_text(project_text(slopes, **fields))  # type: ignore[arg-type]
    p = opened(folder)
    p.apply(allow_retire=retire)
    return p


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    return staged(folder)


def served(p: OpenedProject) -> dict[tuple[str, str], str]:
    """The run that serves, by subproject and stage."""
    return {(row.subproject, row.stage): str(row.run_id) for row in p.serving()}


def results(decisions: list[Decision]) -> dict[str, str]:
    return {decision.subproject: decision.result for decision in decisions}


def shown(p: OpenedProject, key: str, stage: str) -> list[int]:
    """The sequences that the materialisations of a stage tell of."""
    events = p.event_log.events(("lines", "deployment", stage), [key])
    return [int(event.metadata["sequence"]) for event in events]


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


def test_one_that_fails_stops_only_itself(folder: Path) -> None:
    p = staged(folder, {"a": 1.0, "b": 2.0}, troubles={"b": "fit"})
    with pytest.raises(DeployFailed, match="cannot be fitted") as failed:
        p.deploy(["a", "b"], stage="testing", why="both")
    assert results(failed.value.decisions) == {"a": "deployed", "b": "failed"}
    assert served(p).keys() == {("a", "testing")}
    run = p.runs("b")["dagster_run_id"][0]
    assert p.unfinished(run).keys == ["b"] and p.unfinished(run).job == "retrain"
    p = staged(folder, {"a": 1.0, "b": 2.0})
    assert [record.subproject for record in p.finish(run)] == ["b"]
    assert served(p).keys() == {("a", "testing"), ("b", "testing")}


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


def test_a_deployment_that_is_not_shown_is_shown_by_the_next_one_and_by_a_repair(p: OpenedProject) -> None:
    p.deploy(["a", "b"], stage="testing", why="the first one", now=JUNE)
    row = p.serving("a")[0]
    # As a process that was killed between the ledger and the event log leaves it.
    fields = {name: getattr(row, name) for name in NewDeployment.model_fields if name != "deployment_id"}
    model = ModelFile(uri="sha256/ff", digest="f" * 64, bytes=1)
    p.ledger.append([NewDeployment(**fields | {"replaces": row.sequence, "run_id": "another", "model": model})])
    assert unannounced(p.event_log, p.ledger, "lines") == [], "it may be on its way"
    (missed,) = unannounced(p.event_log, p.ledger, "lines", AT_ONCE)
    assert missed.run_id == "another" and announce(p.event_log, [missed]) == 1
    assert unannounced(p.event_log, p.ledger, "lines", AT_ONCE) == []
    assert shown(p, "a", "testing") == [row.sequence, missed.sequence]

    p.event_log.instance.wipe_assets([dg.AssetKey(["lines", "deployment", "testing"])])
    everything = never_announced(p.event_log, p.ledger, "lines", AT_ONCE)
    assert [one.sequence for one in everything] == [1, 2, 3]
    assert announce(p.event_log, everything) == 3 and shown(p, "b", "testing") == [2]


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


def test_a_run_that_was_never_deployed_is_taken_as_it_is_if_it_is_whole(p: OpenedProject) -> None:
    attempt = Path(p.artifacts.url, "attempts", "lines", "a", "testing.json")
    # The gates are asked over nothing that serves; then it is as if it had been killed before the ledger had it.
    p.deploy("a", stage="staging", why="to have a run", now=JUNE)
    (rejected,) = p.deploy("a", stage="testing", why="to have an attempt", now=JULY)
    known = Attempt.model_validate_json(attempt.read_text())
    assert known.run_id == rejected.run_id and len(known.verdicts) == 2
    passed = tuple(verdict.model_copy(update={"outcome": "pass"}) for verdict in known.verdicts)
    attempt.write_text(known.model_copy(update={"verdicts": passed}).model_dump_json())
    (taken,) = p.deploy("a", stage="testing", why="again", now=JULY)
    assert taken.run_id == rejected.run_id and taken.result == "deployed" and attempt.read_text() == "{}"

    p.undeploy("a", stage="testing", why="off")
    attempt.write_text(known.model_copy(update={"verdicts": passed}).model_dump_json())
    Path(p.artifacts.url, p.record(str(taken.run_id)).artifacts["model"].uri).unlink()
    (anew,) = p.deploy("a", stage="testing", why="once more", now=JULY)
    assert anew.run_id != taken.run_id and anew.result == "rejected", "its model was gone, so it was trained anew"


def test_deployed_models_are_kept_by_a_collection(p: OpenedProject) -> None:
    p.deploy("a", stage="testing", why="the first one", now=JUNE)
    p.retrain("a", stage="testing", now=AUGUST)
    (bad,) = p.retrain("a", stage="testing", now=JULY)
    kept = p.gc(dry_run=True, keep=0, older_than=0).protected
    assert {run_id for run_id, rules in kept.items() if "deployed" in rules} == {
        str(row.run_id) for row in p.deployment_history("a")
    }
    assert bad.run_id not in kept


def test_a_dagster_run_done_again_leaves_alone_what_it_has_deployed(folder: Path) -> None:
    p = staged(folder, {"a": 1.0, "b": 2.0}, troubles={"b": "fit"})
    with pytest.raises(DeployFailed) as failed:
        p.deploy(["a", "b"], stage="testing", why="both", now=JUNE)
    first = p.event_log.instance.get_run_by_id(failed.value.dagster_run_id)
    assert first is not None
    p = staged(folder, {"a": 1.0, "b": 2.0})
    arrived: list[str] = []
    checks = Checks(ExpectationChecks("lines"), GateChecks(p.project))
    job = retrain_job(p.project, checks, p.mlops, lambda one: arrived.append(one.subproject))
    # What the web server does for "re-execute": the same run config, under the same root.
    again = p.event_log.instance.create_run_for_job(
        job,
        run_config=first.run_config,
        tags={"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id},
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
    )
    list(execute_run_iterator(InMemoryJob(job), again, p.event_log.instance))
    assert arrived == ["b"]
    assert {row.subproject for row in p.serving()} == {"a", "b"} and p.ledger.position() == 2
    assert p.finish(first.run_id) == []


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
