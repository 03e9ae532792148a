"""``mlops runs`` and ``mlops show``: what was run."""

from typing import Annotated

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.printing import console, print_json, print_records, print_table
from mlops_assets.tracking.record import RunRecord
from partitions.errors import MlopsError


def runs(
    subprojects: SubprojectsArgument = None,
    kind: Annotated[str | None, typer.Option(help="dev, trial, retrain or replay.")] = None,
    status: Annotated[str | None, typer.Option(help="succeeded, failed, pruned or rejected.")] = None,
    sort: Annotated[str | None, typer.Option(help="A column, such as metrics.rmse; default newest first.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    tag: TagOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List tracked runs."""
    p = opened(project)
    everything = not (subprojects or tag)
    keys = None if everything else p.project.select(tuple(subprojects or ()), parsed_tags(tag), False)
    records = list(reversed(p.tracker.records(keys)))
    records = [r for r in records if (kind is None or r.kind == kind) and (status is None or r.status == status)]
    found = len(records)
    if sort is not None:
        records = _sorted(records, sort)
    records = records[:limit]
    if as_json:
        print_json([record.row() for record in records])
        return
    shown = f", {len(records)} shown" if len(records) < found else ""
    print_records(f"{found} runs{shown}", records)


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


def _sorted(records: list[RunRecord], column: str) -> list[RunRecord]:
    rows = {record.run_id: record.row() for record in records}
    if records and not any(column in row for row in rows.values()):
        known = sorted({name for row in rows.values() for name in row})
        raise MlopsError(f"--sort {column!r} is no column; there are {', '.join(known)}")
    have = [record for record in records if rows[record.run_id].get(column) is not None]
    return [*sorted(have, key=lambda record: rows[record.run_id][column]), *(r for r in records if r not in have)]


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
        "dagster run": record.dagster_run_id,
        "python": record.environment.python,
        **{f"seconds {name}": seconds for name, seconds in record.timings.items()},
        **{f"tag {name}": value for name, value in record.tags.items()},
    }
    print_table("", ["run", record.run_id], [(name, value) for name, value in facts.items() if value is not None][1:])
    metrics = [
        (name, value, record.train_metrics.get(name), record.baseline.get(name))
        for name, value in record.metrics.items()
    ]
    if metrics:
        console.print()
        print_table("", ["metric", "test", "train", "baseline"], metrics, numbers=["test", "train", "baseline"])
    console.print()
    print_table("", ["parameter", "value"], list(record.parameters.items()))
    if record.artifacts:
        console.print()
        rows = [(name, entry.bytes, entry.uri) for name, entry in record.artifacts.items()]
        print_table("", ["artifact", "bytes", "uri"], rows, numbers=["bytes"])
    if record.error is not None:
        console.print(f"\n[red]{record.error.message}[/red]\n{record.error.traceback}", highlight=False, markup=True)
