"""What a project and a notebook import; each name is loaded when it is first used."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mlops_assets.definitions import build_definitions as build_definitions
    from mlops_assets.opened_project import OpenedProject as OpenedProject
    from mlops_assets.opened_project import open_project as open_project
    from mlops_assets.tracking.record import RunRecord as RunRecord
    from partitions.errors import CouldNotLook as CouldNotLook
    from partitions.errors import MlopsError as MlopsError
    from partitions.gates import BetterThanBaseline as BetterThanBaseline
    from partitions.gates import Check as Check
    from partitions.gates import ModelSize as ModelSize
    from partitions.gates import NotWorseThanChampion as NotWorseThanChampion
    from partitions.gates import PredictionSanity as PredictionSanity
    from partitions.gates import PredictLatency as PredictLatency
    from partitions.gates import SliceFloor as SliceFloor
    from partitions.gates import StableOverSeeds as StableOverSeeds
    from partitions.gates import Threshold as Threshold
    from partitions.gates import Verdict as Verdict
    from partitions.hpo import HPO as HPO
    from partitions.messages import Message as Message
    from partitions.pipeline import Config as Config
    from partitions.pipeline import Estimator as Estimator
    from partitions.pipeline import Parameters as Parameters
    from partitions.pipeline import Pipeline as Pipeline
    from partitions.pipeline import Split as Split
    from partitions.pipeline import SplitSettings as SplitSettings
    from partitions.pipeline import Window as Window
    from partitions.project import Project as Project
    from partitions.run_configuration import RunConfiguration as RunConfiguration
    from partitions.schema import DataSchema as DataSchema
    from partitions.search_space import Categorical as Categorical
    from partitions.search_space import Fixed as Fixed
    from partitions.search_space import Float as Float
    from partitions.search_space import Int as Int
    from partitions.search_space import SearchSpace as SearchSpace
    from partitions.stages import Cron as Cron
    from partitions.stages import DeploymentData as DeploymentData
    from partitions.stages import Retraining as Retraining
    from partitions.stages import Stage as Stage
    from partitions.strategies import ABTest as ABTest
    from partitions.strategies import Canary as Canary
    from partitions.strategies import Replace as Replace
    from partitions.strategies import Shadow as Shadow
    from partitions.subproject import Subproject as Subproject

_HOMES = {
    "mlops_assets.definitions": ("build_definitions",),
    "mlops_assets.opened_project": ("OpenedProject", "open_project"),
    "mlops_assets.tracking.record": ("RunRecord",),
    "partitions.errors": ("CouldNotLook", "MlopsError"),
    "partitions.gates": (
        "BetterThanBaseline",
        "Check",
        "ModelSize",
        "NotWorseThanChampion",
        "PredictLatency",
        "PredictionSanity",
        "SliceFloor",
        "StableOverSeeds",
        "Threshold",
        "Verdict",
    ),
    "partitions.hpo": ("HPO",),
    "partitions.messages": ("Message",),
    "partitions.pipeline": ("Config", "Estimator", "Parameters", "Pipeline", "Split", "SplitSettings", "Window"),
    "partitions.project": ("Project",),
    "partitions.run_configuration": ("RunConfiguration",),
    "partitions.schema": ("DataSchema",),
    "partitions.search_space": ("Categorical", "Fixed", "Float", "Int", "SearchSpace"),
    "partitions.stages": ("Cron", "DeploymentData", "Retraining", "Stage"),
    "partitions.strategies": ("ABTest", "Canary", "Replace", "Shadow"),
    "partitions.subproject": ("Subproject",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - the table above is the list


def _share_package_names() -> None:
    """Let a project that has a ``resources`` or ``partitions`` package of its own live beside ours.

    Both names are common, and Python binds each to one package only. Whichever was bound first gets the other's folder
    on its search path, ours in front, so that submodules of both are found.
    """
    ours = Path(__file__).resolve().parent.parent
    for name in ("partitions", "resources"):
        search_path = importlib.import_module(name).__path__
        others = [str(Path(entry or ".").resolve() / name) for entry in sys.path]
        wanted = [str(ours / name), *(folder for folder in others if Path(folder).is_dir())]
        search_path[:] = list(dict.fromkeys([*wanted, *search_path]))


_share_package_names()


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'mlops_assets' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
