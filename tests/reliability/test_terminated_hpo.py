"""An HPO run that is started and terminated in the web UI: real server, real run process, real workers."""

import psutil
import pytest

from tests.end_to_end.conftest import ProjectFolder
from tests.end_to_end.web_servers import serving, wait_for
from tests.reliability.test_killed_fleet import gone
from tests.reliability.test_killed_hpo import HPO, is_complete, runs
from tests.reliability.test_killed_hpo import slow as slow

LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "lines.definitions"}
LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = """mutation Terminate($id: String!) { terminateRun(runId: $id) {
  __typename ... on PythonError { message } } }"""
STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
SECONDS = 30
# A run takes half a second however busy the machine is, and the termination has to come before the last of them.
TRIALS = 24
RUNS = TRIALS * 3


@pytest.mark.parametrize("slow", ["ray"], indirect=True)
def test_terminated_from_the_ui_its_workers_end_and_it_can_be_resumed(slow: ProjectFolder) -> None:
    declared = slow.path / "lines/project.py"
    declared.write_text(declared.read_text().replace(HPO, HPO.replace("trials=8", f"trials={TRIALS}")))
    slow.mlops("apply", "--yes")
    with serving(slow) as web:
        selector = {**LOCATION, "jobName": "optimise"}
        config = {"ops": {"optimise_each": {"config": {"subprojects": ["a"]}}}}
        launched = web.ask(LAUNCH, params={"selector": selector, "runConfigData": config, "mode": "default"})
        assert launched["launchRun"]["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["launchRun"]["run"]["runId"]

        def status() -> str:
            return str(web.ask(STATUS, id=run_id)["runOrError"]["status"])

        kept = slow.path / ".mlops/artifacts/runs/lines/a"
        wait_for(lambda: len(list(kept.glob("*/record.json"))) >= 4 or status() == "FAILURE", 120, "the first runs")
        assert status() == "STARTED"
        workers = _workers_of(slow)
        assert len(workers) > 1
        web.ask(TERMINATE, id=run_id)
        wait_for(lambda: status() not in ("STARTED", "CANCELING"), SECONDS, "the run is cancelled")
        assert status() == "CANCELED"
        gone(workers)
    done = {run["run_id"] for run in runs(slow)}
    assert 4 <= len(done) < RUNS, "terminated too late to test anything"
    slow.mlops("hpo", "a", "--resume")
    is_complete(slow, ["a"], RUNS)
    assert done <= {run["run_id"] for run in runs(slow)}


def _workers_of(folder: ProjectFolder) -> list[psutil.Process]:
    """What works for the project now: worker processes, or a Ray cluster without its own agents."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("MLOPS_HOME") == str(folder.home)
            named = process.name().startswith(("raylet", "ray::IDLE", "ray::perform"))
            found += [process] if ours and (named or "serve(desk" in " ".join(process.cmdline())) else []
        except psutil.Error:
            continue  # another user's, or it has just ended
    return found
