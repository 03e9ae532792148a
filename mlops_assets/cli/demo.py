"""What ``make demo`` runs: the example project, from its declaration to trained, checked and tracked models."""

import sys
from time import perf_counter

from mlops_assets.cli.printing import console, print_failures, print_table
from mlops_assets.cli.progress import arrivals
from mlops_assets.opened_project import RunsFailed, open_project


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
    console.print(
        f"\n{len(records)} models in {perf_counter() - started:.0f} s. Look at what is tracked now:\n"
        "  the Dagster web UI     make dev            then open http://127.0.0.1:3000\n"
        "  the runs               .venv/bin/mlops runs\n"
        "  another configuration  .venv/bin/mlops run AA -P max_depth=4 --seed 7\n"
        '  a notebook             from mlops_assets import open_project; open_project("flight_delays").runs("AA")',
        highlight=False,
        markup=False,
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
