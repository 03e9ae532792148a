"""Everything Dagster sees of a project, on one screen."""

import dagster as dg

from mlops_assets.assets.configuration import configuration_spec
from mlops_assets.assets.experiments import experiments_spec
from mlops_assets.assets.lifecycle import lifecycle_asset
from mlops_assets.automation.jobs import experiment_job, optimise_job, promote_job, retrain_job, train_job
from mlops_assets.automation.messages_sensor import MessagesPorts, messages_sensor
from mlops_assets.automation.retraining_sensor import RetrainingPorts, retraining_sensor
from mlops_assets.automation.sensors import register_sensor
from mlops_assets.checks import checks_of
from partitions.project import Project
from resources.configured import MlopsResource


def build_definitions(project: Project) -> dg.Definitions:
    """The code location of ``project``: every asset, check, job and sensor."""
    checks = checks_of(project)
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
            retrain_job(project, checks, mlops),
            optimise_job(project, checks, mlops),
            promote_job(project, checks, mlops),
        ],
        sensors=[
            register_sensor(project),
            retraining_sensor(project.name, RetrainingPorts.of(project.name, mlops.open_home)),
            messages_sensor(project.name, MessagesPorts(mlops.open_home)),
        ],
        resources={"mlops": mlops},
        executor=dg.in_process_executor,
    )
