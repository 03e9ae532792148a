"""An HPO run that stopped in the middle goes on in this process; only one process at a time has it."""

from pathlib import Path

import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from mlops_assets.assets.optimising.board import Board, OnNews
from mlops_assets.assets.optimising.lane import News
from mlops_assets.definitions import build_definitions
from mlops_assets.opened_project import OpenedProject
from mlops_assets.tracking.hpo_run import HPORun, HPORuns
from partitions.errors import MlopsError
from resources.artifacts import ArtifactStore
from tests.public.conftest import opened
from tests.public.hpo_lines import declare_hpo

PLAIN = "alpha=Float(0.01, 1000.0, log=True)"


class Stopped(RuntimeError):
    """Stands for whatever ends a driver."""


def stop_after(count: int) -> OnNews:
    heard = 0

    def hear(news: News, _: Board) -> None:
        nonlocal heard
        heard += news.what == "run"
        if heard > count:
            raise Stopped

    return hear


@pytest.fixture
def p(folder: Path, stored_in: str) -> OpenedProject:
    declare_hpo(folder, [("a", 1.0, "")], space=PLAIN)
    return opened(folder)


def stopped(p: OpenedProject) -> HPORun:
    with pytest.raises(Stopped):
        p.hpo("a", trials=30, on_news=stop_after(5))
    return HPORuns(p.event_log, "lines").open(["a"])["a"]


def test_it_goes_on_as_the_same_hpo_run_with_what_it_had(p: OpenedProject) -> None:
    run = stopped(p)
    before = set(p.runs("a")["run_id"])
    assert 5 < len(before) < 60
    (done,) = p.hpo("a", resume=True)
    runs = p.runs("a")
    assert done.summary.hpo_run_id == run.hpo_run_id and len(done.summary.trials) == 30
    assert len(runs) == 60 and before <= set(runs["run_id"]) and runs["fingerprint"].is_unique
    assert set(runs["parent"]) == {run.hpo_run_id}
    with pytest.raises(MlopsError, match="no HPO run to resume"):
        p.hpo("a", resume=True)


def test_a_run_that_was_kept_and_not_logged_is_logged_and_not_done_again(p: OpenedProject) -> None:
    run = stopped(p)
    kept = ArtifactStore(p.home.artifacts_url).list_documents("runs/lines/a")
    lost = {path.split("/")[-2] for path in kept} - set(p.runs("a")["run_id"])
    (done,) = p.hpo("a", resume=True)
    runs = p.runs("a")
    assert lost <= set(runs["run_id"]) and len(runs) == 60
    assert done.summary.hpo_run_id == run.hpo_run_id


def test_one_that_is_under_way_elsewhere_is_not_resumed(p: OpenedProject) -> None:
    run = stopped(p)
    with (
        p.registry.hpo_lock(run.dagster_run_id or "", "someone else"),
        pytest.raises(MlopsError, match="under way in another process"),
    ):
        p.hpo("a", resume=True)
    assert len(p.hpo("a", resume=True)) == 1


def test_a_new_one_begins_beside_one_that_was_stopped(p: OpenedProject) -> None:
    run = stopped(p)
    (done,) = p.hpo("a", trials=2)
    assert done.summary.hpo_run_id != run.hpo_run_id and done.summary.told >= 1
    with pytest.raises(MlopsError, match="no HPO run to resume"):
        p.hpo("a", resume=True)


def test_a_dagster_run_that_is_executed_again_goes_on_by_itself(
    p: OpenedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(p)
    monkeypatch.setenv("MLOPS_HOME", str(p.home.path))
    first = p.event_log.instance.get_run_by_id(run.dagster_run_id or "")
    assert first is not None
    with pytest.raises(MlopsError, match="mlops hpo a --resume"):
        p.unfinished(first.run_id)
    job = build_definitions(p.project).get_job_def("optimise")
    tags = {"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id}
    again = p.event_log.instance.create_run_for_job(
        job, run_config=first.run_config, tags=tags, parent_run_id=first.run_id, root_run_id=first.run_id
    )
    list(execute_run_iterator(InMemoryJob(job), again, p.event_log.instance))
    runs = p.runs("a")
    assert set(runs["parent"]) == {run.hpo_run_id} and len(runs) == 60 and runs["fingerprint"].is_unique
    assert HPORuns(p.event_log, "lines").open(["a"]) == {} and p.best("a") is not None
