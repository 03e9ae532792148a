"""The export as other people's programs read it: optuna-dashboard over HTTP, and Optuna itself."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from mlops_assets.opened_project import OpenedProject, open_project
from partitions.errors import MlopsError
from tests.tracking.runs_logged import log_runs
from tests.tracking.test_evaluations import judged

CODE, DATA = {"digest": "c0de" * 16}, "da7a" * 16
DECLARED = """
from mlops_assets import HPO, Categorical, Config, DataSchema, Float, Int, Parameters, Pipeline, Project, SearchSpace
from mlops_assets import Subproject

class Params(Parameters):
    rate: float = 0.1
    depth: int = 3
    loss: str | bool | None = None

class Rivers(Pipeline[Config, Params]):
    schema = DataSchema(key="k", target="t", features=["x"])
    metrics = {"rmse": "min"}
    def ingest(self, config, window): ...
    def build(self, params, seed): ...

project = Project(
    name="rivers", pipeline=Rivers(), subprojects=[Subproject("AA"), Subproject("B6"), Subproject("WN")],
    search_space=SearchSpace(
        rate=Float(0.01, 1.0, log=True), depth=Int(1, 9, step=2), loss=Categorical(["squared", None, True])
    ),
    hpo=HPO(metric="rmse", direction="minimize", folds=3),
)
"""


@pytest.fixture
def p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenedProject]:
    """A project with 30 complete trials, one pruned, one of other seeds, and one on other code."""
    (tmp_path / "rivers").mkdir()
    (tmp_path / "rivers" / "__init__.py").write_text('"""Rivers."""\n')
    (tmp_path / "rivers" / "project.py").write_text(DECLARED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    opened = open_project("rivers.project", home=tmp_path / "home")
    older = [
        run({"rate": 0.7, "depth": 1, "loss": None}, 1, 33, fold, code_version={"digest": "01d" * 21})
        for fold in range(3)
    ]
    time.sleep(0.01)  # ids are sorted by the millisecond they were made in
    runs = []
    for number in range(30):
        params = {"rate": 0.02 + number / 50, "depth": number % 9 + 1, "loss": ["squared", None, True][number % 3]}
        for fold in range(3):
            runs.append(run(params, number + fold, number, fold))
    pruned = [run({"rate": 0.9, "depth": 1, "loss": None}, 99, 31, 0, status="pruned")]
    others = [run({"rate": 0.8, "depth": 1, "loss": None}, 1, 32, fold, seed=5) for fold in range(3)]
    log_runs(opened.event_log, [*runs, *pruned, *others, *older], "trials")
    yield opened
    for name in [name for name in sys.modules if name == "rivers" or name.startswith("rivers.")]:
        del sys.modules[name]


def run(params: dict[str, Any], value: float, number: int, fold: int, **changes: Any) -> Any:
    fields = {"code_version": CODE, "data_version": DATA, "kind": "trial", "parent": "hpo-run", "folds": 3, **changes}
    return judged(params, float(value), number, fold=fold, project="rivers", **fields)


@contextlib.contextmanager
def dashboard(journal: Path) -> Iterator[str]:
    """The address at which optuna-dashboard serves the file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()", str(journal)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # No pipe: a process that it has started may hold it open. Killed, as it keeps nothing.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answer(address: str, path: str) -> Any:
    """Asked until the server is up; the last error where it never is."""
    last: Exception | None = None
    for _ in range(200):
        try:
            with urllib.request.urlopen(address + path, timeout=30) as response:
                return json.loads(response.read())
        except (urllib.error.URLError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                raise
            last = error
            time.sleep(0.2)
    raise AssertionError(f"{address} never answered: {last}")


def test_optuna_dashboard_lists_the_studies_and_their_trials(p: OpenedProject, tmp_path: Path) -> None:
    file = tmp_path / "rivers.journal"
    newest, older = p.export_journal(["AA", "B6"], file)
    assert (newest.trials, newest.pruned, newest.left_out) == (31, 1, 1) and older.trials == 1
    with dashboard(file) as address:
        studies = answer(address, "/api/studies")["study_summaries"]
        names = {study["study_name"]: study["study_id"] for study in studies}
        assert set(names) == {newest.name, older.name} and newest.name == "rivers/AA (code c0dec0de, data da7ada7a)"
        detail = answer(address, f"/api/studies/{names[newest.name]}?after=0")
        states = [trial["state"] for trial in detail["trials"]]
        assert states.count("Complete") == 30 and states.count("Pruned") == 1
        complete = [trial for trial in detail["trials"] if trial["state"] == "Complete"]
        best = min(complete, key=lambda trial: trial["values"][0])
        assert best["values"] == [1.0] and len(best["intermediate_values"]) == 3
        assert {"run_ids", "hpo_run_ids"} <= {attribute["key"] for attribute in best["user_attrs"]}
        assert {param["name"]: param["param_external_value"] for param in best["params"]}["rate"].startswith("0.02")


def test_optuna_reads_what_was_tracked(p: OpenedProject, tmp_path: Path) -> None:
    file = tmp_path / "rivers.journal"
    newest, _ = p.export_journal("AA", file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
        study = optuna.load_study(study_name=newest.name, storage=storage)
    assert study.user_attrs["code_version"] == CODE["digest"] and study.best_value == 1.0
    judged_here = p.explore("AA", where=f"code_version = '{CODE['digest']}'").table.set_index("params.rate")["rmse"]
    for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
        assert trial.value == pytest.approx(judged_here[trial.params["rate"]])
        values = [p.record(run_id).metrics["rmse"] for run_id in trial.user_attrs["run_ids"]]
        assert values == list(trial.intermediate_values.values())
        assert trial.datetime_start is not None and trial.params["loss"] in ("squared", None, True)
    held = study.trials[0].distributions
    assert held["rate"] == optuna.distributions.FloatDistribution(0.01, 1.0, log=True)
    assert held["depth"] == optuna.distributions.IntDistribution(1, 9), "some lie between its steps"


def test_an_export_is_whole_or_absent_and_says_what_is_wrong(p: OpenedProject, tmp_path: Path) -> None:
    file = tmp_path / "rivers.journal"
    p.export_journal("AA", file)
    before = file.read_bytes()
    p.export_journal("AA", file)
    assert len(file.read_bytes().splitlines()) == len(before.splitlines()), "written anew, not appended to"
    with pytest.raises(MlopsError, match="no run of B6, WN has what is optimised"):
        p.export_journal(["B6", "WN"], file)
    with pytest.raises(MlopsError, match=r"--export .*nowhere/f: No such file or directory"):
        p.export_journal("AA", tmp_path / "nowhere" / "f")
    with pytest.raises(MlopsError, match=r"--export .*: Is a directory"):
        p.export_journal("AA", tmp_path / "home")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home", "rivers", "rivers.journal"], (
        "nothing is left over"
    )
