"""What is known of many runs: configurations over their folds, what a search may know of them, plots, the export.

    python bench/explore.py [--short] [--runs N]

20 subprojects, each configuration on 5 folds. The floor of "judged" is the same runs read as a DataFrame.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
PROJECT, SUBPROJECTS, FOLDS, BATCH = "bench", 20, 5, 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="10,000 runs")
    parser.add_argument("--runs", type=int, default=100_000)
    asked = parser.parse_args()
    count = 10_000 if asked.short else asked.runs
    for name in [name for name in os.environ if name.startswith(("MLOPS_", "DAGSTER_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="bench-explore-", ignore_cleanup_errors=True) as folder:
        measure(Path(folder), count)


def measure(folder: Path, count: int) -> None:
    from mlops_assets.tracking.best import BestConfigurations
    from mlops_assets.tracking.earlier import Remembered, earlier
    from mlops_assets.tracking.evaluations import evaluations
    from mlops_assets.tracking.exploring.exploration import explored
    from mlops_assets.tracking.run_query import RunQuery
    from mlops_assets.tracking.tracker import Tracker
    from resources.event_log import EventLog
    from resources.home import Home

    home = Home(folder)
    log = EventLog.open(home)
    log_runs(log, count)
    tracker = Tracker(log, PROJECT, folder / "index")
    tracker.rows(RunQuery(limit=1))
    one = RunQuery(subprojects=("S1",))
    floor = seconds(lambda: tracker.frame(RunQuery()))
    say(f"{count:,} runs judged over their folds", seconds(lambda: evaluations(tracker, "rmse")), floor, 2.0)
    say(f"those of one subproject of {count:,} runs", seconds(lambda: evaluations(tracker, "rmse", one)))
    best = BestConfigurations(log, PROJECT)
    known: Remembered = {}
    say(
        "what a search knows: the first of a launch",
        seconds(lambda: earlier(tracker, best, question(1), tags(), known)),
    )
    say("what a search knows: the next ones", seconds(lambda: earlier(tracker, best, question(2), tags(), known)))
    found = explored(tracker, one, "rmse", {"rmse": "min"})
    say(f"report of {len(found.points.evaluations):,} configurations", seconds(found.page))


def log_runs(log: Any, count: int) -> None:
    import dagster as dg

    from mlops_assets.tracking.record import RECORD_ENTRY, to_text

    chance = random.Random(0)
    key = dg.AssetKey([PROJECT, "trials"])
    for start in range(0, count, BATCH):
        events = []
        for number in range(start, min(start + BATCH, count), FOLDS):
            for record in trial(chance, number):
                metadata = {RECORD_ENTRY: to_text(record), "run_id": record.run_id}
                events.append(dg.AssetMaterialization(key, partition=record.subproject, metadata=metadata))
        log.store(events)


def trial(chance: random.Random, number: int) -> list[Any]:
    from mlops_assets.tracking.record import Digests, RunRecord, new_run_id, now
    from partitions.run_configuration import RunConfiguration

    params = {**{f"p{n}": chance.random() for n in range(6)}, "depth": chance.randrange(1, 10), "loss": None}
    value = abs(params["p0"] - 0.3) + 0.1 * params["depth"]
    made = []
    for fold in range(FOLDS):
        configuration = RunConfiguration(params=params, folds=FOLDS, fold=fold)
        made.append(
            RunRecord(
                run_id=new_run_id(),
                project=PROJECT,
                subproject=f"S{number // FOLDS % SUBPROJECTS}",
                kind="trial",
                code_version={"digest": "c" * 64},
                data_version="d" * 64,
                digests=Digests(subproject="s" * 64, run=configuration.digest),
                parameters=params,
                settings={"folds": FOLDS, "split": f"{fold:064}"},
                seed=0,
                fold=fold,
                fingerprint=f"{number * FOLDS + fold:064x}",
                metrics={"rmse": value + chance.gauss(0, 0.05), "mae": value},
                environment={"python": "3.11", "lock": "l" * 64},
                status="succeeded",
                created_at=now(),
                created_by="bench",
            )
        )
    return made


def question(number: int) -> Any:
    from mlops_assets.tracking.earlier import Asked
    from partitions.hpo import HPO
    from partitions.search_space import Float, Int, SearchSpace

    space = SearchSpace(**{f"p{n}": Float(0.0, 1.0) for n in range(6)}, depth=Int(1, 9))
    base = {**{f"p{n}": 0.5 for n in range(6)}, "depth": 3, "loss": None}
    hpo = HPO(metric="rmse", direction="minimize", folds=FOLDS)
    return Asked(f"S{number}", hpo, space, base, "c" * 64, "d" * 64, seed=0)


def tags() -> dict[str, dict[str, str]]:
    return {f"S{number}": {"hub": "abc"[number % 3]} for number in range(SUBPROJECTS)}


def seconds(what: Callable[[], Any]) -> float:
    began = perf_counter()
    what()
    return perf_counter() - began


def say(case: str, value: float, floor: float | None = None, target: float | None = None) -> None:
    ratio = round(value / floor, 2) if floor else None
    line = {"bench": "explore", "case": case, "value": round(value, 3), "unit": "s", "floor": floor and round(floor, 3)}
    print(json.dumps({**line, "ratio": ratio, "target": target}), flush=True)


if __name__ == "__main__":
    main()
