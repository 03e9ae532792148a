"""The project manager on the command line: plan, apply, a plan that is kept, and the history it leaves."""

import json
import subprocess
import sys

from tests.end_to_end.conftest import ProjectFolder


def answered(folder: ProjectFolder, answer: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command with someone at the keyboard, who answers so; nobody where it is empty."""
    return subprocess.run(
        [sys.executable, "-m", "mlops_assets.cli.app", *arguments],
        cwd=folder.path,
        env=folder.environment,
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_apply_shows_its_plan_and_asks(folder: ProjectFolder) -> None:
    for answer, told in (("n\n", "nothing was applied"), ("", "nobody answered; --yes applies without asking")):
        refused = answered(folder, answer, "apply")
        assert refused.returncode == 1 and told in refused.stderr and "Traceback" not in refused.stderr
        assert "new: a, b" in refused.stdout
        assert folder.json("plan")["new"] == ["a", "b"]
    agreed = answered(folder, "y\n", "apply", "--why", "the first two")
    assert agreed.returncode == 0 and "applied: 2 new" in agreed.stdout, agreed.stderr
    assert folder.json("plan")["new"] == []
    again = folder.mlops("apply")  # nothing to do, nobody to ask
    assert "0 new, 0 changed, 0 retired, 2 unchanged" in again.stdout and "Apply this" not in again.stderr
    assert folder.json("history", "a")[0]["why"] == "the first two"


def test_a_plan_says_what_changes_and_for_whom(folder: ProjectFolder) -> None:
    keys = [f"k{number:02d}" for number in range(60)]
    folder.declare(dict.fromkeys(keys, 1.0))
    folder.mlops("apply", "--yes")
    folder.declare({**dict.fromkeys(keys[1:], 2.0), "new1": 1.0, "k59": 3.0})
    plan = folder.json("plan")
    assert (plan["new"], plan["retired"], plan["unchanged"]) == (["new1"], ["k00"], 0)
    assert plan["changed"]["k01"] == [{"path": "config.slope", "before": 1.0, "after": 2.0, "origin": "subproject"}]
    assert len(plan["changed"]) == 59 and plan["brought_back"] == {}

    text = folder.mlops("plan").stdout
    assert "1 new, 59 changed, 1 retired, 0 unchanged" in text.splitlines()[0]
    (common,) = [line for line in text.splitlines() if "2.0" in line]
    assert " ".join(common.split()) == "config.slope 1.0 2.0 subproject 58 k01, k02, k03, k04, k05 and 53 more"
    assert "retired (their history stays): k00" in text
    everything = folder.mlops("plan", "--limit", "0").stdout
    assert "k42" in everything and "more" not in everything

    some = folder.mlops("plan", "k5*").stdout
    assert "of 1 new, 59 changed" in some and "k50" in some and "k01" not in some and "new1" not in some
    assert folder.json("plan", "--tag", "kind=n")["new"] == ["new1"]
    assert folder.json("plan", "k00")["retired"] == ["k00"]
    assert "nearest: k07" in folder.refused("plan", "k007")
    assert "leave out the subprojects" in folder.refused("plan", "k5*", "--out", "plan.json")


def test_a_kept_plan_is_applied_as_it_was_shown_or_not_at_all(folder: ProjectFolder) -> None:
    folder.mlops("plan", "--out", "plan.json")
    assert json.loads((folder.path / "plan.json").read_text())["new"] == ["a", "b"]
    shown = folder.json("plan")
    (folder.path / "shown.json").write_text(json.dumps(shown))

    folder.declare({"a": 1.0, "b": 5.0, "c": 1.0})
    refused = folder.refused("apply", "--plan", "plan.json", "--yes")
    assert "declared otherwise than when the plan was made: c" in refused
    assert folder.json("plan")["new"] == ["a", "b", "c"]

    folder.declare({"a": 1.0, "b": -2.0})
    applied = folder.mlops("apply", "--plan", "shown.json", "--yes")
    assert "applied: 2 new" in applied.stdout
    refused = folder.refused("apply", "--plan", "plan.json", "--yes")
    assert "registered since the plan was made: 2 subprojects (a, b), last by" in refused

    folder.declare({"a": 1.0})
    folder.mlops("plan", "--out", "retire.json")
    assert "--allow-retire" in folder.refused("apply", "--plan", "retire.json", "--yes")
    assert "1 retired" in folder.mlops("apply", "--plan", "retire.json", "--yes", "--allow-retire").stdout

    folder.write("notes.json", '{"new": []}')
    assert "notes.json is not a plan" in folder.refused("apply", "--plan", "notes.json", "--yes")
    assert folder.mlops("apply", "--plan", "absent.json", check=False).returncode == 2
    (folder.path / "some.json").write_text(json.dumps(folder.json("plan", "a")))
    assert "some.json is not a plan" in folder.refused("apply", "--plan", "some.json", "--yes")


def test_a_subproject_that_comes_back_has_its_history(folder: ProjectFolder) -> None:
    folder.mlops("apply", "--yes")
    folder.declare({"a": 1.0})
    folder.mlops("apply", "--yes", "--allow-retire", "--why", "b is sold")
    assert "unknown subproject 'b'" in folder.refused("run", "b")
    folder.declare({"a": 1.0, "b": 7.0})
    plan = folder.mlops("plan").stdout
    assert "0 new, 0 changed, 1 brought back, 0 retired, 1 unchanged" in plan
    assert "brought back, with their history: b" in plan and "-2.0  7.0" in plan
    folder.mlops("apply", "--yes")

    history = folder.json("history", "b")
    assert [entry["what"] for entry in history] == ["registered", "retired", "brought back"]
    assert history[1]["why"] == "b is sold" and history[1]["configuration"] is None
    assert history[2]["changes"][0]["before"] == -2.0 and history[2]["configuration"]["config"]["slope"] == 7.0
    text = folder.mlops("history", "b").stdout
    assert "3 entries, newest first" in text and "b is sold" in text
    assert "nearest: a" in folder.refused("history", "A")
