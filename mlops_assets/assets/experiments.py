"""``experiments``: the dev runs of a subproject, one materialisation each; nothing depends on them.

Not executable as an asset, so that materialising everything starts no dev runs: they are made by the ``experiment``
job, which `mlops run` executes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from mlops_assets.assets.check_ports import DatasetChecks
from mlops_assets.assets.events import dataset_made, experiment_events
from mlops_assets.assets.following import OnArrival, Progress, follow, ignored, raise_if_failed
from mlops_assets.assets.launch import Ports, launch
from mlops_assets.assets.request import ListedRunFields
from mlops_assets.assets.way import Arrived
from partitions.dynamic import subproject_partitions
from partitions.project import Project
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.event_storage.entries import AssetEvent


def experiments_spec(project: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey([project, "experiments"]),
        deps=[dg.AssetKey([project, "dataset"])],
        description="Dev runs: `mlops run`, notebooks and replays. One materialisation per run, with its record.",
        partitions_def=subproject_partitions(project),
        group_name=project,
        kinds={"python"},
    )


@dataclass(frozen=True)
class ExperimentWalk:
    """One execution of the ``experiment`` job: runs on the latest snapshots, new ones only where there are none."""

    project: Project
    checks: DatasetChecks
    on_arrival: OnArrival | None = None

    def go(self, context: Any, fields: ListedRunFields, mlops: MlopsResource) -> None:
        """Log events as runs finish; at the end raise Failure if some subproject failed, naming each."""
        ports = Ports(mlops.open_home(), EventLog(context.instance), mlops.compute())
        request = replace(fields.request(), ingest="missing", dagster_run_id=context.run.run_id)
        keys = list(dict.fromkeys(fields.subprojects))
        arrivals = launch(ports, self.project, keys, request)
        progress = Progress(len(keys))
        follow(context, arrivals, progress, self._events, self.on_arrival or ignored)
        raise_if_failed(progress)

    def _events(self, arrived: Arrived) -> Iterator[AssetEvent]:
        dataset = dataset_made(self.project.name, arrived)
        if dataset is not None:
            yield dataset.as_event()
            if arrived.verdict is not None:
                yield self.checks.evaluation(arrived.verdict, arrived.subproject)
        yield from experiment_events(self.project.name, arrived)
