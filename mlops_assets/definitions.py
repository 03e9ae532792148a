"""Everything Dagster sees of a project, on one screen."""

import dagster as dg

from mlops_assets.assets.configuration import configuration_spec
from mlops_assets.assets.experiments import experiments_spec
from mlops_assets.assets.lifecycle import lifecycle_asset
from mlops_assets.automation.jobs import experiment_job, optimise_job, train_job
from mlops_assets.automation.sensors import register_sensor
from mlops_assets.checks import ExpectationChecks
from partitions.project import Project
from resources.configured import MlopsResource


def build_definitions(project: Project) -> dg.Definitions:
    """The code location of ``project``: every asset, check, job and sensor."""
    checks = ExpectationChecks(project.name)
    mlops = MlopsResource()
    return dg.Definitions(
        assets=[
            configuration_spec(project.name),
            lifecycle_asset(project, checks),
            experiments_spec(project.name),
        ],
        jobs=[
            train_job(project, checks, mlops),
            experiment_job(project, checks, mlops),
            optimise_job(project, checks, mlops),
        ],
        sensors=[register_sensor(project)],
        resources={"mlops": mlops},
        executor=dg.in_process_executor,
    )
