"""Planted causes of a difference between two runs are found again, one at a time and together."""

import math
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mlops_assets.opened_project import OpenedProject
from mlops_assets.tracking.explanation import Explanation
from tests.end_to_end.conftest import PIPELINE, ProjectFolder
from tests.end_to_end.test_replay_of_runs import forget, git, opened

# The same lines, as noisy as the environment says: another data version is one setting away.
NOISY = PIPELINE.replace("0.1 * random", 'float(os.environ.get("LINES_NOISE", "0.1")) * random')
HEAVIER = NOISY.replace("Ridge(alpha=params.alpha)", "Ridge(alpha=40 * params.alpha)")
SAID = NOISY.replace("Ridge(alpha=params.alpha)", "Ridge(alpha=params.alpha + params.bend)").replace(
    "alpha: float = 1.0", "alpha: float = 1.0\n    bend: float = 0.0"
)
BOUNDED = NOISY.replace("alpha: float = 1.0", "alpha: float = Field(default=1.0, le=10.0)").replace(
    "import numpy as np", "import numpy as np\nfrom pydantic import Field"
)
# The same split and the same model whatever the seed.
BY_PLACE = NOISY.replace(
    "    def build(",
    "    def split(self, data, params, seed):\n"
    "        from mlops_assets import Split\n\n"
    "        return Split(train=data.iloc[:80], test=data.iloc[80:])\n\n"
    "    def build(",
)


