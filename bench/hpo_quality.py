"""How good are 15 trials? On the flight project, judged on flights that are later than all that chose.

    python bench/hpo_quality.py [--short] [--subprojects F9 AS ...] [--seeds 5] [--rows N] [--workers 2]

Each airline's flights are split by time: what is searched is judged by cross-validation of the first three quarters,
and what was chosen is trained on all of them and judged on the last quarter. Three searches, all by the engine of this
package with the sampler tpe:

  plain      tells and tries nothing; its first 15 trials and all 50
  transfer   15 trials, the first half of them the siblings' best configurations after their plain 15, leave one out;
             what a sibling's rule chose first, as where each has had its HPO run
  reference  all 50 trials of plain of every other seed (200 with 5 seeds): their best mean is what regret is against

Each is chosen from by the best mean and by one standard error, as the project declares (and transfer is searched for
each of the two). So that a gain of the rule is not taken for one of transfer, transfer is set against plain by the same
rule too.

Regret is the error of what a search chose over that of what the reference chose, less one, in percent; negative where
it is better. Two searches are compared likewise, error over error, without the reference; pairs are of one airline and
seed, and the interval is a t interval of the mean over airlines (each the mean over its seeds), as seeds of one airline
are no independent problems. "on the folds" is the same on what was optimised.

It goes on where it was stopped: each search that is done is a line of a file in --store (default .mlops/bench).
--rows thins out what is searched of large airlines, which makes it a smaller problem and not the same one; it is judged
on all later flights still. One seed has no reference, and no regret.
"""

import argparse
import atexit
import itertools
import json
import math
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo_project.flights import on_folds, on_later

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

