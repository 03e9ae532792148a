"""The web server and the daemon as a person starts them: a backfill launched and read as the UI does, and its page."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ProjectFolder
from tests.end_to_end.web_servers import WebServer, serving, wait_for

KEYS = ["s0", "s1", "s2", "s3", "s4", "s5"]
TROUBLES = {"s1": "fit", "s4": "ingest"}
FAILED = {"dataset": {"s4"}, "model": {"s1", "s4"}, "metrics": {"s1", "s4"}}
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

LAUNCH = """mutation Launch($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL = """query Backfill($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
  status runs { id status } error { message } assetBackfillData { assetBackfillStatuses {
    ... on AssetPartitionsStatusCounts {
      assetKey { path } numPartitionsTargeted numPartitionsInProgress numPartitionsMaterialized numPartitionsFailed
    } } } } } }"""
ASSETS = """{ assetNodes { assetKey { path }
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions failedPartitions } }
  assetChecksOrError { ... on AssetChecks { checks { name } } } } }"""


@pytest.fixture
def server(folder: ProjectFolder) -> Iterator[WebServer]:
    """Those of the project ``lines``."""
    folder.declare({key: float(number + 1) for number, key in enumerate(KEYS)}, TROUBLES)
    folder.settings["MLOPS_BACKEND"] = "processes"
    folder.mlops("apply", "--yes")
    with serving(folder) as web:
        yield web


def test_a_backfill_from_the_ui_is_one_run_and_shows_what_failed(
    server: WebServer, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    selection = [{"path": ["lines", step]} for step in FAILED]
    params = {"assetSelection": selection, "partitionNames": KEYS}
    launched = server.ask(LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def backfill() -> Any:
        return server.ask(BACKFILL, id=launched["backfillId"])["partitionBackfillOrError"]

    wait_for(lambda: backfill()["status"] not in ("REQUESTED", "FAILING"), 180, "the backfill ends")
    ended = backfill()
    assert (ended["status"], ended["error"]) == ("COMPLETED_FAILED", None)
    assert [run["status"] for run in ended["runs"]] == ["FAILURE"]
    assert {
        count["assetKey"]["path"][-1]: (
            count["numPartitionsTargeted"],
            count["numPartitionsMaterialized"],
            count["numPartitionsFailed"],
            count["numPartitionsInProgress"],
        )
        for count in ended["assetBackfillData"]["assetBackfillStatuses"]
    } == {step: (6, 6 - len(failed), len(failed), 0) for step, failed in FAILED.items()}

    nodes = {node["assetKey"]["path"][-1]: node for node in server.ask(ASSETS)["assetNodes"]}
    for step, failed in FAILED.items():
        assert set(nodes[step]["assetPartitionStatuses"]["materializedPartitions"]) == set(KEYS) - failed
        assert set(nodes[step]["assetPartitionStatuses"]["failedPartitions"]) == failed
    assert [check["name"] for check in nodes["dataset"]["assetChecksOrError"]["checks"]] == ["expectations"]

    with subtests.test("the lineage page in a browser"):
        page_shows_the_graph(server, tmp_path)


def page_shows_the_graph(server: WebServer, folder: Path) -> None:
    """The lineage page of the group in a real browser, where there is one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH")
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as play:
        profile = str(folder / "browser")
        browser = play.chromium.launch_persistent_context(
            profile, executable_path=chromium, headless=True, chromium_sandbox=False, args=FLAGS
        )
        try:
            page = browser.new_page()
            page.goto(f"{server.address}/locations/lines.definitions/asset-groups/lines/lineage")
            for name in ("configuration", "dataset", "trials", "best_config", "model", "metrics", "experiments"):
                expect(page.locator("body")).to_contain_text(name, timeout=30_000)
        finally:
            browser.close()
