"""The resources as Dagster configures them: settings in the launchpad or environment, plain classes out."""

import os
from pathlib import Path
from typing import cast

import dagster as dg

from resources.compute import Backend, Compute
from resources.home import Home


class MlopsResource(dg.ConfigurableResource[None]):
    """Where a project keeps its files and where its code runs.

    home: folder for artifacts; empty means MLOPS_HOME, or .mlops in the working folder.
    backend: auto (in process for one subproject, Ray for many), inline, processes or ray; empty means MLOPS_BACKEND,
    or auto. ray_address: an existing cluster.
    threads: per worker; more than one trades repeatability and throughput for the speed of a single fit.
    """

    home: str = ""
    backend: str = ""
    ray_address: str = ""
    cpus: int = 0
    threads: int = 1

    def open_home(self) -> Home:
        return Home(Path(self.home)) if self.home else Home.default()

    def compute(self) -> Compute:
        return Compute(
            backend=cast(Backend, self.backend or os.environ.get("MLOPS_BACKEND", "auto")),  # Compute refuses others
            address=self.ray_address or None,
            cpus=self.cpus or None,
            threads=self.threads,
        )
