"""The ``mlops`` command: tables for people, ``--json`` for programs; exit codes 0 ok, 1 refused or failed, 2 usage."""

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from mlops_assets.cli import (
    annotate,
    apply,
    best,
    collect,
    compare,
    data,
    deploy,
    deployments,
    dev,
    doctor,
    explain,
    history,
    hpo,
    init,
    replay,
    run,
    runs,
    schedules,
    space,
    status,
)
from partitions.errors import MlopsError

app = typer.Typer(
    name="mlops",
    help="Hundreds of subprojects, one pipeline: train, track, compare and deploy them from configuration as code.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order of the work: what `mlops --help` shows.
COMMANDS: dict[str, list[Callable[..., None]]] = {
    "Declare": [init.init, apply.plan, apply.apply, history.history],
    "Oversee": [status.status, data.data, schedules.schedules, space.space],
    "Run": [run.run, run.train, hpo.hpo],
    "Compare": [runs.runs, runs.show, compare.compare, explain.explain, replay.replay, annotate.note, annotate.tag],
    "Deploy": [
        deploy.deploy,
        deploy.retrain,
        deploy.promote,
        deploy.rollback,
        deploy.undeploy,
        deployments.deployments,
        deployments.checks,
    ],
    "Keep": [collect.gc, doctor.doctor, dev.dev],
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(best.best, name="best", rich_help_panel="Compare")


def _version(asked: bool) -> None:
    if asked:
        from mlops_assets import __version__

        typer.echo(f"mlops {__version__}")
        raise typer.Exit


@app.callback()
def root(
    project: Annotated[
        str | None,
        typer.Option(help="The project, for every command: a name from workspace.yaml or the module that holds it."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if project is not None:
        os.environ["MLOPS_PROJECT"] = project


def main() -> None:
    """Run the command; an error a person can act on is one line on stderr and exit code 1."""
    if "--json" in sys.argv or "--csv" in sys.argv:
        # Whatever else prints (a pipeline, Ray) must not end up inside the document; see print_json.
        sys.stdout = sys.stderr
    try:
        app()
    except MlopsError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was finished is tracked\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
