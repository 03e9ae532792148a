"""The ``mlops`` command: tables for people, ``--json`` for programs; exit codes 0 ok, 1 refused or failed, 2 usage."""

import os
import sys
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

app.command()(init.init)
app.command()(apply.plan)
app.command()(apply.apply)
app.command()(history.history)
app.command()(status.status)
app.command()(data.data)
app.command()(space.space)
app.command()(schedules.schedules)
app.command()(run.run)
app.command()(run.train)
app.command()(hpo.hpo)
app.command()(runs.runs)
app.command()(runs.show)
app.command()(compare.compare)
app.add_typer(best.best, name="best")
app.command()(deploy.deploy)
app.command()(deploy.retrain)
app.command()(deploy.promote)
app.command()(deploy.rollback)
app.command()(deploy.undeploy)
app.command()(deployments.deployments)
app.command()(deployments.checks)
app.command()(annotate.note)
app.command()(annotate.tag)
app.command()(replay.replay)
app.command()(explain.explain)
app.command()(collect.gc)
app.command()(doctor.doctor)
app.command()(dev.dev)


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
