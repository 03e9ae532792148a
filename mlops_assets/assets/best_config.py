"""``best_config``: the configuration that is considered best, each choice a materialisation."""

import dagster as dg

from mlops_assets.tracking.best import ASSET
from partitions.dynamic import subproject_partitions


def best_config_spec(project: str) -> dg.AssetSpec:
    """Not executable: a person chooses, with ``mlops best set``."""
    return dg.AssetSpec(
        dg.AssetKey([project, ASSET]),
        deps=[dg.AssetKey([project, "experiments"])],
        description="The configuration considered best: which run stands for it, since when, by whom and why. "
        "`model` trains it.",
        partitions_def=subproject_partitions(project),
        group_name=project,
        kinds={"python"},
    )
