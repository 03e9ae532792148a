"""The code of runs beside each other: its files, patch and commits, in git and outside of it."""

import subprocess

from mlops_assets.tracking.record import RunRecord, new_run_id
from tests.tracking.comparable_runs import Rivers, changed, lines
from tests.tracking.comparable_runs import first as first
from tests.tracking.comparable_runs import once as once
from tests.tracking.comparable_runs import rivers as rivers

FEATURE = (
    'X[["level", "rain"]].to_numpy(dtype=float), np.',
    'X[["level", "rain"]], (X["region"] == "delta") * X["level"], np.',
)
RENAMED = (("alpha: float = 1.0", "strength: float = 1.0"), ("Ridge(params.alpha)", "Ridge(params.strength)"))


def git(rivers: Rivers, *arguments: str) -> str:
    own = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run([*own, *arguments], cwd=rivers.path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_feature_added_between_the_runs_is_a_patch_in_git_and_a_better_slice(rivers: Rivers) -> None:
    rivers.write(".gitignore", "home/\n__pycache__/\n")
    git(rivers, "init", "-q")
    git(rivers, "add", ".")
    git(rivers, "commit", "-qm", "Level and rain")
    first = rivers.run()
    rivers.code(FEATURE)
    git(rivers, "commit", "-qam", "The delta's own slope")
    rivers.write("rivers/notes.md", "prose is not code")
    rivers.write("rivers/extra.py", "X = 1\n")
    second = rivers.run()
    found = rivers.compared(first, second)
    assert not found.code.same and found.notes == ()
    assert [(line["path"], line["change"]) for line in lines(found.code.files)] == [
        ("extra.py", "added"),
        ("pipeline.py", "changed"),
    ]
    patch = found.code.patch("b", "pipeline.py")
    assert (
        f"-        return np.column_stack([{FEATURE[0]}" in patch
        and f"+        return np.column_stack([{FEATURE[1]}" in patch
    )
    assert [(line["only_in"], line["subject"], line["author"]) for line in lines(found.code.commits)] == [
        ("b", "The delta's own slope", "Ada")
    ]
    assert "extra.py" in found.code.uncommitted["b"] and list(found.code.versions["dirty"]) == [False, True]
    # The diff is one that makes b's code of a's.
    git(rivers, "worktree", "add", "-q", "elsewhere", str(first.code_version.commit))
    (rivers.path / "whole.patch").write_text(found.code.patch())
    subprocess.run(["git", "apply", "../../whole.patch"], cwd=rivers.path / "elsewhere/rivers", check=True)
    for file in ("pipeline.py", "extra.py"):
        assert (rivers.path / "elsewhere/rivers" / file).read_text() == (rivers.path / "rivers" / file).read_text()

    assert list(found.row_summary["verdict"]) == ["b better"]
    best = lines(found.slices)[0]
    assert (best["column"], best["slice"], best["verdict"]) == ("region", "delta", "b better")


def test_code_outside_of_git_is_compared_from_its_archives(rivers: Rivers, first: RunRecord) -> None:
    rivers.code(*RENAMED)
    found = rivers.compared(first, rivers.run())
    assert [(line["path"], line["change"]) for line in lines(found.code.files)] == [("pipeline.py", "changed")]
    assert lines(found.code.files)[0]["added_lines"] == lines(found.code.files)[0]["removed_lines"] == 2
    assert len(found.code.commits) == 0


def test_a_renamed_parameter_is_only_in_one_of_both_and_its_new_name_is_guessed(rivers: Rivers) -> None:
    first = rivers.run(params={"alpha": 7.0})
    rivers.code(*RENAMED)
    found = rivers.compared(first, rivers.run(params={"strength": 7.0}))
    assert changed(found.configuration) == {"params.alpha": "only in a", "params.strength": "only in b"}
    notes = {str(line["field"]): line["note"] for line in lines(found.configuration)}
    assert (notes["params.alpha"], notes["params.strength"]) == ("perhaps strength in b", "perhaps alpha in a")
    assert found.verdict(rows=False) == "a and b predict the same for every row"


def test_a_commit_that_is_gone_is_said_so_and_the_rest_is_compared(rivers: Rivers) -> None:
    git(rivers, "init", "-q")
    git(rivers, "add", "rivers")
    git(rivers, "commit", "-qm", "First")
    first = rivers.run()
    code = first.code_version.model_copy(update={"commit": "1" * 40, "digest": "2" * 64})
    found = rivers.compared(first, first.model_copy(update={"run_id": new_run_id(), "code_version": code}))
    assert not found.code.same and len(found.code.files) == 0
    assert sum("1111111" in note and "fetch it" in note for note in found.notes) == 2
    assert len(found.metrics) and len(found.rows)
