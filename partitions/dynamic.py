"""Subprojects as Dagster's dynamic partitions: the only file here that knows Dagster."""

from collections.abc import Sequence

import dagster as dg

# Every key is a variable of one SQL statement; databases allow from 32,000 of them.
AT_ONCE = 10_000


def partitions_name(project: str) -> str:
    return f"{project}_subprojects"


def subproject_partitions(project: str) -> dg.DynamicPartitionsDefinition:
    """The partitions definition of every asset of ``project``: one partition per subproject."""
    return dg.DynamicPartitionsDefinition(name=partitions_name(project))


def registered_keys(instance: dg.DagsterInstance, project: str) -> list[str]:
    """The subprojects that are partitions now, in the order in which they were registered."""
    return list(instance.get_dynamic_partitions(partitions_name(project)))


def add_keys(instance: dg.DagsterInstance, project: str, keys: Sequence[str]) -> None:
    """Make partitions of these subprojects; those that are one already stay as they are."""
    for start in range(0, len(keys), AT_ONCE):
        instance.add_dynamic_partitions(partitions_name(project), keys[start : start + AT_ONCE])


def retire_key(instance: dg.DagsterInstance, project: str, key: str) -> None:
    """Remove the partition; its events stay, and are found again when the key comes back."""
    instance.delete_dynamic_partition(partitions_name(project), key)
