"""Two runs of 100,000 rows beside each other: code, data, configuration, metrics, every row, slices, disagreements.

    python bench/compare.py [--short] [--rows N]

The runs are real ones (compare_project), half of their rows test rows, on one data version and on two. Every value is
the median of five new comparisons in a warm process, but "first", which is the first one of the process, imports and
all. "cpu" is the processor time of the same work, which a busy machine does not lengthen. Floor: pandas reads the same
Parquet files and merges the results on the row key, and no more.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

BENCH = Path(__file__).resolve().parent
TARGET = 2.0
TIMES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="10,000 rows")
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    rows = 10_000 if asked.short else asked.rows
    folder = Path(tempfile.mkdtemp(prefix="bench-compare-"))
    for name in [name for name in os.environ if name.startswith(("MLOPS_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ |= {"MLOPS_BACKEND": "inline", "COMPARE_ROWS": str(rows)}
    sys.path.insert(0, str(BENCH))
    try:
        measure(folder, rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, rows: int) -> None:
    from mlops_assets import open_project

    p = open_project("compare_project.project", home=folder / "home")
    first = p.run("all", seed=1)[0]
    second = p.run("all", seed=1, params={"alpha": 20_000.0})[0]
    os.environ["COMPARE_CHANGED"] = "yes"
    third = p.train(["all"], fields={"seed": 1})[0]
    for name, other in (("one data version", second), ("two data versions", third)):
        runs = (first.run_id, other.run_id)
        floor = median(lambda ids=runs: bare(p, *ids))
        if other is second:
            began = perf_counter()
            p.compare(*runs).to_dict(20)
            report(f"{rows} rows, {name}: everything, first", perf_counter() - began, floor[0])
        parts: dict[str, tuple[Callable[..., Any], float | None]] = {
            "without rows": (lambda ids=runs: p.compare(*ids).sections(rows=False), None),
            "everything": (lambda ids=runs: p.compare(*ids).to_dict(20), TARGET),
            "everything as HTML with plots": (lambda ids=runs: p.compare(*ids)._repr_html_(), None),
        }
        for part, (work, target) in parts.items():
            wall, cpu = median(work)
            report(f"{rows} rows, {name}: {part}", wall, floor[0], target)
            report(f"{rows} rows, {name}: {part}, cpu", cpu, floor[1])


def median(work: Callable[..., Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    taken = []
    for _ in range(TIMES):
        began = perf_counter(), process_time()
        work()
        taken.append((perf_counter() - began[0], process_time() - began[1]))
    return statistics.median(wall for wall, _ in taken), statistics.median(cpu for _, cpu in taken)


def bare(p: Any, *ids: str) -> None:
    """The files of both runs, read and merged with pandas alone."""
    import pandas as pd

    from resources.datasets import DatasetStore

    records = [p.record(run_id) for run_id in ids]
    store = DatasetStore(p.artifacts, b"")
    uris = [record.artifacts["results"].uri for record in records]
    uris += sorted({store.find(record.where, record.data_version).artifact.uri for record in records})
    frames = [pd.read_parquet(BytesIO((Path(p.artifacts.url) / uri).read_bytes())) for uri in uris]
    merged = frames[0].merge(frames[1], on="key", how="outer").merge(frames[2], left_on="key", right_on="row")
    assert len(merged) == len(frames[2])


def report(case: str, value: float, floor: float | None = None, target: float | None = None) -> None:
    line = {"bench": "compare", "case": case, "value": round(value, 3), "unit": "s"}
    compared = {"floor": round(floor, 3), "ratio": round(value / floor, 2)} if floor else {"floor": None, "ratio": None}
    print(json.dumps({**line, **compared, "target": target}), flush=True)


if __name__ == "__main__":
    main()
