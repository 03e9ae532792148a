"""Fields of several runs in one table, a column for each run, and what became of each field."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from mlops_assets.tracking.record import RunRecord, flat

if TYPE_CHECKING:
    import pandas as pd

SAME = "same"
DIFFERS = "differs"


def side_by_side(fields: Mapping[str, Mapping[str, Any]]) -> "pd.DataFrame":
    """From fields by label: columns ``field``, one for each label, and ``change``.

    change: "same", "differs", or "only in a" (which runs have the field at all). Absent is None.
    """
    import pandas as pd

    names = list(dict.fromkeys(name for one in fields.values() for name in one))
    lines = [[name, *(one.get(name) for one in fields.values()), _change(name, fields)] for name in names]
    return pd.DataFrame(lines, columns=["field", *fields, "change"], dtype=object)


def _change(name: str, fields: Mapping[str, Mapping[str, Any]]) -> str:
    having = [label for label, one in fields.items() if name in one]
    if len(having) < len(fields):
        return f"only in {', '.join(having)}"
    first, *others = (one[name] for one in fields.values())
    # True and 1 are equal to Python, and not the same configuration.
    return SAME if all(first == value and type(first) is type(value) for value in others) else DIFFERS


def differing(table: "pd.DataFrame") -> "pd.DataFrame":
    """The lines of such a table that are not the same in all runs."""
    return table[table["change"] != SAME].reset_index(drop=True)


def identity_table(runs: ComparedRuns) -> "pd.DataFrame":
    """A line per run: what defines it."""
    import pandas as pd

    return pd.DataFrame([{"run": label, **_identity(record)} for label, record in runs.by_label.items()])


def _identity(record: RunRecord) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "subproject": record.subproject,
        "kind": record.kind,
        "status": record.status,
        "stage": record.stage,
        "code_version": record.code_version.digest,
        "data_version": record.data_version,
        "configuration": record.digests.run,
        "seed": record.seed,
        "fold": record.fold,
        "fingerprint": record.fingerprint,
        "predictions": record.predictions,
        "created_at": record.created_at,
        "note": record.note,
    }


def configuration_table(runs: ComparedRuns) -> "pd.DataFrame":
    """Field by field: subproject configuration (``config.*``), parameters, split, folds, settings, seed.

    A last column ``note`` says where a parameter may have been renamed: one name gone, one come, the same value.
    """
    fields = {label: _configuration(record) for label, record in runs.by_label.items()}
    table = side_by_side(fields)
    table["note"] = [_renamed(name, runs, fields) for name in table["field"]]
    return table


def _configuration(record: RunRecord) -> dict[str, Any]:
    # The same fields in every run, so that a whole run beside a fold reads as a difference, not as an absence.
    settings = {"folds": None, **record.settings}
    return {
        **flat("config", record.configuration),
        **flat("params", record.parameters),
        **flat("settings", settings),
        "seed": record.seed,
        "fold": record.fold,
    }


def _renamed(name: str, runs: ComparedRuns, fields: Mapping[str, Mapping[str, Any]]) -> str:
    base = fields[runs.base]
    for label in runs.others:
        other = fields[label]
        gone = [field for field in base if field not in other and field.startswith("params.")]
        come = [field for field in other if field not in base and field.startswith("params.")]
        if name in gone and [field for field in come if other[field] == base[name]] == come and len(come) == 1:
            return f"perhaps {come[0].removeprefix('params.')} in {label}"
        if name in come and [field for field in gone if base[field] == other[name]] == gone and len(gone) == 1:
            return f"perhaps {gone[0].removeprefix('params.')} in {runs.base}"
    return ""


def environment_table(runs: ComparedRuns) -> "pd.DataFrame":
    """Python, the lock file's digest, threads, and the version of every package that matters for predictions."""
    return side_by_side({label: _environment(record) for label, record in runs.by_label.items()})


def _environment(record: RunRecord) -> dict[str, Any]:
    environment = record.environment
    own = {"python": environment.python, "threads": environment.threads, "lock": environment.lock}
    return {**own, **flat("packages", environment.packages)}
