"""The web server and the daemon as a person starts them: a backfill launched and read as the UI does, and its page."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ProjectFolder

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


class WebServer:
    """What the UI asks of the web server."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def answers(self) -> bool:
        try:
            return bool(self.ask("{ version }"))
        except OSError:
            return False


def wait_for(reached: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.5)


@pytest.fixture
def server(folder: ProjectFolder) -> Iterator[WebServer]:
    """A web server and a daemon of the project ``lines``; both end, by their process, with the test."""
    folder.declare({key: float(number + 1) for number, key in enumerate(KEYS)}, TROUBLES)
    folder.settings["MLOPS_BACKEND"] = "processes"
    folder.mlops("apply", "--yes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = ["-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    commands = {"server": served, "daemon": ["-m", "dagster._daemon", "run", "-w", "workspace.yaml"]}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in commands.items():
            with (folder.path / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        [sys.executable, *command], cwd=folder.path, env=folder.environment, stdout=log, stderr=log
                    )
                )
        web = WebServer(port)
        wait_for(web.answers, 90, "the web server answers")
        yield web
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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
