"""How good are 15 trials? On the flight project, judged on flights that are later than all that chose.

    python bench/hpo_quality.py [--short] [--subprojects F9 AS ...] [--seeds 5] [--rows N] [--workers 2]

Each airline's flights are split by time: what is searched is judged by cross-validation of the first three quarters,
and what was chosen (best mean) is trained on all of them and judged on the last quarter. Three searches, all by the
engine of this package with the sampler tpe:

  plain      tells and tries nothing; its first 15 trials and all 50
  transfer   15 trials, the first half of them the siblings' best configurations after their plain 15, leave one out
  reference  200 trials of plain with another seed: what it chose is what regret is against

Regret is the error of what a search chose over that of what the reference chose, less one, in percent; negative where
it is better. Two searches are compared likewise, error over error, without the reference; pairs are of one airline and
seed, and the interval is a t interval over airlines (each the mean over its seeds), as seeds of one airline are no
independent problems. "on the folds" is the same on what was optimised.

It goes on where it was stopped: each search that is done is a line of a file in --store (default .mlops/bench).
--rows thins large airlines out, which makes it a smaller problem and not the same one; --reference 0 leaves out what
takes the longest, and with it regret.
"""

import argparse
import atexit
import json
import math
import os
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

BUDGET, MORE = 15, 50
REFERENCE_SEED = 10_007
SMALL = ["AS", "F9", "YV"]
Trial = dict[str, Any]
Task = tuple[str, str, int, int]  # search, airline, seed, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one seed, three small airlines, a reference of 50 trials")
    parser.add_argument("--subprojects", nargs="*", help="airlines; default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=0, help="at most so many flights of each airline; default all")
    parser.add_argument("--reference", type=int, default=200, help="trials of the reference; 0: none, and no regret")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", type=Path, default=Path(".mlops/bench"))
    asked = parser.parse_args()
    if asked.short:
        asked.subprojects, asked.seeds, asked.rows, asked.reference = SMALL, 1, 200, 50
        asked.store = Path(tempfile.mkdtemp(prefix="bench-hpo-quality-"))
        atexit.register(shutil.rmtree, asked.store, ignore_errors=True)
    from projects.flight_delays.project import project

    keys = asked.subprojects or list(project.keys)
    unknown = [key for key in keys if key not in project.keys]
    if unknown or len(keys) < 2:
        parser.error(f"--subprojects: two or more of {', '.join(project.keys)}")
    asked.store.mkdir(parents=True, exist_ok=True)
    file = asked.store / "hpo_quality.jsonl"
    done = read(file)
    seeds = range(asked.seeds)
    plain = [("plain", key, seed, asked.rows) for key in keys for seed in seeds]
    reference = [(f"reference {asked.reference}", key, REFERENCE_SEED, asked.rows) for key in keys if asked.reference]
    with ProcessPoolExecutor(asked.workers) as workers:
        carry_out(workers, file, done, [(task, {}) for task in plain])
        transfer = [("transfer", key, seed, asked.rows) for key in keys for seed in seeds]
        carry_out(workers, file, done, [(task, siblings(done, task, keys)) for task in transfer])
        carry_out(workers, file, done, [(task, {}) for task in reference])
    report(done, [(key, seed, asked.rows) for key in keys for seed in seeds], asked.reference)


# ---- searching, in processes of their own


def carry_out(
    workers: ProcessPoolExecutor,
    file: Path,
    done: dict[Task, list[Trial]],
    tasks: Iterable[tuple[Task, Mapping[str, Any]]],
) -> None:
    """What is not done yet; each search is stored when it is."""
    waiting = {workers.submit(search, task, judged): task for task, judged in tasks if task not in done}
    for number, finished in enumerate(as_completed(waiting), 1):
        task = waiting[finished]
        done[task] = finished.result()
        with file.open("a") as lines:
            lines.write(json.dumps({"task": task, "trials": done[task]}) + "\n")
        sys.stderr.write(f"{number}/{len(waiting)} {' '.join(map(str, task))}\n")


def read(file: Path) -> dict[Task, list[Trial]]:
    """The searches that are done. A line that was being written when the process was killed is none."""
    done: dict[Task, list[Trial]] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            stored = json.loads(line)
        except ValueError:
            continue
        name, key, seed, rows = stored["task"]
        done[name, key, seed, rows] = stored["trials"]
    if file.exists() and not file.read_text().endswith("\n"):
        with file.open("a") as lines:
            lines.write("\n")
    return done


def siblings(done: Mapping[Task, list[Trial]], task: Task, keys: Sequence[str]) -> dict[str, list[Trial]]:
    """The first 15 trials of the others, with the same seed."""
    _, key, seed, rows = task
    return {other: done["plain", other, seed, rows][:BUDGET] for other in keys if other != key}


def search(task: Task, judged: Mapping[str, list[Trial]]) -> list[Trial]:
    """One search: its trials with their values on the folds, and on the later flights where they may be chosen."""
    from mlops_assets.learning.search.search import Question, Search
    from partitions.catalogue import resolve
    from projects.flight_delays.project import project

    name, key, seed, rows = task
    trials = {"plain": MORE, "transfer": BUDGET}.get(name) or int(name.split()[1])
    configuration = resolve(project, key)
    assert configuration.hpo is not None
    hpo = configuration.hpo.changed(trials=trials, pruner="none", rule="best-mean")
    space, base = configuration.search_space, configuration.params
    made = Search(Question(space, hpo, base, seed), [], first(configuration, judged, project) if judged else [])
    found: list[Trial] = []
    for _ in range(trials):
        asked = made.ask()
        if asked is None:
            break
        values = on_folds(key, rows, asked.parameters)
        for value in values:
            made.report(asked.number, value)
        made.tell(asked.number, statistics.fmean(values))
        found.append({"parameters": asked.parameters, "values": values, "origin": asked.origin})
    for count in (BUDGET, MORE, len(found)):
        chosen = best_of(found[:count])
        chosen.setdefault("later", on_later(key, rows, chosen["parameters"]))
    return found


def first(configuration: Any, judged: Mapping[str, list[Trial]], project: Any) -> list[tuple[dict[str, Any], str]]:
    """The siblings' best configurations, as the tracker's runs would offer them."""
    from mlops_assets.learning.transfer import Goal, Sibling, offered_by, to_try

    tags = {one.key: one.tags for one in project.subprojects}
    known = {key: Sibling(tags[key], [evaluation(key, trial) for trial in trials]) for key, trials in judged.items()}
    goal = Goal(configuration.search_space, configuration.params, "minimize", tags[configuration.key])
    return to_try(offered_by(goal, known), [], BUDGET)


def evaluation(key: str, trial: Trial) -> Any:
    from mlops_assets.learning.evaluation import Evaluation

    folds = tuple(range(len(trial["values"])))
    names = tuple(f"{key}-{fold}" for fold in folds)
    zeros = (0,) * len(folds)
    values = tuple(trial["values"])
    return Evaluation(key, "", "", trial["parameters"], "rmse", values, names, zeros, folds, len(folds))


@cache
def flights(key: str, rows: int) -> Any:
    """The flights before and after, and the folds of those before."""
    from partitions.catalogue import resolve
    from projects.flight_delays.project import project

    pipeline = project.pipeline
    data = pipeline.ingest(project.config(key), None)
    if rows and len(data) > rows:
        data = data.iloc[sorted(random.Random(0).sample(range(len(data)), rows))]
    data = data.sort_values("flight_id", ignore_index=True)
    hpo = resolve(project, key).hpo
    parts = pipeline.split(data, project.contract.params(), 0)
    return parts, pipeline.folds(parts.train, project.contract.params(), 0, hpo.folds if hpo else 5)


def on_folds(key: str, rows: int, parameters: Mapping[str, Any]) -> list[float]:
    _, folds = flights(key, rows)
    return [error(parameters, fold.train, fold.test) for fold in folds]


def on_later(key: str, rows: int, parameters: Mapping[str, Any]) -> float:
    parts, _ = flights(key, rows)
    return error(parameters, parts.train, parts.test)


def error(parameters: Mapping[str, Any], train: Any, test: Any) -> float:
    """What a run of this package computes as rmse, without what it writes."""
    from projects.flight_delays.project import project

    pipeline, schema = project.pipeline, project.pipeline.schema
    model = pipeline.build(project.contract.params(**parameters), 0)
    model.fit(schema.features_of(train), train[schema.target])
    predicted = pipeline.predict(model, test.drop(columns=[schema.target]))
    results = test.assign(truth=test[schema.target], prediction=predicted["prediction"])
    return float(pipeline.evaluate(results)["rmse"])


# ---- what came out


def best_of(trials: Sequence[Trial]) -> Trial:
    return min(trials, key=lambda trial: statistics.fmean(trial["values"]))


def report(done: Mapping[Task, list[Trial]], problems: Sequence[tuple[str, int, int]], reference: int) -> None:
    """problems: airline, seed and rows of each."""
    searches = {"plain 15": ("plain", BUDGET), "plain 50": ("plain", MORE), "transfer 15": ("transfer", BUDGET)}
    for where in ("later", "on the folds"):
        errors = {
            name: {problem: error_of(done[search, *problem][:count], where) for problem in problems}
            for name, (search, count) in searches.items()
        }
        if reference:
            best = {
                (key, seed, rows): error_of(done[f"reference {reference}", key, REFERENCE_SEED, rows], where)
                for key, seed, rows in problems
            }
            for name, of_each in errors.items():
                say(f"regret of {name}, {where}: median airline", statistics.median(over(of_each, best)), "%")
        for other in ("plain 15", "plain 50"):
            apart = over(errors["transfer 15"], errors[other])
            low, high = interval(apart)
            better = sum(value < 0 for value in apart)
            said = {"low": round(low, 3), "high": round(high, 3), "better": better, "airlines": len(apart)}
            target = 0.0 if (other, where) == ("plain 50", "later") else None
            what = f"transfer 15 over {other}, {where}"
            say(f"{what}: median airline", statistics.median(apart), "%", target, **said)
            say(f"{what}: mean of airlines", statistics.fmean(apart), "%", **said)


def error_of(trials: Sequence[Trial], where: str) -> float:
    """Of what these trials would choose."""
    chosen = best_of(trials)
    return float(chosen["later"] if where == "later" else statistics.fmean(chosen["values"]))


def over(ours: Mapping[tuple[str, int, int], float], theirs: Mapping[tuple[str, int, int], float]) -> list[float]:
    """How much larger our errors are, in percent, for each airline: the mean over its seeds."""
    by_airline: dict[str, list[float]] = {}
    for problem, value in ours.items():
        by_airline.setdefault(problem[0], []).append(100.0 * (value / theirs[problem] - 1.0))
    return [statistics.fmean(values) for values in by_airline.values()]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % t interval of the mean."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return math.nan, math.nan
    half = float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def say(case: str, value: float, unit: str, target: float | None = None, **more: Any) -> None:
    line = {"bench": "hpo_quality", "case": case, "value": round(value, 3), "unit": unit, "floor": None, "ratio": None}
    print(json.dumps({**line, "target": target, **more}), flush=True)


if __name__ == "__main__":
    main()
