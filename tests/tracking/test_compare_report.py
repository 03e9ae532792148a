"""What people and programs are shown of a comparison: complete, well formed, nothing private, nothing from outside."""

import base64
import json
import re
import struct
from xml.etree import ElementTree

import pandas as pd
import pytest

from mlops_assets.tracking.compare.comparison import Comparison
from mlops_assets.tracking.compare.sections import as_text
from mlops_assets.tracking.record import RunError, RunRecord, new_run_id
from tests.tracking.comparable_runs import Rivers, rows
from tests.tracking.comparable_runs import first as first
from tests.tracking.comparable_runs import once as once
from tests.tracking.comparable_runs import rivers as rivers

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=http://example.org/x onerror=alert(2)>',
    "[red]not red[/red] [/]",
    r"$\frac{1}{$",
    "\x1b[2J\x00gone",
    "a & b 'quoted' \u4e2d",
]
CLASSES = (
    ('target="flow"', 'target="wet", task="classification"'),
    ('"rmse": "min", "mae": "min", "r2": "max", "bias": "zero"', '"log_loss": "min", "accuracy": "max"'),
    (
        "    def _numbers(self",
        """    classes_ = ("no", "yes")

    def predict_proba(self, X):
        yes = 1.0 / (1.0 + np.exp(20.0 - X["level"] * self.alpha * 5.0))
        return np.column_stack([1.0 - yes, yes])

    def _numbers(self""",
    ),
    (
        "        return self._numbers(X) @ self.weights",
        '        return np.where(X["level"] > 4 / self.alpha, "yes", "no")',
    ),
    ("        x = self._numbers(X)\n", "        return self\n"),
)


def said(found: Comparison) -> str:
    """Everything that a comparison says, in all its forms, with its frames."""
    frames = [found.rows, found.slices, found.data.changes("b", 10_000), found.disagreements("b", 10_000)]
    texts = [frame.to_csv() for frame in frames]
    return "\n".join([str(found), found.page(), json.dumps(found.to_dict(10_000), allow_nan=False), *texts])


def parsed(html: str) -> ElementTree.Element:
    """As strict as XML: every element is closed, every character escaped."""
    return ElementTree.fromstring(html)


