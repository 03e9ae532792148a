"""``configuration``: what is registered of each subproject, every change of it a materialisation."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mlops_assets.tracking.registry import ENTRY, Registry, configuration_asset
from partitions.catalogue import Changes, SubprojectConfiguration, diff
from partitions.dynamic import add_keys, retire_key, subproject_partitions
from partitions.errors import MlopsError
from resources.event_log import DATA_VERSION_TAG


def configuration_spec(project: str) -> dg.AssetSpec:
    """Not executable: only ``mlops apply`` writes it, so that selecting everything never registers anything."""
    return dg.AssetSpec(
        dg.AssetKey(list(configuration_asset(project))),
        description="The registered configuration of a subproject: values, where each comes from, and its digest.",
        partitions_def=subproject_partitions(project),
        group_name=project,
        kinds={"python"},
    )


def plan(registry: Registry, declared: Mapping[str, SubprojectConfiguration]) -> Changes:
    """What ``register`` would do: new, changed and retired subprojects."""
    return diff(dict(declared), registry.configurations())


def register(
    registry: Registry, declared: Mapping[str, SubprojectConfiguration], *, allow_retire: bool = False
) -> Changes:
    """Make the registered subprojects equal to the declared ones; return what changed.

    A new subproject's configuration is logged before its partition is added, so that no partition is ever seen
    without one. Retiring removes partitions and keeps their history; without ``allow_retire`` it is refused.
    """
    changes = plan(registry, declared)
    if changes.retired and not allow_retire:
        names = ", ".join(changes.retired[:5]) + (" ..." if len(changes.retired) > 5 else "")
        raise MlopsError(
            f"project {registry.project!r}: {len(changes.retired)} registered subprojects are no longer declared "
            f"({names}); retire them with --allow-retire, or declare them again"
        )
    asset = dg.AssetKey(list(configuration_asset(registry.project)))
    registry.event_log.store(
        dg.AssetMaterialization(
            asset,
            partition=key,
            metadata=_metadata(declared[key], changes),
            tags={DATA_VERSION_TAG: declared[key].digest},
        )
        for key in (*changes.new, *changes.changed)
    )
    if changes.new:
        add_keys(registry.event_log.instance, registry.project, list(changes.new))
    for key in changes.retired:
        retire_key(registry.event_log.instance, registry.project, key)
    return changes


def _metadata(declared: SubprojectConfiguration, changes: Changes) -> dict[str, Any]:
    lines = [
        f"| `{change.path}` | `{change.before}` | `{change.after}` | {change.origin} |"
        for change in changes.changed.get(declared.key, ())
    ]
    table = "\n".join(["| field | before | after | set by |", "|---|---|---|---|", *lines])
    return {
        ENTRY: declared.model_dump_json(),
        "digest": declared.digest,
        "changed": dg.MetadataValue.md(table if lines else "registered"),
    }
