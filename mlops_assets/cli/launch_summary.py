"""What a launch brought: a row per run where a person can read them all, else how the metrics are spread."""

from collections.abc import Mapping, Sequence

from mlops_assets.cli.printing import console, print_failures, print_records, print_table
from mlops_assets.tracking.record import RunRecord

READABLE = 50
SHOWN_FAILURES = 20


def print_launch(records: Sequence[RunRecord], failed: Mapping[str, str]) -> None:
    """Runs and failures, both in a length that can be read; the rest is counted, and said where to find."""
    if len(records) <= READABLE:
        print_records("", records)
    else:
        _print_spread(records)
    shown = dict(sorted(failed.items())[:SHOWN_FAILURES])
    print_failures(shown)
    if len(failed) > len(shown):
        console.print(f"and {len(failed) - len(shown)} more failed: mlops runs --status failed", highlight=False)


def _print_spread(records: Sequence[RunRecord]) -> None:
    succeeded = [record for record in records if record.status == "succeeded"]
    names = list(dict.fromkeys(name for record in succeeded for name in record.metrics))
    rows = []
    for name in names:
        values = sorted(record.metrics[name] for record in succeeded if name in record.metrics)
        at = [values[round(share * (len(values) - 1))] for share in (0.0, 0.1, 0.5, 0.9, 1.0)]
        rows.append([name, len(values), sum(values) / len(values), *at])
    columns = ["metric", "runs", "mean", "least", "10 %", "median", "90 %", "most"]
    title = f"{len(succeeded)} of {len(records)} runs succeeded"
    print_table(title, columns, rows, numbers=columns[1:])
    console.print("each of them: mlops runs --sort metrics.NAME", highlight=False)
