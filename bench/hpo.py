"""HPO with every run tracked, against the bare fits, plain Optuna and Ray Tune; what a trial costs; cores kept busy.

    python bench/hpo.py [--short] [--case efficiency|overhead|many ...]

efficiency: 40 trials x 5 folds of gradient boosting on 2,000 rows. Floors, in joblib with as many processes as cores,
warm: the very fits of our trials; and the same that also predict the train rows and write results, model and record.
overhead: a trial with next to no work in it, by the number of trials, beside the sampler's own time alone.
many: subprojects at once; the share of all cores' time that is spent inside fits.
Numeric libraries have one thread everywhere. Ray is up before the clock starts; its start is told apart.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

BENCH = Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0))
SEED = 7
Parameters = tuple[float, int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer trials and subprojects")
    parser.add_argument("--case", nargs="+", default=["efficiency", "overhead", "many"])
    parser.add_argument("--part", help="(one side, in a process of its own)")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--folder")
    asked = parser.parse_args()
    if asked.part:
        parts: dict[str, Callable[[int, Path], dict[str, Any]]] = {
            "ours": ours, "bare": bare, "full": full, "optuna 1": optuna_1, "optuna 2": optuna_2, "tune": tune,
            "sampler": sampler, "trivial": trivial, "many": many,
        }  # fmt: skip
        print(json.dumps(parts[asked.part](asked.trials, Path(asked.folder))))
        return
    cases = {"efficiency": efficiency, "overhead": overhead, "many": many_case}
    for name in asked.case:
        folder = Path(tempfile.mkdtemp(prefix="bench-hpo-"))
        try:
            cases[name](asked.short, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def report(case: str, value: float, unit: str, floor: float | None = None, target: float | None = None) -> None:
    line = {
        "bench": "hpo", "case": case, "value": round(value, 5), "unit": unit,
        "floor": round(floor, 5) if floor else None, "ratio": round(value / floor, 3) if floor else None,
        "target": target,
    }  # fmt: skip
    print(json.dumps(line), flush=True)


def child(part: str, trials: int, folder: Path, **settings: str) -> dict[str, Any]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "PYTHONDONTWRITE"))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--part", part, "--trials", str(trials), "--folder", str(folder)]
    environment = {**kept, **threads, "PYTHONPATH": str(BENCH), "RAY_DEDUP_LOGS": "0", **settings}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# ---- efficiency


def efficiency(short: bool, folder: Path) -> None:
    trials = 8 if short else 40
    what = f"{trials} trials x 5 folds"
    done = child("ours", trials, folder)
    walls: dict[str, list[float]] = {"ours": [done["wall"]], "bare": [], "full": []}
    for _ in range(1 if short else 2):
        for floor in ("bare", "full"):
            walls[floor].append(child(floor, trials, folder)["wall"])
        if not short:
            walls["ours"].append(child("ours", trials, folder)["wall"])
    mean = {name: sum(values) / len(values) for name, values in walls.items()}
    report(f"{what}: ours, against the bare fits", mean["ours"], "s", mean["bare"], 1.25)
    report(f"{what}: ours, against fits that write what we write", mean["ours"], "s", mean["full"], 1.1)
    report(f"{what}: ours, ray start", done["ray start"], "s")
    report(f"{what}: ours, in fits", done["fit share"], "of cores x wall")
    for other in ("optuna 1", "optuna 2", "tune"):
        result = child(other, trials, folder)
        if "wall" in result:
            report(f"{what}: {other}", result["wall"], "s", mean["bare"])
        else:
            print(json.dumps({"bench": "hpo", "case": f"{what}: {other}", "skipped": result["skipped"]}), flush=True)


def opened(folder: Path, **settings: str) -> Any:
    os.environ.update(settings)
    from mlops_assets import open_project

    p = open_project("hpo_bench.project".replace("hpo_bench", "hpo_project"), home=folder / "home")
    p.apply()
    began = perf_counter()
    from resources.ray_workers import connect

    connect(p.mlops.compute()._ray_settings(None))
    return p, perf_counter() - began


def ours(trials: int, folder: Path) -> dict[str, Any]:
    shutil.rmtree(folder / "home", ignore_errors=True)
    p, ray_start = opened(folder)
    # Snapshot, workers and imports, which a service has.
    p.hpo("s00", trials=2, reuse="none", sampler="random", seed=1)
    began = perf_counter()
    (done,) = p.hpo("s00", trials=trials, reuse="none", transfer="none", seed=SEED)
    wall = perf_counter() - began
    parameters = [[t.parameters[name] for name in ("rate", "leaves", "leaf")] for t in done.summary.trials]
    (folder / "parameters.json").write_text(json.dumps(parameters))
    records = [p.record(run) for run in done.summary.trials[0].run_ids]
    fits = sum(p.tracker.of_parent(done.summary.hpo_run_id)[n].timings["fit"] for n in range(trials * 5))
    spent = {step: sum(r.timings.get(step, 0.0) for r in records) / len(records) for step in records[0].timings}
    print(json.dumps({"seconds of a run": spent}), file=sys.stderr)
    return {"wall": wall, "ray start": ray_start, "fit share": fits / (wall * CORES)}


def floor(trials: int, folder: Path, work: Callable[..., float], *more: str) -> dict[str, Any]:
    from hpo_project.work import FOLDS, make_frame
    from joblib import Parallel, delayed

    frame = make_frame(0)
    parameters = [tuple(one) for one in json.loads((folder / "parameters.json").read_text())]
    with Parallel(n_jobs=CORES) as parallel:
        parallel(delayed(work)(frame, parameters[0], fold, *more) for fold in range(4))
        began = perf_counter()
        parallel(delayed(work)(frame, one, fold, *more) for one in parameters for fold in range(FOLDS))
        return {"wall": perf_counter() - began}


def bare(trials: int, folder: Path) -> dict[str, Any]:
    from hpo_project.work import bare_fit

    return floor(trials, folder, bare_fit)


def full(trials: int, folder: Path) -> dict[str, Any]:
    from hpo_project.work import full_fit

    return floor(trials, folder, full_fit, str(folder / "full"))


def plain_optuna(trials: int, n_jobs: int) -> dict[str, Any]:
    import optuna
    from hpo_project.work import FOLDS, bare_fit, make_frame

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    frame = make_frame(0)

    def objective(trial: Any) -> float:
        parameters = suggested(trial)
        return sum(bare_fit(frame, parameters, fold) for fold in range(FOLDS)) / FOLDS

    bare_fit(frame, (0.1, 31, 20), 0)
    began = perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    study.optimize(objective, n_trials=trials, n_jobs=n_jobs)
    return {"wall": perf_counter() - began}


def suggested(trial: Any) -> Parameters:
    rate = trial.suggest_float("rate", 0.01, 0.3, log=True)
    return rate, trial.suggest_int("leaves", 4, 63), trial.suggest_int("leaf", 5, 100, log=True)


def optuna_1(trials: int, folder: Path) -> dict[str, Any]:
    return plain_optuna(trials, 1)


def optuna_2(trials: int, folder: Path) -> dict[str, Any]:
    return plain_optuna(trials, 2)


def tune(trials: int, folder: Path) -> dict[str, Any]:
    try:
        import ray
        from hpo_project.work import FOLDS, bare_fit, make_frame
        from ray import tune as ray_tune
        from ray.tune.search.optuna import OptunaSearch
    except ImportError as error:
        return {"skipped": f"Ray Tune is not installed: {error}"}
    ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    frame = ray.put(make_frame(0))

    def objective(config: dict[str, Any]) -> None:
        rows = ray.get(frame)
        parameters = (config["rate"], config["leaves"], config["leaf"])
        ray_tune.report({"rmse": sum(bare_fit(rows, parameters, fold) for fold in range(FOLDS)) / FOLDS})

    space = {
        "rate": ray_tune.loguniform(0.01, 0.3), "leaves": ray_tune.randint(4, 64), "leaf": ray_tune.lograndint(5, 101),
    }  # fmt: skip
    asked = ray_tune.TuneConfig(
        metric="rmse", mode="min", num_samples=trials, search_alg=OptunaSearch(seed=SEED), max_concurrent_trials=CORES
    )
    run = ray_tune.RunConfig(storage_path=str(folder / "tune"), verbose=0)
    began = perf_counter()
    ray_tune.Tuner(objective, param_space=space, tune_config=asked, run_config=run).fit()
    return {"wall": perf_counter() - began}


# ---- overhead


def overhead(short: bool, folder: Path) -> None:
    sizes = [25, 50] if short else [200, 2000]
    walls: list[float] = []
    alone: list[float] = []
    for trials in sizes:
        alone.append(child("sampler", trials, folder)["wall"])
        walls.append(child("trivial", trials, folder, HPO_PIPELINE="Trivial")["wall"])
        wall, own = walls[-1] / trials, alone[-1] / trials
        report(f"overhead at {trials} trials: the sampler alone", 1000 * own, "ms per trial")
        report(f"overhead at {trials} trials: ours, tracked", 1000 * wall, "ms per trial", 1000 * own)
        report(f"overhead at {trials} trials: ours less the sampler", 1000 * (wall - own), "ms per trial", None, 3.0)
    # What begins and ends an HPO run, its pictures among it, is paid once.
    further = (walls[1] - walls[0] - alone[1] + alone[0]) / (sizes[1] - sizes[0])
    report(f"overhead of each trial from {sizes[0]} to {sizes[1]}, less the sampler", 1000 * further, "ms per trial")


def sampler(trials: int, folder: Path) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    began = perf_counter()
    study.optimize(lambda trial: sum(suggested(trial)), n_trials=trials)
    return {"wall": perf_counter() - began}


def trivial(trials: int, folder: Path) -> dict[str, Any]:
    shutil.rmtree(folder / "home", ignore_errors=True)
    p, _ = opened(folder)
    p.hpo("s00", trials=4, folds=None, sampler="random", seed=1)
    began = perf_counter()
    p.hpo("s00", trials=trials, folds=None, reuse="none", transfer="none", seed=SEED, rule="best-mean")
    return {"wall": perf_counter() - began}


# ---- many


def many_case(short: bool, folder: Path) -> None:
    subprojects, trials = (4, 4) if short else (16, 10)
    # Fits of some 40 ms, as in the other cases, and of the size that a real dataset has.
    for rows, iterations in (("2000", "30"), ("20000", "60")):
        settings = {"HPO_SUBPROJECTS": str(subprojects), "HPO_ROWS": rows, "HPO_ITERATIONS": iterations}
        done = child("many", trials, folder, **settings)
        case = f"{subprojects} subprojects at once, {done['runs']} runs with fits of {1000 * done['fit']:.0f} ms"
        report(f"{case}: in fits", done["fit share"], "of cores x wall", None, 0.8)
        report(f"{case}: in fits and predictions", done["predict share"], "of cores x wall")
        report(f"{case}: in runs", done["run share"], "of cores x wall")
        report(f"{case}: wall", done["wall"], "s")
        shutil.rmtree(folder / "home", ignore_errors=True)


def many(trials: int, folder: Path) -> dict[str, Any]:
    p, _ = opened(folder)
    p.train(steps=["dataset"])
    began = perf_counter()
    p.hpo(p.subprojects, trials=trials, transfer="none", seed=SEED)
    wall = perf_counter() - began
    records = [record for record in p.tracker.records() if record.kind == "trial"]
    fits = sum(record.timings["fit"] for record in records)
    predictions = sum(record.timings["predict"] for record in records)
    runs = sum(sum(record.timings.values()) for record in records)
    share = wall * CORES
    count = len(records)
    return {
        "wall": wall, "runs": count, "fit": fits / count, "fit share": fits / share, "run share": runs / share,
        "predict share": (fits + predictions) / share,
    }  # fmt: skip


if __name__ == "__main__":
    main()
