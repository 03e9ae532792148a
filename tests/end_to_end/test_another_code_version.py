"""Two versions of a project's code, in git, side by side."""

import subprocess

from tests.end_to_end.conftest import PIPELINE, ProjectFolder


def git(folder: ProjectFolder, *arguments: str) -> str:
    own = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run([*own, *arguments], cwd=folder.path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: ProjectFolder, message: str) -> str:
    git(folder, "add", "lines", "workspace.yaml", ".gitignore")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def test_an_earlier_version_runs_beside_the_code_at_hand(folder: ProjectFolder) -> None:
    folder.write(".gitignore", "__pycache__/\n.mlops/\n")
    git(folder, "init", "-q", "-b", "main")
    first = commit(folder, "Ridge")
    git(folder, "tag", "v1")
    folder.write("lines/pipeline.py", PIPELINE.replace("Ridge(alpha=params.alpha)", "Ridge(alpha=30 * params.alpha)"))
    second = commit(folder, "More of it")
    folder.mlops("apply", "--yes")

    (at_hand,) = folder.json("run", "a", "--seed", "1")
    (earlier,) = folder.json("run", "a", "--seed", "1", "--code-version", "v1")
    listed = {record["run_id"]: record for record in folder.json("runs", "a")}
    assert listed.keys() == {at_hand["run_id"], earlier["run_id"]}
    assert (at_hand["commit"], earlier["commit"]) == (second, first)
    assert not at_hand["dirty"] and not earlier["dirty"]
    assert at_hand["code_version"] != earlier["code_version"] and at_hand["fingerprint"] != earlier["fingerprint"]
    assert at_hand["data_version"] == earlier["data_version"]
    shown = [folder.json("show", record["run_id"]) for record in (at_hand, earlier)]
    assert shown[0]["predictions"] != shown[1]["predictions"]
    assert shown[1]["code_version"]["archive"] is not None and shown[0]["code_version"]["patch"] is None
    assert git(folder, "status", "--porcelain") == "" and git(folder, "rev-parse", "HEAD") == second

    # The code of v1, back in the working folder and not committed: the same code version, known as a patch.
    folder.write("lines/pipeline.py", PIPELINE)
    (dirty,) = folder.json("run", "a", "--seed", "1")
    assert dirty["dirty"] and dirty["commit"] == second
    assert (dirty["code_version"], dirty["fingerprint"]) == (earlier["code_version"], earlier["fingerprint"])
    record = folder.json("show", dirty["run_id"])
    assert record["predictions"] == shown[1]["predictions"]
    patch = (folder.home / "artifacts" / record["code_version"]["patch"]).read_text()
    assert "-        return Ridge(alpha=30 * params.alpha)" in patch
    assert "+        return Ridge(alpha=params.alpha)" in patch

    unknown = folder.refused("run", "a", "--code-version", "v2")
    assert "'v2'" in unknown and "v1" in unknown
    assert len(folder.json("runs")) == 3
