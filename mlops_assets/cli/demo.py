"""What ``make demo`` runs: the example project, from its declaration to trained, checked and tracked models."""

import sys
from time import perf_counter

from mlops_assets.cli.hpo import print_optimised
from mlops_assets.cli.hpo_progress import trials_done
from mlops_assets.cli.printing import console, print_failures, print_table
from mlops_assets.cli.progress import arrivals
from mlops_assets.opened_project import HPOFailed, OpenedProject, RunsFailed, open_project

SMALL = ["F9", "YV"]
TRIALS = 4


def main() -> int:
    """Register every airline, take its data to a model and metrics, and compare with the baseline."""
    started = perf_counter()
    p = open_project("flight_delays")
    changes = p.apply(allow_retire=True)
    console.print(f"registered: {len(changes.new)} new, {len(changes.changed)} changed, {changes.unchanged} unchanged")
    console.print("data, checks, model and metrics of each, in one Dagster run on Ray (its start takes some seconds)")
    failed: dict[str, str] = {}
    try:
        with arrivals(len(p.subprojects), "flight_delays") as arrive:
            records = p.train(on_arrival=arrive)
    except RunsFailed as error:
        records, failed = error.records, error.failed
    rows = [
        [
            record.subproject,
            record.settings.get("train_rows"),
            record.settings.get("test_rows"),
            *(record.metrics.get(name) for name in ("rmse", "mae", "r2", "bias")),
            record.baseline.get("rmse"),
            f"{100 * (1 - record.metrics['rmse'] / record.baseline['rmse']):.0f} %" if record.metrics else None,
        ]
        for record in sorted(records, key=lambda record: record.subproject)
    ]
    columns = ["airline", "train rows", "test rows", "rmse", "mae", "r2", "bias", "baseline rmse", "better by"]
    console.print()
    print_table("Arrival delay, predicted at departure (minutes)", columns, rows, numbers=columns[1:])
    print_failures(failed)
    failed |= optimised(p)
    console.print(
        f"\n{len(records)} models and an HPO run in {perf_counter() - started:.0f} s. Look at what is tracked now:\n"
        "  the Dagster web UI     make dev            then open http://127.0.0.1:3000\n"
        "  the runs               .venv/bin/mlops runs\n"
        "  another configuration  .venv/bin/mlops run AA -P max_depth=4 --seed 7\n"
        "  better parameters      .venv/bin/mlops hpo AA --trials 20\n"
        '  a notebook             from mlops_assets import open_project; open_project("flight_delays").runs("AA")',
        highlight=False,
        markup=False,
    )
    return 1 if failed else 0


def optimised(p: OpenedProject) -> dict[str, str]:
    """A small HPO of the two smallest airlines, which is shown; errors by airline."""
    console.print(f"\nHPO of {' and '.join(SMALL)}: {TRIALS} trials each, every one over 3 folds, all of them tracked")
    failed: dict[str, str] = {}
    try:
        with trials_done("hpo") as hear:
            done = p.hpo(SMALL, trials=TRIALS, on_news=hear)
    except HPOFailed as error:
        done, failed = error.done, error.failed
    print_optimised(sorted(done, key=lambda one: one.subproject))
    print_failures(failed)
    return failed


if __name__ == "__main__":
    sys.exit(main())