def pictures(html: str) -> list[tuple[int, int]]:
    """The sizes of the pictures that are inside the page."""
    sizes = []
    for image in parsed(html).iter("img"):
        kind, data = image.attrib["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        content = base64.b64decode(data, validate=True)
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        sizes.append(struct.unpack(">II", content[16:24]))
    return sizes


def test_the_html_is_well_formed_and_complete_and_loads_nothing(rivers: Rivers, first: RunRecord) -> None:
    found = rivers.compared(first, rivers.run(params={"alpha": 500.0}))
    html = found._repr_html_()
    titles = [title.text for title in parsed(html).iter("h4")]
    for title in ("Runs", "Configuration", "Code", "Data", "Environment", "Metrics", "Rows", "Slices"):
        assert title in titles
    assert {"error of a against error of b", "difference by slice: b less a"} <= set(titles)
    assert "disagreement of a and b over time" in titles
    sizes = pictures(html)
    assert len(sizes) == 3 and all(width > 300 and height > 100 for width, height in sizes)
    assert len(list(parsed(html).iter("table"))) >= 6
    assert re.search(r"https?:|//|url\(|@import|<link|<script|<iframe", re.sub(r"base64,[^\"]+", "", html)) is None
    tags = {element.tag for element in parsed(html).iter()}
    assert tags <= {"div", "style", "p", "h4", "table", "thead", "tbody", "tr", "th", "td", "img"}
    assert found.page().startswith("<!DOCTYPE html>") and html in found.page()


def test_the_document_is_json_and_complete_with_its_rows_limited(rivers: Rivers, first: RunRecord) -> None:
    found = rivers.compared(first, rivers.run(params={"alpha": 500.0}))
    document = json.loads(json.dumps(found.to_dict(limit=3), allow_nan=False))
    assert list(document) == [
        "verdict",
        "runs",
        "configuration",
        "code",
        "data",
        "environment",
        "metrics",
        "common_metrics",
        "steps",
        "rows",
        "slices",
        "notes",
    ]
    assert [run["run_id"] for run in document["runs"]] == [record.run_id for record in found.records]
    assert len(document["rows"]["disagreements"]["b"]) == 3 and document["rows"]["loss"] == "squared error"
    assert len(document["slices"]) == len(found.slices) > 3
    rmse = next(line for line in document["metrics"] if line["metric"] == "rmse" and line["on"] == "test")
    assert rmse["b"] == found.records[1].metrics["rmse"] and rmse["better_is"] == "lower"
    assert document["data"]["versions"][0]["since"] == "2026-01-01T00:00:00"
    few = [line for line in document["slices"] if line["verdict"] == "few rows"]
    assert all(line["interval_low"] is None for line in few)


def test_the_text_names_metrics_and_fits_many_columns_by_turning_them(rivers: Rivers, first: RunRecord) -> None:
    found = rivers.compared(first, rivers.run(params={"alpha": 500.0}))
    text = str(found)
    assert text.startswith("b is worse by rmse") and "a better" in text
    assert "params.alpha" in text and "params.split.method" not in text
    assert re.search(r"^disagreement_b +\S+", text, re.MULTILINE) and re.search(r"^level +\S+", text, re.MULTILINE)
    assert repr(found).startswith("<comparison of a=")


def test_hostile_texts_stay_texts(rivers: Rivers, first: RunRecord) -> None:
    frame = rows()
    frame["region"] = [HOSTILE[at % len(HOSTILE)] for at in range(len(frame))]
    frame["<b>bold</b> $x$ [i]"] = frame["level"]
    frame["row"] = [f"<i>{key}</i>" for key in frame["row"]]
    rivers.data(frame)
    fresh = rivers.run(fresh=True, seed=1)
    evil = {"parameters": {**fresh.parameters, HOSTILE[0]: HOSTILE[1]}, "note": HOSTILE[0], "tags": {"x": HOSTILE[4]}}
    second = rivers.run(params={"alpha": 90.0})
    failed = {"status": "failed", "error": RunError(message=HOSTILE[0] + HOSTILE[4])}
    found = rivers.compared(second, fresh.model_copy(update={**evil, **failed, "run_id": new_run_id()}), first)
    html = found._repr_html_()
    tags = {element.tag for element in parsed(html).iter()}
    assert not tags & {"script", "b", "i"} and len(pictures(html)) >= 3
    assert "<script" not in html and "<img src=http" not in html and "&lt;script&gt;" in html
    text = as_text(found.verdict(rows=True), found.sections(rows=True, limit=500), found.notes)
    assert "\x1b" not in text + html and "\x00" not in text + html
    assert "[red]not red[/red] [/]" in text and r"$\frac{1}{$" in text
    document = json.loads(json.dumps(found.to_dict()))
    assert {line["slice"] for line in document["slices"] if line["column"] == "region"} >= set(HOSTILE)


def test_dropped_private_values_are_in_no_comparison(rivers: Rivers, first: RunRecord) -> None:
    frame = rows()
    frame.loc[:5, "level"] += 1.0
    rivers.data(frame)
    found = rivers.compared(first, rivers.run(fresh=True, seed=1, params={"alpha": 90.0}))
    assert "secret-owner-" not in said(found)
    assert "owner" not in found.disagreements() and "owner" not in set(found.data.columns["column"])


def test_hashed_private_values_are_compared_as_hashes(rivers: Rivers, first: RunRecord) -> None:
    rivers.code(('"rain", "region")', '"rain", "region", "owner")'))
    second = rivers.run(fresh=True, seed=1)
    frame = rows()
    frame.loc[395, "owner"] = "secret-owner-0"
    rivers.data(frame)
    third = rivers.run(fresh=True, seed=1, params={"alpha": 90.0})
    found = rivers.compared(second, third)
    (change,) = found.data.changes().to_dict("records")
    assert (change["key"], change["column"]) == ("r00395", "owner")
    assert re.fullmatch("[0-9a-f]{32}", change["before"]) and re.fullmatch("[0-9a-f]{32}", change["after"])
    assert found.disagreements()["owner"].str.fullmatch("[0-9a-f]{32}").all()
    assert "secret-owner-" not in said(found)


def test_a_column_that_became_private_is_treated_in_older_data_too(rivers: Rivers) -> None:
    rivers.code(('private=("owner",)', "private=()"))
    clear = rivers.run(fresh=True, seed=1)
    found = rivers.compared(clear, rivers.run(params={"alpha": 90.0}))
    assert "secret-owner-" in said(found)  # so the test would see it

    rivers.code(('private=("owner",)', 'private={"owner": "hash"}'))
    hashed = rivers.run(fresh=True, seed=1, params={"alpha": 90.0})
    found = rivers.compared(clear, hashed)
    assert found.data.rows.to_dict("records") == [{"run": "b", "same": 400, "changed": 0, "added": 0, "removed": 0}]
    assert any("'owner' is private now" in note and "hashed" in note for note in found.notes)
    assert "secret-owner-" not in said(found)

    rivers.code()
    found = rivers.compared(clear, hashed)
    assert "secret-owner-" not in said(found) and "owner" not in found.compared.data.frames["a"]


def test_a_row_key_that_became_private_joins_by_its_hash(rivers: Rivers) -> None:
    by_owner = ('key="row"', 'key="owner"')
    rivers.code(by_owner, ('private=("owner",)', "private=()"))
    clear = rivers.run(fresh=True, seed=1)
    rivers.code(by_owner)
    hashed = rivers.run(fresh=True, seed=1, params={"alpha": 90.0})
    found = rivers.compared(clear, hashed)
    assert "secret-owner-" not in said(found)
    assert found.row_summary["judged"].tolist() == [100] and found.row_summary["in_both"].tolist() == [400]
    assert found.rows["key"].str.fullmatch("[0-9a-f]{32}").all()


def test_classifications_are_compared_by_the_loss_of_their_metric(rivers: Rivers) -> None:
    frame = rows()
    rivers.data(frame.assign(wet=(frame["level"] > 4.0).map({True: "yes", False: "no"})))
    rivers.code(*CLASSES)
    runs = [rivers.run(fresh=True, seed=1), rivers.run(params={"alpha": 2.0})]
    found = rivers.compared(*runs)
    level = found.row_level
    assert level is not None and level.loss == "log loss" and not level.regression
    (summary,) = found.row_summary.to_dict("records")
    assert summary["loss_base"] == pytest.approx(runs[0].metrics["log_loss"])
    assert summary["loss_run"] == pytest.approx(runs[1].metrics["log_loss"])
    assert summary["verdict"] == "a better" and set(found.common_metrics["metric"]) == {"log_loss", "accuracy"}
    table = found.disagreements()
    assert {"prediction_a", "prediction_b", "loss_a", "region"} <= set(table) and "error_a" not in table
    assert table["disagreement_b"].between(0, 1).all()
    titles = [title.text for title in parsed(found._repr_html_()).iter("h4")]
    assert "loss of a against loss of b" in titles


def test_a_report_of_runs_without_any_common_test_row_says_so(rivers: Rivers, first: RunRecord) -> None:
    frame = rows()
    rivers.data(frame.assign(row=["x" + key for key in frame["row"]]))
    found = rivers.compared(first, rivers.run(fresh=True, seed=1, params={"alpha": 90.0}))
    (summary,) = found.row_summary.to_dict("records")
    assert (summary["in_both"], summary["only_in_base"], summary["only_in_run"]) == (0, 400, 400)
    assert "no row was tested in both" in found.verdict(rows=True)
    assert len(found.slices) == 0 and pictures(found._repr_html_()) == []
    assert isinstance(found.disagreements(), pd.DataFrame) and len(found.disagreements()) == 0
