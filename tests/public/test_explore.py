"""Explored runs as a notebook has them, and the report of an HPO run: complete, well formed, nothing from outside."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from mlops_assets.opened_project import OpenedProject
from partitions.errors import MlopsError, UnknownName
from tests.public.conftest import opened
from tests.public.hpo_lines import declare_hpo

SPACE = 'alpha=Float(0.01, 1000.0, log=True), mode=Categorical(["plain", "other"])'


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    declare_hpo(folder, [("a", 1.0, ""), ("b", -2.0, "")], space=SPACE)
    return opened(folder)


def elements(html: str) -> ElementTree.Element:
    """The page as XML; raises where it is not well formed."""
    return ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))


def assert_loads_nothing(html: str) -> None:
    for element in elements(html).iter():
        assert element.tag not in ("script", "link", "iframe"), "nothing runs and nothing is fetched"
        for name, value in element.attrib.items():
            assert name not in ("src", "href") or value.startswith("data:image/png;base64,")


def test_dev_runs_are_explored_over_their_folds(p: OpenedProject) -> None:
    for alpha in (0.1, 1.0, 10.0, 100.0, 1000.0):
        p.run("a", params={"alpha": alpha}, seed=1, folds=3)
    p.run("a", params={"alpha": 5.0}, seed=1)
    found = p.explore("a")
    assert len(found.table) == 5 and list(found.table["runs"]) == [3] * 5
    assert found.table["rmse"].is_monotonic_increasing and found.table["params.alpha"].iloc[0] < 10.0
    assert found.points.notes[0].startswith("1 of 6 configurations are left out")
    assert found.importances() == {"alpha": 1.0}
    for figure in (found.history(), found.slice("alpha"), found.parallel(), found.distribution(), found.pareto("mae")):
        assert figure.png.startswith(b"\x89PNG") and figure._repr_png_() == figure.png
    assert found.both("fit_seconds")[0][1] > 0 and found.both("model_bytes")[0][1] > 100
    assert "lowest mean rmse" in str(found) and "Best configurations" in str(found)
    assert_loads_nothing(found.page())


def test_any_set_of_runs_can_be_explored(p: OpenedProject) -> None:
    runs = [p.run("a", params={"alpha": alpha}, seed=1)[0] for alpha in (0.1, 1.0, 10.0)]
    some = p.runs("a", where="params.alpha < 5")
    assert len(p.explore(runs=some).table) == 2
    assert len(p.explore(runs=[run.run_id for run in runs], where="params.alpha > 5").table) == 1
    assert len(p.explore("a", metric="mae").table) == 3
    p.run("b", params={"alpha": 1.0}, seed=1)
    p.run("b", params={"alpha": 2.0}, seed=1)
    both = p.explore()
    assert "do not compare" in both.points.notes[0] and set(both.table["subproject"]) == {"a", "b"}


def test_what_cannot_be_explored_says_why(p: OpenedProject) -> None:
    nothing = p.explore("a")
    assert nothing.table.empty and nothing.figures() == [] and "no run that ended has rmse" in nothing.verdict()
    with pytest.raises(MlopsError, match="this needs 1 configurations with rmse"):
        nothing.history()
    p.run("a", seed=1)
    with pytest.raises(MlopsError, match="unknown metric 'mse'"):
        p.explore("a", metric="mse")
    with pytest.raises(UnknownName, match="unknown subproject 'z'"):
        p.explore("z")
    with pytest.raises(MlopsError, match="sort and limit are for rows"):
        p.explore("a", limit=3)
    with pytest.raises(MlopsError, match="no runs to explore"):
        p.explore(runs=pd.DataFrame({"run_id": []}))
    with pytest.raises(MlopsError, match="unknown plot 'histry'; nearest: history"):
        p.explore("a").figure("histry")
    p.run("a", params={"alpha": 3.0}, seed=1)
    with pytest.raises(UnknownName, match="unknown parameter that differs between these runs 'alhpa'; nearest: alpha"):
        p.explore("a").slice("alhpa")
    with pytest.raises(MlopsError, match="this needs 2 parameters that differ"):
        p.explore("a").contour()


def test_an_hpo_run_has_tables_pictures_and_a_page(p: OpenedProject) -> None:
    (done,) = p.hpo("a", trials=6, seed=2)
    metadata = p.event_log.latest(("lines", "trials"), ["a"])["a"].metadata
    assert "trials: 6" in metadata["configuration"] and metadata["best_trials"].count("\n") == 2 + 6 - 1
    for name in ("history", "slice", "parallel", "importance"):
        assert "](data:image/png;base64," in metadata[name]
    page = Path(metadata["report"]).read_text()
    assert_loads_nothing(page)
    assert done.summary.hpo_run_id in page and "Search space" in page and "0.01 to 1000, log" in page
    assert page.count("<img ") == 4
    report = p.hpo_report("a")
    assert report.page().count("<img ") == 6 and report.run.hpo_run_id == done.summary.hpo_run_id
    assert p.hpo_report("a", done.summary.hpo_run_id[:20]).summary == done.summary
    found = p.explore("a", where=f"parent = '{done.summary.hpo_run_id}'")
    assert done.summary.best is not None and found.table["rmse"].iloc[0] == pytest.approx(done.summary.best.mean)


def test_a_report_of_no_hpo_run_says_what_makes_one(p: OpenedProject) -> None:
    with pytest.raises(UnknownName, match="lines/b: no HPO run has ended: `mlops hpo b`"):
        p.hpo_report("b")
    p.hpo("b", trials=1)
    with pytest.raises(UnknownName, match="lines/b: no HPO run 'none' has ended; there are "):
        p.hpo_report("b", "none")


def test_a_space_shows_what_was_sampled_by_whatever_run(p: OpenedProject) -> None:
    empty = p.space("a")
    assert empty.best is None and {one.parameter for one in empty.parameters} == {"alpha", "mode"}
    p.hpo("a", trials=3, seed=2)
    p.run("a", params={"alpha": 5000.0}, seed=2)
    found = p.space("a")
    alpha = next(one for one in found.parameters if one.parameter == "alpha")
    assert (alpha.configurations, alpha.outside, found.configurations) == (3, 1, 4)
    best = p.best("a")
    assert best is not None and found.best is not None and alpha.best == best.parameters["alpha"]
    assert json.dumps(found.row()) and len(found.table) == 2 and "<table" in found._repr_html_()
    with pytest.raises(UnknownName, match="unknown subproject 'z'"):
        p.space("z")


def test_of_many_subprojects_at_once_only_tables_are_kept(p: OpenedProject) -> None:
    from mlops_assets.tracking.exploring.hpo_report import shown_metadata
    from mlops_assets.tracking.hpo_run import HPORuns

    (done,) = p.hpo("a", trials=2)
    (run,) = HPORuns(p.event_log, "lines").started(["a"])
    assert set(shown_metadata(run, done.summary, ())) == {"configuration", "best_trials"}
