"""Deploying from the command line, in processes of their own: one code version serves while another is worked on."""

from tests.end_to_end import staged_lines
from tests.end_to_end.conftest import ProjectFolder
from tests.end_to_end.staged_lines import STAGED_PIPELINE, project_text
from tests.end_to_end.test_another_code_version import commit, git


def outcome(folder: ProjectFolder, *arguments: str, ends: int = 0) -> dict[str, str]:
    """What became of each subproject."""
    rows = folder.json(*arguments, check=ends == 0)
    return {row["subproject"]: row["result"] for row in rows}


def test_a_stage_keeps_its_code_version_while_work_goes_on(folder: ProjectFolder) -> None:
    folder.write(".gitignore", "__pycache__/\n.mlops/\n")
    git(folder, "init", "-q", "-b", "main")
    staged_lines.declare(folder)
    first = commit(folder, "Ridge")
    git(folder, "tag", "v1")
    later = STAGED_PIPELINE.replace("alpha: float = 1.0", "alpha: float = 1.0\n    power: int = 1")
    folder.write("lines/pipeline.py", later.replace("Ridge(alpha=params.alpha)", "Ridge(alpha=3 * params.alpha)"))
    second = commit(folder, "More of it, and another parameter")

    deployed = ("deploy", "a", "b", "--stage", "production", "--code-version", "v1", "--why", "it is proven")
    assert outcome(folder, *deployed) == {"a": "deployed", "b": "deployed"}
    rows = {row["subproject"]: row for row in folder.json("deployments", "--stage", "production")}
    runs = {run["run_id"]: run for run in folder.json("runs")}
    assert {runs[row["run_id"]]["commit"] for row in rows.values()} == {first}
    assert {row["revision"] for row in rows.values()} == {"v1"} and rows["a"]["action"] == "deploy"

    # Retrained with the version that the stage has, though the code at hand is another one by now.
    retrained = ("retrain", "a", "--stage", "production", "--now", "2013-06-01T00:00:00+00:00")
    assert outcome(folder, *retrained) == {"a": "deployed"}
    (row,) = folder.json("deployments", "a", "--stage", "production")
    (run,) = (run for run in folder.json("runs", "a") if run["run_id"] == row["run_id"])
    assert (run["commit"], row["action"], row["revision"]) == (first, "retrain", "v1")
    assert row["code_version"] == rows["a"]["code_version"]
    assert "params.power" not in run or run["params.power"] is None

    # The new code in testing, at the same time; both are compared by code version.
    assert outcome(folder, "deploy", "a", "--stage", "testing", "--why", "try it") == {"a": "deployed"}
    commits = {run["commit"] for run in folder.json("runs", "a", "--where", "status = 'succeeded'")}
    assert commits == {first, second}
    assert outcome(folder, "promote", "a", "--from", "testing", "--to", "production", "--why", "x") == {"a": "deployed"}

    position = len(folder.json("deployments", "--history"))
    unknown = folder.refused("deploy", "a", "--stage", "testing", "--code-version", "v9", "--why", "x")
    assert "'v9'" in unknown and "v1" in unknown
    folder.write("lines/project.py", project_text({"a": 1.0, "b": -2.0, "c": 3.0}, params={"power": 2}))
    folder.mlops("apply", "--yes")
    lacking = folder.refused("deploy", "a", "--stage", "testing", "--code-version", "v1", "--why", "x")
    assert "code version v1" in lacking and "unknown parameter 'power'" in lacking and "nothing was started" in lacking
    missing = folder.refused("deploy", "c", "--stage", "testing", "--code-version", "v1", "--why", "x")
    assert "declares no subproject c" in missing
    assert len(folder.json("deployments", "--history")) == position


def test_what_people_read_and_how_commands_end(folder: ProjectFolder) -> None:
    staged_lines.declare(folder, {"a": 1.0, "ab": 2.0, "c": 3.0}, troubles={"c": "fit"})
    said = folder.mlops("deploy", "a*", "--stage", "testing", "--why", "the first ones")
    assert "2 subprojects: 2 deployed" in said.stdout and "2/2 " in said.stderr
    failed = folder.mlops("deploy", "--all", "--stage", "testing", "--why", "all of them", check=False)
    assert failed.returncode == 1 and "1 failed" in failed.stdout and "2 unchanged" in failed.stdout
    assert "cannot be fitted" in failed.stdout and "Traceback" not in failed.stdout + failed.stderr
    rejected = ("retrain", "a", "--stage", "testing", "--now", "2013-07-01", "--seed", "1")
    assert outcome(folder, *rejected, ends=1) == {"a": "rejected"}
    checks = folder.mlops("checks", "a").stdout
    assert "threshold_rmse" in checks and "fail" in checks
    # Beside noise the baseline may win or lose; the threshold stands.
    assert "threshold_rmse" in {row["check"] for row in folder.json("checks", "--failed")}
    assert outcome(folder, "undeploy", "--tag", "kind=a", "--stage", "testing", "--why", "off") == {
        "a": "undeployed",
        "ab": "undeployed",
    }
    assert "nothing is deployed" in folder.mlops("deployments").stdout
    back = folder.mlops("rollback", "a", "--stage", "testing", "--why", "on again")
    assert ["a", "testing", "deployed"] in [line.split()[:3] for line in back.stdout.splitlines()]
    history = folder.mlops("deployments", "a", "--history").stdout
    assert "the first ones" in history and "on again" in history
    for arguments in (("deploy", "a", "--stage", "testing"), ("promote", "a", "--to", "production", "--why", "x")):
        assert folder.mlops(*arguments, check=False).returncode == 2
