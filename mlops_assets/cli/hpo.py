"""``mlops hpo``: find better parameters, with every trial tracked."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mlops_assets.cli.drawing import write
from mlops_assets.cli.options import (
    AllOption,
    JsonOption,
    ProjectOption,
    SubprojectsArgument,
    TagOption,
    chosen,
    opened,
)
from mlops_assets.cli.printing import console, print_failures, print_json, print_table
from partitions.errors import MlopsError
from partitions.hpo import hpo_fields

if TYPE_CHECKING:
    from mlops_assets.learning.exploring.journal import Exported
    from mlops_assets.opened.optimising import Optimised
    from mlops_assets.opened_project import OpenedProject

EXPLAINED = 20


def hpo(
    subprojects: SubprojectsArgument = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="An HPO configuration file: fields of HPO(...) as YAML.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="How many trials; default as registered.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which no new trial begins.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the sampler (default: drawn) and of each trial's first run (default: 0).")
    ] = None,
    data_version: Annotated[str | None, typer.Option(help="A data version; default the latest snapshot.")] = None,
    code_version: Annotated[str | None, typer.Option(help="A commit, branch or tag to optimise instead.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last HPO run that did not end.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Optimise nothing: write what is tracked as a journal that optuna-dashboard opens."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Optimise nothing: write the page of one subproject's last HPO run.")
    ] = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Optimise one or many subprojects: samples their search space, tracks every run, and chooses the best."""
    from mlops_assets.cli.hpo_progress import trials_done
    from mlops_assets.opened_project import HPOFailed

    p = opened(project)
    keys = chosen(p, subprojects, tag, everything)
    fields: dict[str, Any] = hpo_fields(_text(config), str(config)) if config is not None else {}
    fields |= _given(trials=trials, timeout=timeout)
    others = _given(seed=seed, data_version=data_version, code_version=code_version)
    if export is not None or report is not None:
        if fields or others or resume:
            raise MlopsError("--export and --report write what is tracked: give them only subprojects")
        if export is not None:
            _print_exported(p.export_journal(keys, export), export, as_json)
        if report is not None:
            _write_report(p, keys, report)
        return
    if resume and (fields or others):
        left_out = ", ".join(name.replace("_", " ") for name in {**fields, **others})
        raise MlopsError(f"--resume goes on as it began: leave out {left_out}, or begin a new HPO run")
    failed: dict[str, str] = {}
    try:
        with trials_done(f"optimising {p.project.name}") as hear:
            done = p.hpo(keys, configuration=fields, resume=resume, on_news=hear, **others)
    except HPOFailed as error:
        done, failed = error.done, error.failed
    done = sorted(done, key=lambda one: one.subproject)
    if as_json:
        print_json([row_of(one) for one in done])
    else:
        print_optimised(done)
        print_failures(failed)
    if failed:
        raise typer.Exit(1)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def row_of(one: "Optimised") -> dict[str, Any]:
    """What came of an HPO run as a flat row, for tables and ``--json``."""
    summary, best = one.summary, one.summary.best
    states = [trial.state for trial in summary.trials]
    return {
        "subproject": one.subproject,
        "hpo_run_id": summary.hpo_run_id,
        "stopped_by": summary.stopped_by,
        "metric": summary.metric,
        "best": best.mean if best else None,
        "best_run_id": best.run_id if best else None,
        "best_trial": best.trial if best else None,
        "reason": best.reason if best else summary.reason,
        "trials": len(states),
        **{name: states.count(name) for name in ("complete", "pruned", "failed")},
        "reused": sum(trial.reused for trial in summary.trials),
        "told": summary.told,
        "tried": summary.tried,
        "seconds": summary.seconds,
        "cpu_seconds": summary.cpu_seconds,
        "cores": summary.cores,
        **{f"params.{name}": value for name, value in (best.parameters if best else {}).items()},
    }


def print_optimised(done: "list[Optimised]") -> None:
    """A row per HPO run, and of each why its best configuration is the best."""
    if not done:
        return
    columns = ["subproject", "best", "trial", "trials", "pruned", "failed", "reused", "seconds"]
    rows = []
    for one in done:
        row = row_of(one)
        trial = row["best_trial"] if row["best_trial"] is not None else "earlier" if one.best else None
        said = [row[name] for name in ("trials", "pruned", "failed", "reused", "seconds")]
        rows.append([one.subproject, row["best"], trial, *said])
    metrics = {one.summary.metric for one in done}
    print_table(f"best {' and '.join(sorted(metrics))}", columns, rows, numbers=columns[1:])
    for one in done[:EXPLAINED]:
        console.print(f"{one.subproject}: {row_of(one)['reason']}", highlight=False, markup=False)
    console.print("each run: mlops runs --kind trial; what `mlops train` takes now: mlops best", highlight=False)


def _write_report(p: "OpenedProject", keys: list[str], file: Path) -> None:
    if len(keys) > 1:
        raise MlopsError(f"--report is of one subproject, not of {len(keys)}")
    write(file, p.hpo_report(keys[0]).page().encode(), "--report")
    console.print(f"HPO of {p.project.name}/{keys[0]}: {file}", highlight=False, markup=False)


def _print_exported(studies: "list[Exported]", file: Path, as_json: bool) -> None:
    if as_json:
        print_json([asdict(study) for study in studies])
        return
    columns = ["study", "trials", "pruned", "left out"]
    rows = [(escape(study.name), study.trials, study.pruned, study.left_out) for study in studies]
    print_table("", columns, rows, numbers=columns[1:])
    if any(study.left_out for study in studies):
        console.print("left out: configurations judged on other seeds or folds than most", highlight=False)
    console.print(f"written to {file}; to look at it: optuna-dashboard {file}", highlight=False, markup=False)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise MlopsError(f"{file}: {error.strerror}") from error
