"""``mlops runs``, ``note`` and ``tag`` as they are typed: tables that stay readable, exports, and errors that help."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mlops_assets.cli import printing
from mlops_assets.cli.app import app
from mlops_assets.opened_project import OpenedProject, open_project
from mlops_assets.tracking.record import RunRecord
from partitions.errors import MlopsError, UnknownName
from tests.end_to_end.conftest import DEFINITIONS, PIPELINE, PROJECT
from tests.tracking.runs_logged import log_runs, record

Mlops = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project ``lines`` with 120 runs: two subprojects, three configurations, every tenth run failed."""
    folder: Path = tmp_path_factory.mktemp("cli")
    (folder / "lines").mkdir()
    for file, text in {"__init__": '"""Lines."""\n', "pipeline": PIPELINE, "definitions": DEFINITIONS}.items():
        (folder / "lines" / f"{file}.py").write_text(text)
    (folder / "lines" / "project.py").write_text(PROJECT.format(slopes={"a": 1.0, "b": -2.0}, troubles={}))
    return folder


@pytest.fixture
def p(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenedProject]:
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setenv("MLOPS_PROJECT", "lines.project")
    monkeypatch.setenv("MLOPS_HOME", str(home / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    opened = open_project("lines.project", home=home / "home")
    if not opened.tracker.records():
        opened.apply()
        log_runs(opened.event_log, [run_of(number) for number in range(120)])
    yield opened
    for name in [name for name in sys.modules if name == "lines" or name.startswith("lines.")]:
        del sys.modules[name]


def run_of(n: int) -> RunRecord:
    failed = n % 10 == 9
    return record(
        n,
        project="lines",
        subproject="ab"[n // 60],
        seed=n % 20,
        digests={"subproject": "s", "run": f"{n // 20 % 3}" * 64},
        parameters={
            "alpha": float(n // 20 % 3),
            "split": {"method": "random"},
            "text": "[b] \n" * 9 if n < 3 else "no",
        },
        metrics={} if failed else {"rmse": n // 20 % 3 + (n * 7 % 20) / 10, "mae": 1.0},
        status="failed" if failed else "succeeded",
        error={"message": "no luck"} if failed else None,
        tags={"hub": "JFK"},
    )


@pytest.fixture
def mlops(p: OpenedProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mlops:
    """The command: its output, or the exception it raises; in a terminal of 200 columns, or as many as given."""

    def call(*arguments: str, width: int = 200) -> str:
        monkeypatch.setattr(printing.console, "_width", width)
        done = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return str(done.output) + capfd.readouterr().out

    return call


def test_a_count_line_and_only_columns_that_tell_runs_apart(mlops: Mlops) -> None:
    lines = mlops("runs", "--limit", "3").splitlines()
    assert lines[0].strip() == "120 runs, 3 shown; 12 failed"
    assert lines[1].split() == ["subproject", "status", "seed", "mae", "rmse", "seconds", "created", "run"]
    assert len(lines) == 5 and lines[2].split()[:3] == ["b", "failed", "19"]
    head = mlops("runs", "a", "--status", "succeeded", "--sort", "metrics.rmse").splitlines()
    assert head[0].strip() == "54 runs, 50 shown" and "status" not in head[1] and "params.alpha" in head[1]


def test_the_columns_asked_about_are_shown(mlops: Mlops) -> None:
    head = mlops("runs", "--where", "tags.hub = 'JFK' and seed = 3", "--sort", "-params.split.method").splitlines()[1]
    assert {"tags.hub", "seed", "params.split.method"} <= set(head.split())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_a_terminal_of_any_width_is_not_overrun(mlops: Mlops, width: int) -> None:
    lines = mlops("runs", "a", "--limit", "60", width=width).splitlines()
    table = [line.rstrip() for line in lines[:62]]
    assert all(len(line) <= width for line in table), max(table, key=len)
    assert table[1].split()[0] == "subproject" and table[1].split()[-1] == "run"
    assert len(table) == 62, "a line for each run"
    if width <= 80:
        assert "no room for" in "".join(lines[62:])


def test_every_run_has_one_line_and_text_is_shown_as_it_is(mlops: Mlops, p: OpenedProject) -> None:
    lines = mlops("runs", "--limit", "1000").splitlines()
    assert len(lines) >= 122 and "[b]  [b]" in lines[121]


def test_json_csv_and_parquet_hold_all_runs_in_the_same_columns(mlops: Mlops, p: OpenedProject, tmp_path: Path) -> None:
    frame = p.runs()
    rows = json.loads(mlops("runs", "--json"))
    assert len(rows) == len(frame) == 120 and all(list(row) == list(frame.columns) for row in rows)
    assert [row["run_id"] for row in rows] == list(frame["run_id"])
    assert rows[0]["created_at"] == "2026-01-01T00:01:59+00:00" and rows[0]["metrics.rmse"] is None
    read = list(csv.DictReader(mlops("runs", "--csv", "--limit", "70").splitlines(keepends=True)))
    assert len(read) == 70 and list(read[0]) == list(frame.columns)
    assert float(read[1]["metrics.rmse"]) == rows[1]["metrics.rmse"] and read[0]["metrics.rmse"] == ""
    assert "120 rows written" in mlops("runs", "--parquet", str(tmp_path / "runs.parquet"))
    stored = pd.read_parquet(tmp_path / "runs.parquet")
    assert list(stored.columns) == list(frame.columns)
    assert list(stored["metrics.rmse"].dropna()) == list(frame["metrics.rmse"].dropna())
    with pytest.raises(MlopsError, match=r"runs.parquet cannot be written: .*no"):
        mlops("runs", "--parquet", str(tmp_path / "no" / "runs.parquet"))
    with pytest.raises(MlopsError, match="one of --json, --csv and --parquet"):
        mlops("runs", "--json", "--csv")


def test_groups_say_what_is_better_and_what_is_noise(mlops: Mlops, p: OpenedProject) -> None:
    lines = mlops("runs", "a", "--group").splitlines()
    assert lines[0].strip() == "3 groups, by rmse; difference to the best, paired over seeds and folds"
    head = lines[1].split()
    assert head[:3] == ["subproject", "configuration", "params.alpha"] and "verdict" in head
    assert [line.split()[-1] for line in lines[2:5]] == ["best", "worse", "worse"]
    rows = json.loads(mlops("runs", "--group", "--json", "--metric", "mae"))
    frame = p.groups(metric="mae")
    assert len(rows) == len(frame) == 6 and list(frame["verdict"]) == [row["verdict"] for row in rows]
    assert set(frame["verdict"]) == {"best", "noise"}
    with pytest.raises(MlopsError, match="unknown metric 'rsme'; nearest: rmse"):
        mlops("runs", "--group", "--metric", "rsme")
    with pytest.raises(MlopsError, match="--metric goes with --group, --plot and --html; to order runs by one: --sort"):
        mlops("runs", "--metric", "mae")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "metrics.rsme < 1"], "unknown column 'metrics.rsme'; nearest: metrics.rmse"),
        (["--where", "metrics.rmse < "], "but it ends"),
        (["--sort", "rmse"], "unknown column 'rmse': there is metrics.rmse"),
        (["--kind", "trail"], "there are dev, trial, retrain, replay"),
        (["--status", "ok"], "there are succeeded, failed, pruned, rejected"),
        (["c"], "unknown subproject 'c'"),
        (["x*"], "x\\*"),
        (["--tag", "kind=z"], "kind=z"),
    ],
)
def test_errors_say_what_would_be_right(mlops: Mlops, arguments: list[str], message: str) -> None:
    with pytest.raises(MlopsError, match=message):
        mlops("runs", *arguments)


def test_notes_and_tags_after_the_fact(mlops: Mlops, p: OpenedProject) -> None:
    run = p.runs("b", limit=1)["run_id"][0]
    assert f'lines/b {run}: why [not] "so"' in mlops("note", run[-12:], 'why [not] "so"')
    assert "hub=LAX, odd name=1" in mlops("tag", run, "hub=LAX", "odd name=1")
    assert json.loads(mlops("tag", run, "hub=", "--json"))["tags.odd name"] == "1"
    found = json.loads(mlops("runs", "--where", "`tags.odd name` = '1' and tags.hub is null", "--json"))
    assert [row["run_id"] for row in found] == [run] and found[0]["note"] == 'why [not] "so"'
    assert "why [not]" in mlops("show", run) and p.record(run).tags == {"odd name": "1"}
    assert "no note" in mlops("note", run, "") and p.tag(run, **{"odd name": None, "hub": "JFK"}).tags == {"hub": "JFK"}
    with pytest.raises(MlopsError, match="tag 'x' should read name=value"):
        mlops("tag", run, "x")
    with pytest.raises(UnknownName, match="no run 'nobody' is tracked"):
        mlops("note", "nobody", "x")


def test_a_retired_subproject_has_its_runs(mlops: Mlops, p: OpenedProject) -> None:
    log_runs(p.event_log, [record(1, project="lines", subproject="gone", status="failed", metrics={})])
    assert mlops("runs", "gone").splitlines()[0].strip() == "1 run; 1 failed"
    assert len(p.runs("gone")) == 1


def test_runs_are_drawn_to_a_file_and_a_page(mlops: Mlops, tmp_path: Path) -> None:
    picture, page = tmp_path / "history.png", tmp_path / "runs.html"
    out = mlops("runs", "a", "--plot", "history", "--out", str(picture), "--html", str(page))
    assert picture.read_bytes().startswith(b"\x89PNG") and page.read_text().startswith("<!DOCTYPE html>")
    assert "lines/a: 3 configurations over" in out and "rmse of each configuration" in out and str(page) in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plot", "histry"], "--plot unknown plot 'histry'; nearest: history"),
        (["--plot", "slice", "--by", "alhpa"], "unknown parameter that differs between these runs 'alhpa'"),
        (["--plot", "history", "--json"], "--plot and --html go without --group, --json, --csv and --parquet"),
        (["--by", "alpha"], "--by and --out go with --plot"),
        (["--plot", "history", "--sort", "seed"], "sort and limit are for rows"),
        (["--plot", "history", "--out", "/nowhere/x.png"], "--out /nowhere/x.png: No such file or directory"),
        (["--html", "x.html", "--where", "seed > 1000"], "no run that ended has rmse"),
        (["--metric", "mae"], "--metric goes with --group, --plot and --html"),
    ],
)
def test_what_cannot_be_drawn_is_said(mlops: Mlops, arguments: list[str], said: str) -> None:
    with pytest.raises(MlopsError) as error:
        mlops("runs", "a", *arguments)
    assert said in str(error.value)


def test_a_space_is_shown_with_what_was_sampled(mlops: Mlops) -> None:
    out = mlops("space", "a")
    assert "lines/a:" in out
    document = json.loads(mlops("space", "a", "--json"))
    assert document["subproject"] == "a" and document["best"]["run_ids"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--export", "x.journal", "--trials", "3"], "--export and --report write what is tracked"),
        (["a", "b", "--report", "x.html"], "--report is of one subproject, not of 2"),
        (["a", "--report", "x.html"], "lines/a: no HPO run has ended: `mlops hpo a`"),
        (["a", "--export", "x.journal"], "lines/a declares no HPO: nothing says what is to be optimised"),
    ],
)
def test_what_cannot_be_written_of_hpo_is_said_and_starts_nothing(
    mlops: Mlops, arguments: list[str], said: str
) -> None:
    with pytest.raises(MlopsError) as error:
        mlops("hpo", *arguments)
    assert said in str(error.value)
