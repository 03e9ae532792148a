"""``mlops runs`` and ``mlops show``: what was run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mlops_assets.cli.drawing import Drawing, draw
from mlops_assets.cli.export import print_csv, write_parquet
from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.printing import console, print_json, print_table, shown
from mlops_assets.cli.run_grid import print_groups, print_runs
from mlops_assets.tracking.exploring.kinds import KINDS
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.where import names_in, parse
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.opened_project import OpenedProject
    from mlops_assets.tracking.run_query import RunFields

IN_A_TABLE = 50


def runs(
    subprojects: SubprojectsArgument = None,
    where: Annotated[
        str | None, typer.Option(help='A condition on columns: "metrics.rmse < 12 and params.max_depth >= 4".')
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="A column, such as metrics.rmse, or -metrics.r2 (largest first); default newest.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many; default 50 in a table, all of them otherwise.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="dev, trial, retrain or replay.")] = None,
    status: Annotated[str | None, typer.Option(help="succeeded, failed, pruned or rejected.")] = None,
    group: Annotated[
        bool, typer.Option("--group", help="Configurations over their seeds and folds: mean, spread, better or noise.")
    ] = False,
    metric: Annotated[
        str | None, typer.Option(help="With --group, --plot and --html: by which; default what is optimised.")
    ] = None,
    plot: Annotated[str | None, typer.Option(metavar="KIND", help=f"Draw these runs: {', '.join(KINDS)}.")] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="With --plot: the parameters, for pareto the other metric; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --plot: the PNG file; default KIND.png.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with all plots and tables to this file.")] = None,
    tag: TagOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV instead of a table.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write a Parquet file instead of a table.")] = None,
) -> None:
    """List tracked runs, compare their configurations, or draw them."""
    if as_json + as_csv + (parquet is not None) > 1:
        raise MlopsError("give one of --json, --csv and --parquet")
    drawn = plot is not None or html is not None
    if metric is not None and not (group or drawn):
        raise MlopsError("--metric goes with --group, --plot and --html; to order runs by one: --sort metrics.NAME")
    if (by or out) and plot is None:
        raise MlopsError("--by and --out go with --plot")
    if drawn and (as_json or as_csv or parquet or group):
        raise MlopsError("--plot and --html go without --group, --json, --csv and --parquet")
    p = opened(project)
    keys = _keys(p, subprojects, tag)
    if drawn:
        wanted: RunFields = {"kind": kind, "status": status, "where": where, "sort": sort, "limit": limit}
        draw(p.explore(keys, metric=metric, **wanted), Drawing(plot, tuple(by or ()), out, html))
        return
    as_table = not (as_json or as_csv or parquet)
    at_most = limit or (IN_A_TABLE if as_table else None)
    asked: RunFields = {"kind": kind, "status": status, "where": where, "sort": sort, "limit": at_most}
    if group:
        compared = metric or p.metric
        groups = p.run_groups(keys, metric=compared, **asked)
        if not _exported([g.row(compared) for g in groups[:at_most]], as_json, as_csv, parquet):
            print_groups(groups, compared, at_most)
        return
    found = p.tracker.rows(p.run_query(keys, **asked))
    if not _exported(found.as_dicts() if not as_table else [], as_json, as_csv, parquet):
        print_runs(found, _named(where, sort))


def _keys(p: "OpenedProject", subprojects: list[str] | None, tags: list[str] | None) -> list[str] | None:
    """The subprojects asked for; None for all. A key that is declared no more may have runs: it stays as it is."""
    if not (subprojects or tags):
        return None
    declared = [s for s in subprojects or () if s in p.project.keys or any(wild in s for wild in "*?[")]
    selected = p.project.select(tuple(declared), parsed_tags(tags), False) if tags or declared else []
    return [*selected, *(s for s in subprojects or () if s not in declared)]


def _exported(rows: list[dict[str, Any]], as_json: bool, as_csv: bool, parquet: Path | None) -> bool:
    """Write rows in the form asked for; False if none was."""
    if as_json:
        print_json(rows)
    elif as_csv:
        print_csv(rows)
    elif parquet is not None:
        write_parquet(rows, parquet)
        console.print(f"{len(rows):,} rows written to {parquet}", highlight=False, markup=False)
    else:
        return False
    return True


def _named(where: str | None, sort: str | None) -> list[str]:
    """The columns that the question is about: they are shown whatever they hold."""
    by_sort = [part.strip().removeprefix("-") for part in sort.split(",")] if sort else []
    return [*(names_in(parse(where)) if where else ()), *by_sort]


def show(
    run: Annotated[str, typer.Argument(help="A run id, or any beginning or end of it that is unique.")],
    config: Annotated[bool, typer.Option("--config", help="Its run configuration file, for `mlops run -c`.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: what defines it, what came out, where its artifacts are."""
    p = opened(project)
    record = p.record(run)
    if config:
        typer.echo(p.configuration_file(record.run_id), nl=False)
    elif as_json:
        print_json(record.model_dump(mode="json"))
    else:
        _show(record)


def _show(record: RunRecord) -> None:
    code = record.code_version
    commit = f"{code.commit[:12] if code.commit else 'not in git'}{' dirty' if code.dirty else ''}"
    facts = {
        "run": record.run_id,
        "subproject": record.where,
        "kind": record.kind,
        "status": record.status,
        "code version": f"{code.digest[:12]} ({commit}{f', {code.branch}' if code.branch else ''})",
        "data version": record.data_version,
        "configuration": record.digests.run[:12],
        "seed": record.seed,
        "fold": record.fold,
        "fingerprint": record.fingerprint[:12],
        "predictions": record.predictions,
        "created": record.created_at,
        "by": record.created_by,
        "note": record.note or None,
        "dagster run": record.dagster_run_id,
        "python": record.environment.python,
        **{f"seconds {name}": seconds for name, seconds in record.timings.items()},
        **{f"tag {name}": value for name, value in record.tags.items()},
    }
    known = [(name, escape(shown(value))) for name, value in facts.items() if value is not None]
    print_table("", ["run", record.run_id], known[1:])
    metrics = [
        (name, value, record.train_metrics.get(name), record.baseline.get(name))
        for name, value in record.metrics.items()
    ]
    if metrics:
        console.print()
        print_table("", ["metric", "test", "train", "baseline"], metrics, numbers=["test", "train", "baseline"])
    console.print()
    parameters = [(escape(name), escape(shown(value))) for name, value in record.parameters.items()]
    print_table("", ["parameter", "value"], parameters)
    if record.artifacts:
        console.print()
        rows = [(name, entry.bytes, entry.uri) for name, entry in record.artifacts.items()]
        print_table("", ["artifact", "bytes", "uri"], rows, numbers=["bytes"])
    if record.error is not None:
        said = f"\n[red]{escape(record.error.message)}[/red]\n{escape(record.error.traceback)}"
        console.print(said, highlight=False)