@pytest.fixture
def lines(folder: ProjectFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProjectFolder]:
    monkeypatch.chdir(folder.path)
    monkeypatch.syspath_prepend(str(folder.path))
    monkeypatch.setenv("MLOPS_BACKEND", "processes")
    for name in ("MLOPS_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder.write("lines/pipeline.py", NOISY)
    yield folder
    forget()


def parts(found: Explanation) -> dict[str, float]:
    """The parts by cause, once it is sure that they add up."""
    assert math.isclose(math.fsum(part.part for part in found.parts), found.difference, abs_tol=1e-12)
    return {part.cause: part.part for part in found.parts}


def verdicts(found: Explanation) -> dict[str, str]:
    return {part.cause: part.verdict for part in found.parts}


def made(p: OpenedProject) -> int:
    return len(p.runs("a", kind="replay"))


def new_data(p: OpenedProject, monkeypatch: pytest.MonkeyPatch, noise: str) -> None:
    monkeypatch.setenv("LINES_NOISE", noise)
    p.train(["a"], steps=["dataset"])


def test_code_alone_is_found_between_two_commits_and_asked_again_costs_nothing(lines: ProjectFolder) -> None:
    lines.write(".gitignore", "__pycache__/\n.mlops/\n")
    git(lines, "init", "-q", "-b", "main")
    git(lines, "add", "lines", "workspace.yaml", ".gitignore")
    git(lines, "commit", "-q", "-m", "Ridge")
    p = opened(lines)
    a = p.run("a", seed=1)[0]
    lines.write("lines/pipeline.py", HEAVIER)
    git(lines, "commit", "-q", "-a", "-m", "Heavier")
    b = p.run("a", seed=1)[0]
    # The folder has moved on: both codes are another one now.
    p = opened(lines, SAID)
    plan = p.explain_plan(a.run_id, b.run_id)
    assert (plan.parts, plan.combinations, plan.found, plan.to_run, plan.seeds_to_run) == (("code",), 2, 2, 0, 3)
    assert made(p) == 0
    found = p.explain(a.run_id, b.run_id)
    assert parts(found) == {"code": b.metrics["rmse"] - a.metrics["rmse"]} and verdicts(found) == {"code": "real"}
    assert found.parts[0].differs[1] == "1 file: pipeline.py"
    assert "worse" in found.headline() and "because of code" in found.headline()
    assert len(found.noise.values) == 4 and found.made == 3 == made(p)
    again = p.explain(a.run_id[-12:], b.run_id[-12:])
    assert again.made == 0 and made(p) == 3
    assert again.parts == found.parts and again.noise == found.noise
    back = p.explain(b.run_id, a.run_id, seeds=0)
    assert parts(back)["code"] == -parts(found)["code"] and verdicts(back) == {"code": "unknown"}


def test_data_alone_is_found_and_changed_test_rows_are_told(
    lines: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = opened(lines)
    a = p.run("a", seed=1)[0]
    new_data(p, monkeypatch, "0.5")
    b = p.run("a", seed=1)[0]
    assert a.data_version != b.data_version
    found = p.explain(a.run_id, b.run_id)
    assert list(parts(found)) == ["data"] and verdicts(found) == {"data": "real"}
    assert "0 rows added, 0 removed, 120 changed (in y)" in found.parts[0].differs
    # The same keys were judged there; with half of the rows gone they are others.
    p = opened(lines, NOISY.replace('"owner": owner})', '"owner": owner}).head(60)'))
    p.train(["a"], steps=["dataset"])
    p = opened(lines, NOISY)
    c = p.run("a", seed=1)[0]
    other = p.explain(b.run_id, c.run_id, seeds=0)
    assert list(parts(other)) == ["data"] and any("judged on its own test rows" in note for note in other.notes)


def test_configuration_alone_is_found_and_the_seed_alone_is_noise(lines: ProjectFolder) -> None:
    p = opened(lines)
    a, b = p.run("a", seed=1)[0], p.run("a", seed=1, params={"alpha": 40.0})[0]
    found = p.explain(a.run_id, b.run_id)
    assert verdicts(found) == {"configuration": "real"}
    assert found.parts[0].differs == ("params.alpha: 1.0 -> 40.0",)
    almost = p.run("a", seed=1, params={"alpha": 1.01})[0]
    assert verdicts(p.explain(a.run_id, almost.run_id)) == {"configuration": "noise"}
    seed = p.run("a", seed=9)[0]
    before = made(p)
    luck = p.explain(a.run_id, seed.run_id)
    assert verdicts(luck) == {"seed": "noise"} and "no cause has done more than the seed's noise" in luck.headline()
    # The seeds that the first question had run serve this one too.
    assert made(p) == before and 9 in luck.noise.seeds and len(luck.noise.seeds) == 5


def test_two_causes_are_split_as_their_combinations_say(lines: ProjectFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    p = opened(lines)
    a = p.run("a", seed=1)[0]
    new_data(p, monkeypatch, "0.5")
    b = p.run("a", seed=1, params={"alpha": 40.0})[0]
    plan = p.explain_plan(a.run_id, b.run_id)
    assert plan.parts == ("data", "configuration") and (plan.combinations, plan.to_run) == (4, 2)
    found = p.explain(a.run_id, b.run_id)
    assert set(verdicts(found).values()) == {"real"}
    # The same two combinations as anybody would run them are the same runs.
    data = p.run("a", seed=1)[0].metrics["rmse"]
    alpha = p.run("a", seed=1, params={"alpha": 40.0}, data_version=a.data_version)[0].metrics["rmse"]
    first, last = a.metrics["rmse"], b.metrics["rmse"]
    assert parts(found)["data"] == pytest.approx(((data - first) + (last - alpha)) / 2)
    assert parts(found)["configuration"] == pytest.approx(((alpha - first) + (last - data)) / 2)
    values = {combination.as_in_b: combination.value for combination in found.combinations}
    assert values == {(): first, ("data",): data, ("configuration",): alpha, ("data", "configuration"): last}


def test_all_four_causes_take_at_most_sixteen_runs(lines: ProjectFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    p = opened(lines)
    a = p.run("a", seed=1)[0]
    new_data(p, monkeypatch, "0.2")
    p = opened(lines, HEAVIER)
    b = p.run("a", seed=2, params={"alpha": 2.0})[0]
    plan = p.explain_plan(a.run_id, b.run_id)
    assert plan.parts == ("code", "data", "configuration", "seed")
    assert plan.combinations == 16 and plan.runs == 16
    told: list[tuple[int, int]] = []
    found = p.explain(a.run_id, b.run_id, on_run=lambda count, of, record: told.append((count, of)))
    assert found.made == 16 == made(p) and told[-1] == (16, 16) and len(parts(found)) == 4
    assert verdicts(found)["code"] == "real" and found.parts[0].cause == "code"
    assert p.explain(a.run_id, b.run_id).made == 0


def test_a_seed_that_changes_nothing_is_no_noise(lines: ProjectFolder) -> None:
    p = opened(lines, BY_PLACE)
    a, b = p.run("a", seed=1)[0], p.run("a", seed=2, params={"alpha": 1.001})[0]
    found = p.explain(a.run_id, b.run_id)
    assert found.noise.same_predictions and found.noise.spread == 0.0 and "there is no noise" in found.noise.said
    assert verdicts(found) == {"configuration": "real", "seed": "none"} and parts(found)["seed"] == 0.0


def test_a_parameter_that_one_code_version_does_not_know_takes_its_default(lines: ProjectFolder) -> None:
    a = opened(lines).run("a", seed=1)[0]
    p = opened(lines, SAID)
    same, b = p.run("a", seed=1)[0], p.run("a", seed=1, params={"bend": 40.0})[0]
    # A new parameter at its default is the code's doing and nobody's configuration.
    assert p.explain_plan(a.run_id, same.run_id).parts == ("code",)
    found = p.explain(a.run_id, b.run_id, seeds=0)
    half = found.difference / 2
    assert parts(found) == pytest.approx({"code": half, "configuration": half})
    assert any("does not know params.bend" in note for note in found.notes)
    assert any("params.bend" in note and "takes its default" in note for note in found.notes)
    # With the old code both configurations are one, and so is their run; the new one's was there.
    assert found.made == 0


def test_a_combination_that_cannot_be_run_merges_its_causes(
    lines: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = opened(lines)
    a = p.run("a", seed=1, params={"alpha": 40.0})[0]
    p = opened(lines, BOUNDED)
    b = p.run("a", seed=2, params={"alpha": 1.0})[0]
    plan = p.explain_plan(a.run_id, b.run_id)
    assert plan.parts == ("code + configuration", "seed") and plan.combinations == 4
    found = p.explain(a.run_id, b.run_id)
    assert set(parts(found)) == {"code + configuration", "seed"} and verdicts(found)["code + configuration"] == "real"
    assert any("cannot be told apart" in note and "less than or equal to 10" in note for note in found.notes)

    # A column that only the newer data has, which only the newer code needs.
    wider = NOISY.replace('"owner": owner}', '"owner": owner, "w": x}').replace('("x", "z", "t', '("x", "z", "w", "t')
    p = opened(lines, wider)
    p.train(["a"], steps=["dataset"])
    c = p.run("a", seed=1, params={"alpha": 40.0})[0]
    wide = p.explain(a.run_id, c.run_id, seeds=0)
    assert list(parts(wide)) == ["code + data"] and "has no column 'w'" in wide.notes[0]

    # What nobody can tell before it is tried: it fails, is tracked as failed, and is not tried again.
    picky = NOISY.replace('if (X["trouble"] == 1).any():', "if y.std() < 1.1:")
    monkeypatch.setenv("LINES_NOISE", "1.0")
    p = opened(lines, picky)
    p.train(["a"], steps=["dataset"])
    d = p.run("a", seed=1, params={"alpha": 40.0})[0]
    tried = p.explain(a.run_id, d.run_id, seeds=0)
    assert list(parts(tried)) == ["code + data"] and "cannot be fitted" in tried.notes[0]
    (failed,) = [run for run in p.tracker.records(["a"]) if run.status == "failed"]
    assert failed.kind == "replay" and failed.run_id[-12:] in tried.notes[0]
    count = len(p.tracker.records(["a"]))
    assert p.explain(a.run_id, d.run_id, seeds=0).parts == tried.parts and len(p.tracker.records(["a"])) == count


def test_another_environment_than_todays_has_a_part_of_its_own(lines: ProjectFolder) -> None:
    p = opened(lines)
    a = p.run("a", seed=1)[0]
    lines.write("requirements.lock", "numpy==0.0\n")
    b = p.run("a", seed=1, params={"alpha": 40.0})[0]
    assert a.environment.lock != b.environment.lock and a.code_version.tree == b.code_version.tree
    found = p.explain(a.run_id, b.run_id, seeds=0)
    assert set(parts(found)) == {"configuration", "environment"} and parts(found)["environment"] == 0.0
    assert found.made == 1 and p.explain(a.run_id, b.run_id, seeds=0).made == 0
    twin = p.run("a", seed=1)[0]
    same = p.explain(a.run_id, twin.run_id)
    assert verdicts(same) == {"environment": "none"} and "nothing to explain" in same.headline()


def test_the_command_asks_answers_people_and_programs_and_goes_on_after_a_kill(lines: ProjectFolder) -> None:
    slow = NOISY.replace("x = X.to_numpy(dtype=float)", "import time; time.sleep(0.25); x = X.to_numpy(dtype=float)", 1)
    lines.write("lines/pipeline.py", slow)
    (a,) = lines.json("run", "a", "--seed", "1")
    (b,) = lines.json("run", "a", "--seed", "2", "-P", "alpha=40.0")
    names = (a["run_id"], b["run_id"])
    assert "nothing was run: nobody answered" in lines.refused("explain", *names)
    command = [sys.executable, "-m", "mlops_assets.cli.app", "explain", *names, "--yes", "--seeds", "5"]
    killed = subprocess.Popen(command, cwd=lines.path, env=lines.environment, stderr=subprocess.PIPE, text=True)
    assert killed.stderr is not None
    first = next(line for line in killed.stderr if line.startswith("1/"))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stderr.close()
    found = lines.json("explain", *names, "--yes", "--seeds", "5", "--html", "why.html")
    assert first.startswith("1/6 run ") and 1 <= found["made"] <= 5
    assert {part["cause"] for part in found["parts"]} == {"configuration", "seed"}
    tracked = [run["fingerprint"] for run in lines.json("runs", "a")]
    assert len(tracked) == len(set(tracked)) == 8
    page = (lines.path / "why.html").read_text()
    assert page.count("<table>") == 1 and page.count("data:image/png;base64,") == 1 and "http" not in page
    # All is there: nobody has to be asked.
    said = lines.mlops("explain", *names, "--seeds", "5")
    assert "nothing has to be run" in said.stderr and "because of configuration" in said.stdout
    assert "▓" in said.stdout and "params.alpha: 1.0 -> 40.0" in said.stdout
