"""``mlops run`` and ``mlops train``: make runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.launch_summary import print_launch
from mlops_assets.cli.options import (
    AllOption,
    JsonOption,
    ProjectOption,
    SubprojectsArgument,
    TagOption,
    chosen,
    opened,
)
from mlops_assets.cli.printing import console, print_json
from mlops_assets.tracking.record import RunRecord
from partitions.errors import MlopsError
from partitions.parameters import merge, parse_assignments
from partitions.run_configuration import RunConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.assets.following import OnArrival
    from mlops_assets.opened_project import OpenedProject


def run(
    subprojects: SubprojectsArgument = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-P", help="A parameter: name=value, nested as split.test_size=0.3.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="A run configuration file.")] = None,
    seed: Annotated[int | None, typer.Option(help="Default: drawn, and stored with the run.")] = None,
    folds: Annotated[int | None, typer.Option(help="Cross-validate: one run per fold of the train rows.")] = None,
    data_version: Annotated[str | None, typer.Option(help="A data version; default the latest snapshot.")] = None,
    code_version: Annotated[str | None, typer.Option(help="A commit, branch or tag to run instead.")] = None,
    failed_of: Annotated[str | None, typer.Option(help="Run what this Dagster run did not finish.")] = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline of one or many subprojects; each run is tracked, nothing is deployed."""
    p = opened(project)
    if failed_of is not None:
        _finish(p, failed_of, as_json)
        return
    keys = chosen(p, subprojects, tag, everything)
    configuration = RunConfiguration()
    if config is not None:
        configuration = RunConfiguration.from_yaml(_text(config), str(config))
    given = {"seed": seed, "folds": folds, "data_version": data_version}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if param:
        fields["params"] = merge(configuration.params, parse_assignments(param))

    def make(arrive: "OnArrival") -> list[RunRecord]:
        return p.run(keys, configuration=configuration, code_version=code_version, on_arrival=arrive, **fields)

    _go(p, make, len(keys), "running", as_json)


def train(
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """The main job: a new snapshot, its checks, a model and its metrics, for one or many subprojects."""
    p = opened(project)
    keys = chosen(p, subprojects, tag, everything)
    _go(p, lambda arrive: p.train(keys, on_arrival=arrive), len(keys), "training", as_json)


def _finish(p: "OpenedProject", dagster_run_id: str, as_json: bool) -> None:
    left = p.unfinished(dagster_run_id).keys
    if not left and not as_json:
        console.print(f"Dagster run {dagster_run_id} finished all its subprojects: nothing to do")
        return
    _go(p, lambda arrive: p.finish(dagster_run_id, on_arrival=arrive), len(left), "finishing", as_json)


def _go(
    p: "OpenedProject", make: "Callable[[OnArrival], list[RunRecord]]", total: int, doing: str, as_json: bool
) -> None:
    from mlops_assets.cli.progress import arrivals
    from mlops_assets.opened_project import RunsFailed

    failed: dict[str, str] = {}
    dagster_run_id = ""
    try:
        with arrivals(total, f"{doing} {p.project.name}") as arrive:
            records = make(arrive)
    except RunsFailed as error:
        records, failed, dagster_run_id = error.records, error.failed, error.dagster_run_id
    records = sorted(records, key=lambda record: (record.subproject, record.fold or 0))
    if as_json:
        print_json([record.row() for record in records])
    else:
        print_launch(records, failed)
    if failed:
        if len(failed) < total:
            console.print(f"run just these again: mlops run --failed-of {dagster_run_id}", highlight=False)
        raise typer.Exit(1)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise MlopsError(f"{file}: {error.strerror}") from error
