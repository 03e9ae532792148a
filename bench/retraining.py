"""Retraining a fleet, data to deployment, against a bare loop; and how long it takes to deploy, promote and roll back.

    python bench/retraining.py [--short] [--subprojects N] [--only retrain|latency|deployers]

retrain: all subprojects are due at once: data, model, two gates (one against the champion), proof of parity, ledger,
events; Ray is up, as in bench/fleet.py. Floors, before and after ours in one session: a warm joblib loop that fits and
stores the same, once bare ("fleet floor") and once with the champion predicting the same rows. One Dagster run per
partition, as plain assets: 5 are measured from the command line and 5 in process; the figure for all is extrapolated.

The process that proves parity takes two seconds of CPU to start, which a fleet shares: the short form has no targets.

latency: of one subproject in a process that is up. deployers: 16 processes append 1,000 deployments to one ledger.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

from fleet import child as fleet_child
from fleet import cpu_seconds

BENCH = Path(__file__).resolve().parent
WARM_UP = 4
# Of a small fleet, as in the short form, fewer.
RUNS_MEASURED = {True: 2, False: 5}
SMALL = 100
DEPLOYERS = 16
JANUARY, FEBRUARY = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="40 subprojects, fewer repetitions")
    parser.add_argument("--subprojects", type=int, default=1000)
    parser.add_argument("--only", choices=["retrain", "latency", "deployers"])
    parser.add_argument("--part", help="(one side, in a process of its own)")
    parser.add_argument("--folder")
    asked = parser.parse_args()
    if asked.part:
        print(json.dumps(PARTS[asked.part](asked.subprojects, Path(asked.folder))))
        return
    number = 40 if asked.short else asked.subprojects
    for name, part in (("retrain", retrain), ("latency", latency), ("deployers", deployers)):
        if asked.only in (None, name):
            folder = Path(tempfile.mkdtemp(prefix="bench-retraining-"))
            try:
                part(number, folder, asked.short)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def retrain(number: int, folder: Path, short: bool) -> None:
    floors = [child("floor", number, folder)]
    ours = child("ours", number, folder)
    floors.append(child("floor", number, folder))
    case = f"{number} due at once"
    for name in ("wall", "cpu"):
        value = ours.pop(name) / number
        with_champion = mean(floor[f"{name} with champion"] for floor in floors) / number
        bare = mean(floor[name] for floor in floors) / number
        report(
            f"{case}: {name} against the floor with champion",
            value,
            "s per subproject",
            with_champion,
            None if short else 2.0,
        )
        report(f"{case}: {name} against the bare fleet floor", value, "s per subproject", bare, None if short else 4.0)
        if name == "wall":
            per_run = child("runs", number, folder)
            for how, seconds in per_run.items():
                said = f"{case}: one Dagster run each, {how} ({RUNS_MEASURED[number < SMALL]} measured, extrapolated)"
                report(said, seconds * number, "s", value * number, None)
    for name, value in ours.items():
        report(f"{case}: {name}", value, "s per subproject" if name != "outcomes" else "deployed")


def latency(number: int, folder: Path, short: bool) -> None:
    for name, seconds in child("latency", 3 if short else 9, folder).items():
        report(f"one subproject: {name}", seconds, "s")


def deployers(number: int, folder: Path, short: bool) -> None:
    total = 160 if short else 1000
    url = f"sqlite:///{folder}/ledger.db"
    script = "from retraining import append_some; append_some"
    shares = [total // DEPLOYERS + (number < total % DEPLOYERS) for number in range(DEPLOYERS)]
    commands = [[sys.executable, "-c", f"{script}({url!r}, {share})"] for share in shares]
    environment = {**os.environ, "PYTHONPATH": str(BENCH)}
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) for command in commands]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    began = perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [json.loads(process.communicate()[0]) for process in processes]
    wall = perf_counter() - began
    sequences = sorted(sequence for answer in answers for sequence in answer["sequences"])
    assert sequences == list(range(1, len(sequences) + 1)), "a sequence was lost or doubled"
    case = f"{DEPLOYERS} deployers, {len(sequences)} deployments"
    report(f"{case}: rate", len(sequences) / wall, "deployments per s")
    report(f"{case}: an append, median", median(s for a in answers for s in a["seconds"]), "s")
    report(f"{case}: an append, slowest", max(s for a in answers for s in a["seconds"]), "s")
    report(f"{case}: told that another was faster", sum(answer["lost"] for answer in answers), "times")


def append_some(url: str, deployments: int) -> None:
    """One of many deployers, each to a subproject of 20 at random, over what it has just read."""
    import random

    from resources.ledger.deployment import Deployment, ModelFile, NewDeployment
    from resources.ledger.ledger import Ledger

    print("ready", flush=True)
    sys.stdin.readline()
    ledger = Ledger.open(url)
    sequences: list[int] = []
    seconds: list[float] = []
    lost = 0
    while len(sequences) < deployments:
        key = f"s{random.randrange(20)}"
        now = ledger.current("bench", "production", [key]).get((key, "production"))
        wanted = NewDeployment(
            project="bench",
            subproject=key,
            stage="production",
            action="deploy",
            replaces=now.sequence if now is not None else 0,
            run_id=f"r{random.randrange(10**9)}",
            model=ModelFile(uri="sha256/ab/" + "ab" * 32, digest="ab" * 32, bytes=1000),
            evidence={"verdicts": [{"gate": "g", "outcome": "pass", "reason": "x" * 200}] * 5},
            why="to see how long it takes",
            by="bench",
        )
        began = perf_counter()
        (answer,) = ledger.append([wanted])
        seconds.append(perf_counter() - began)
        if isinstance(answer, Deployment):
            sequences.append(answer.sequence)
        else:
            lost += 1
    print(json.dumps({"sequences": sequences, "seconds": seconds, "lost": lost}))


def floor(number: int, folder: Path) -> dict[str, Any]:
    from joblib import Parallel, delayed
    from retraining_project.work import bare_month, bare_with_champion

    place = str(folder / "floor")
    with Parallel(n_jobs=len(os.sched_getaffinity(0))) as parallel:
        # The champions; and what the workers import is loaded.
        parallel(delayed(bare_month)(place, i, 1) for i in range(number))
        parallel(delayed(bare_with_champion)(place, i, 2) for i in range(WARM_UP))
        measured: dict[str, float] = {}
        for said, work in (("", bare_month), (" with champion", bare_with_champion)):
            cpu, wall = cpu_seconds(), perf_counter()
            parallel(delayed(work)(place, i, 2) for i in range(number))
            measured |= {f"wall{said}": perf_counter() - wall, f"cpu{said}": cpu_seconds() - cpu}
    return measured


def ours(number: int, folder: Path) -> dict[str, Any]:
    from mlops_assets import open_project
    from resources.ray_workers import connect

    p = open_project("retraining_project.project", home=folder / "home")
    p.apply()
    connect(p.mlops.compute()._ray_settings(None))
    keys = p.subprojects
    p.deploy(keys, stage="production", why="the champions", now=JANUARY)
    # The last few warm up: their workers have seen gates and champions.
    p.retrain(keys[number:], stage="production", now=FEBRUARY)
    cpu, began = cpu_seconds(), perf_counter()
    decisions = p.retrain(keys[:number], stage="production", now=FEBRUARY)
    wall, cpu = perf_counter() - began, cpu_seconds() - cpu
    assert [decision.result for decision in decisions] == ["deployed"] * number, decisions[:3]
    rows = p.serving(keys[:number], stage="production")
    parity = mean(row.evidence["parity"]["seconds"] for row in rows)
    spent: dict[str, float] = {}
    for record in p.tracker.of_dagster_run(str(rows[0].dagster_run_id)):
        for step, seconds in record.timings.items():
            group = step if step in ("data", "fit", "predict", "write", "gates") else "other"
            spent[group] = spent.get(group, 0.0) + seconds / number
    return {"wall": wall, "cpu": cpu, "parity": parity, **dict(sorted(spent.items()))}


def runs(number: int, folder: Path) -> dict[str, Any]:
    """A Dagster run per partition: from the command line, and in a process that is up."""
    import logging

    import dagster as dg

    measured = RUNS_MEASURED[number < SMALL]
    environment = {**os.environ, "DAGSTER_HOME": str(folder / "dagster"), "BENCH_FOLDER": str(folder / "floor")}
    os.environ.update(environment)
    (folder / "dagster").mkdir(exist_ok=True)
    (folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    instance = dg.DagsterInstance.get()
    instance.add_dynamic_partitions("subprojects", [str(i) for i in range(2 * measured + 1)])
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "retraining_project.plain_dagster"]
    timed = []
    for i in range(measured):
        began = perf_counter()
        whole = [*command, "--select", "*", "--partition", str(i)]
        subprocess.run(whole, env=environment, check=True, capture_output=True)
        timed.append(perf_counter() - began)
    logging.disable(logging.CRITICAL)
    from retraining_project.plain_dagster import defs

    job = defs.resolve_implicit_global_asset_job_def()
    in_process = []
    for i in range(measured, 2 * measured + 1):
        began = perf_counter()
        assert job.execute_in_process(partition_key=str(i), instance=instance).success
        in_process.append(perf_counter() - began)
    return {"from the command line": median(timed), "in a process that is up": median(in_process[1:])}


def latencies(times: int, folder: Path) -> dict[str, Any]:
    os.environ["MLOPS_BACKEND"] = "inline"
    from mlops_assets import open_project

    p = open_project("retraining_project.project", home=folder / "home")
    p.apply()
    key = p.subprojects[0]
    spent: dict[str, list[float]] = {}

    def timed(name: str, call: Any) -> None:
        began = perf_counter()
        (decision,) = call()
        spent.setdefault(name, []).append(perf_counter() - began)
        assert decision.result in ("deployed", "undeployed"), decision

    for i in range(times):
        now = datetime(2026, 1 + i, 1, tzinfo=UTC)
        timed("deploy, with training", lambda now=now: p.deploy(key, stage="testing", why="x", now=now))
        timed("promote", lambda: p.promote(key, source="testing", target="production", why="x"))
    for _ in range(times - 1):
        timed("rollback", lambda: p.rollback(key, stage="production", why="x"))
    timed("undeploy", lambda: p.undeploy(key, stage="production", why="x"))
    return {name: median(seconds) for name, seconds in spent.items()}


PARTS = {"floor": floor, "ours": ours, "runs": runs, "latency": latencies}


def child(part: str, number: int, folder: Path) -> dict[str, Any]:
    settings = {"RETRAINING_SUBPROJECTS": str(number + WARM_UP)}
    return fleet_child(part, number, folder, settings, __file__)


def report(case: str, value: float, unit: str, floor_value: float | None = None, target: float | None = None) -> None:
    ratio = round(value / floor_value, 3) if floor_value else None
    line = {"bench": "retraining", "case": case, "value": round(value, 5), "unit": unit}
    shown = round(floor_value, 5) if floor_value else None
    print(json.dumps({**line, "floor": shown, "ratio": ratio, "target": target}), flush=True)


if __name__ == "__main__":
    main()
