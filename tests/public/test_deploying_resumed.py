"""What failed or was cut short on its way to a stage is finished by the next one, and what arrived is left alone."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from mlops_assets.assets.check_ports import Checks
from mlops_assets.assets.deployment import announce, never_announced, unannounced
from mlops_assets.assets.gating import Attempt
from mlops_assets.automation.jobs import retrain_job
from mlops_assets.checks import ExpectationChecks, GateChecks
from mlops_assets.opened_project import DeployFailed, OpenedProject
from resources.ledger.deployment import ModelFile, NewDeployment
from tests.public.staged_project import JULY, JUNE, results, served, shown, staged
from tests.public.staged_project import p as p

AT_ONCE = timedelta(0)


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
