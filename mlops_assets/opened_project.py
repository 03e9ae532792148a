"""A project in use: what notebooks, scripts and the command line do with it."""

from pathlib import Path

from mlops_assets.assets.launch import remember_code
from mlops_assets.opened.choosing import Choosing
from mlops_assets.opened.deploying import DeployFailed as DeployFailed
from mlops_assets.opened.deploying import Deploying
from mlops_assets.opened.exploring import Exploring
from mlops_assets.opened.keeping import Keeping
from mlops_assets.opened.launching import RunsFailed as RunsFailed
from mlops_assets.opened.optimising import HPOFailed as HPOFailed
from mlops_assets.opened.optimising import Optimising
from mlops_assets.opened.overseeing import Overseeing
from mlops_assets.opened.repeating import Repeating
from mlops_assets.opened.scheduling import Scheduling
from resources.home import Home
from resources.workspace import find_project


def open_project(name: str | None = None, home: str | Path | None = None) -> "OpenedProject":
    """Open a project by its name in workspace.yaml or by the module that holds ``project``; default the only one.

    ``home``: the folder with everything it writes; default MLOPS_HOME, or .mlops in the working folder.
    """
    opened = OpenedProject(find_project(name), Home(Path(home)) if home is not None else Home.default())
    remember_code(opened.home, opened.project)
    return opened


class OpenedProject(Deploying, Optimising, Scheduling, Overseeing, Choosing, Exploring, Repeating, Keeping):
    """One project, with its registered subprojects, its runs and the ways to make new ones."""
