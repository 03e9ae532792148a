"""What every role of an opened project has at hand."""

from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.assets.launch import Ports
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.tracker import Tracker, index_folder
from partitions.catalogue import SubprojectConfiguration, catalogue
from partitions.project import Project
from resources.artifacts import ArtifactStore
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.home import Home

if TYPE_CHECKING:
    from resources.ledger.ledger import Ledger


class Opened:
    """A project, its home, and the ways to what is stored of it."""

    def __init__(self, project: Project, home: Home) -> None:
        self.project = project
        self.home = home
        self.event_log = EventLog.open(home)
        self.registry = Registry(self.event_log, project.name)
        self.tracker = Tracker(self.event_log, project.name, index_folder(home, project.name))
        self.artifacts = ArtifactStore(home.artifacts_url)
        self.mlops = MlopsResource(home=str(home.path))

    def __repr__(self) -> str:
        return f"<project {self.project.name}: {len(self.subprojects)} subprojects, home {self.home.path}>"

    @property
    def subprojects(self) -> list[str]:
        """The registered subprojects."""
        return self.registry.keys()

    def declared(self) -> dict[str, SubprojectConfiguration]:
        """What project.py says, resolved for every subproject."""
        return dict(self._declared)

    @cached_property
    def _declared(self) -> dict[str, SubprojectConfiguration]:
        return catalogue(self.project)

    @cached_property
    def ledger(self) -> "Ledger":
        """Every deployment there ever was, of all projects of this home."""
        from resources.ledger.ledger import Ledger

        return Ledger.of(self.home)

    def _ports(self) -> Ports:
        ports = Ports(self.home, self.event_log, self.mlops.compute())
        ports.__dict__["ledger"] = self.ledger  # opened once
        return ports