BUDGET, MORE = 15, 50
RULES = BEST_MEAN, DECLARED = "best-mean", "one-standard-error"
SMALL = ["AS", "F9", "YV"]
Trial = dict[str, Any]
Task = tuple[str, str, int, int]  # search, airline, seed, rows
Problem = tuple[str, int, int]  # airline, seed, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two seeds, three small airlines of 200 flights")
    parser.add_argument("--subprojects", nargs="*", help="airlines; default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=0, help="at most so many flights of each airline; default all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", type=Path, default=Path(".mlops/bench"))
    asked = parser.parse_args()
    if asked.short:
        asked.subprojects, asked.seeds, asked.rows = SMALL, 2, 200
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
    plain = [("plain", key, seed, asked.rows) for seed in seeds for key in keys]
    with ProcessPoolExecutor(asked.workers) as workers:
        carry_out(workers, file, done, [(task, {}) for task in plain])
        transfer = [(f"transfer {rule}", key, seed, asked.rows) for seed in seeds for key in keys for rule in RULES]
        carry_out(workers, file, done, [(task, siblings(done, task, keys)) for task in transfer])
    report(done, [(key, seed, asked.rows) for key in keys for seed in seeds])


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
    from mlops_assets.learning.search.search import Question, Search, sampler_seed
    from partitions.catalogue import resolve
    from projects.flight_delays.project import project

    name, key, seed, rows = task
    kind, _, rule = name.partition(" ")
    trials = {"plain": MORE, "transfer": BUDGET}[kind]
    configuration = resolve(project, key)
    assert configuration.hpo is not None
    hpo = configuration.hpo.changed(trials=trials, pruner="none", rule="best-mean")
    space, base = configuration.search_space, configuration.params
    question = Question(space, hpo, base, sampler_seed(seed, key))
    made = Search(question, [], first(configuration, judged, rule) if judged else [])
    found: list[Trial] = []
    for _ in range(trials):
        asked = made.ask()
        if asked is None:
            break
        values, size = on_folds(key, rows, asked.parameters)
        for value in values:
            made.report(asked.number, value)
        made.tell(asked.number, statistics.fmean(values))
        found.append({"parameters": asked.parameters, "values": values, "origin": asked.origin, "model_bytes": size})
    for count, by in itertools.product((BUDGET, MORE), RULES):
        chosen = chosen_of(found[:count], by)
        if "later" not in chosen:
            chosen["later"] = on_later(key, rows, chosen["parameters"])
    return found


def first(configuration: Any, judged: Mapping[str, list[Trial]], rule: str) -> list[tuple[dict[str, Any], str]]:
    """The siblings' best configurations, as the tracker's runs would offer them."""
    from mlops_assets.learning.transfer import Goal, Sibling, offered_by, to_try
    from projects.flight_delays.project import project

    tags = {one.key: one.tags for one in project.subprojects}
    known = {
        key: Sibling(tags[key], [evaluation(key, trial) for trial in trials], chosen_of(trials, rule)["parameters"])
        for key, trials in judged.items()
    }
    goal = Goal(configuration.search_space, configuration.params, "minimize", tags[configuration.key])
    return to_try(offered_by(goal, known), [], BUDGET)


def evaluation(key: str, trial: Trial) -> Any:
    from mlops_assets.learning.evaluation import Evaluation

    folds = tuple(range(len(trial["values"])))
    names = tuple(f"{key}-{fold}" for fold in folds)
    zeros = (0,) * len(folds)
    values = tuple(trial["values"])
    size = trial["model_bytes"]
    known = Evaluation(key, "", "", trial["parameters"], "rmse", values, names, zeros, folds, len(folds))
    return replace(known, model_bytes=size)


# ---- what came out


def chosen_of(trials: Sequence[Trial], rule: str) -> Trial:
    """What the engine's rule makes of these trials."""
    from mlops_assets.learning.choice import choose

    judged = [evaluation("", trial) for trial in trials]
    return trials[judged.index(choose(judged, "minimize", rule).evaluation)]


def report(done: Mapping[Task, list[Trial]], problems: Sequence[Problem]) -> None:
    later, on_folds = {}, {}
    for rule in RULES:
        searches = {
            "plain 15": ("plain", BUDGET),
            "plain 50": ("plain", MORE),
            "transfer 15": (f"transfer {rule}", BUDGET),
        }
        for name, (search, count) in searches.items():
            chosen = {problem: chosen_of(done[search, *problem][:count], rule) for problem in problems}
            later[name, rule] = {problem: float(one["later"]) for problem, one in chosen.items()}
            on_folds[name, rule] = {problem: statistics.fmean(one["values"]) for problem, one in chosen.items()}
    seeds = {seed for _, seed, _ in problems}
    if len(seeds) > 1:
        reference = reference_of(done, problems, seeds)
        for (name, rule), of_each in later.items():
            apart = over(of_each, reference)
            compare(f"regret of {name} by {rule}, later, over {MORE * (len(seeds) - 1)} other trials", apart)
    for other, target in (("plain 15", None), ("plain 50", 0.0)):
        for ours, theirs in ((BEST_MEAN, BEST_MEAN), (DECLARED, DECLARED), (DECLARED, BEST_MEAN)):
            apart = over(later["transfer 15", ours], later[other, theirs])
            compare(f"transfer 15 by {ours} over {other} by {theirs}, later", apart, target)
        apart = over(on_folds["transfer 15", BEST_MEAN], on_folds[other, BEST_MEAN])
        compare(f"transfer 15 over {other}, on the folds", apart)


def reference_of(
    done: Mapping[Task, list[Trial]], problems: Sequence[Problem], seeds: Iterable[int]
) -> dict[Problem, float]:
    """The error on later flights of the best mean of all other seeds. It is judged: it was the best of its seed too."""
    found = {}
    for key, seed, rows in problems:
        others = [trial for other in seeds if other != seed for trial in done["plain", key, other, rows]]
        found[key, seed, rows] = float(chosen_of(others, BEST_MEAN)["later"])
    return found


def compare(what: str, apart: Sequence[float], target: float | None = None) -> None:
    low, high = interval(apart)
    better, worse = sum(value < 0 for value in apart), sum(value > 0 for value in apart)
    said: dict[str, Any] = {"mean": round(statistics.fmean(apart), 3), "low": round(low, 3), "high": round(high, 3)}
    said |= {"better": better, "worse": worse, "airlines": len(apart)}
    say(f"{what}: median airline", statistics.median(apart), "%", target, **said)


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
