"""``mlops dev``: the Dagster web UI and its daemon on this project's home."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from partitions.errors import MlopsError
from resources.home import Home


def dev(
    port: Annotated[int, typer.Option(help="Where the web UI listens, on 127.0.0.1.")] = 3000,
) -> None:
    """Start the Dagster web UI and daemon; Ctrl-C stops both."""
    from resources.event_log import EventLog

    if not Path("workspace.yaml").exists():
        raise MlopsError("there is no workspace.yaml in this folder: go to the one that has it, or `mlops init NAME`")
    # One process opens a new home before webserver and daemon do: two first openings at once corrupt its migrations.
    EventLog.open(Home.default())
    typer.echo(f"Dagster web UI: http://127.0.0.1:{port}  (Ctrl-C stops it)")
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, command)
