"""The stages of a subproject in their order: which one a name means, what comes before it, which is the last."""

from partitions.catalogue import SubprojectConfiguration
from partitions.errors import MlopsError, UnknownName, nearest
from partitions.stages import Stage

# Always there, after the last stage: the model that was replaced last is served and monitored there.
ARCHIVE = "archive"


def stage_named(configuration: SubprojectConfiguration, name: str) -> Stage:
    """The subproject's stage of that name. Raises UnknownName, with the right names, where it has none."""
    where = f"{configuration.project}/{configuration.key}"
    for stage in configuration.stages:
        if stage.name == name:
            return stage
    if name == ARCHIVE:
        raise MlopsError(
            f"{where}: a model gets into {ARCHIVE!r} by being replaced in the last stage, not by a command"
        )
    if not configuration.stages:
        raise UnknownName(f"{where}: unknown stage {name!r}: none are declared; add stages=[Stage(...)] and apply")
    order = ", then ".join(stage.name for stage in configuration.stages)
    raise UnknownName(
        f"{where}: {nearest(name, [s.name for s in configuration.stages], noun='stage')} (it has {order})"
    )


def before(configuration: SubprojectConfiguration, name: str) -> list[str]:
    """The stages before one, in order."""
    names = [stage.name for stage in configuration.stages]
    return names[: names.index(name)]


def is_last(configuration: SubprojectConfiguration, name: str) -> bool:
    """Whether a model that is replaced there moves to the archive."""
    return configuration.stages[-1].name == name


def check_forward(configuration: SubprojectConfiguration, source: str, target: str) -> None:
    """Raises MlopsError unless ``target`` comes after ``source``: models are promoted, never demoted."""
    for name in (source, target):
        stage_named(configuration, name)
    names = [stage.name for stage in configuration.stages]
    if names.index(source) < names.index(target):
        return
    where = f"{configuration.project}/{configuration.key}"
    later = names[names.index(source) + 1 :]
    way_out = f"promote from {source} to {' or '.join(later)}" if later else f"{source!r} is the last stage"
    raise MlopsError(
        f"{where}: {target!r} does not come after {source!r} (the order is {', '.join(names)}): {way_out}; "
        f"`mlops rollback --stage {target}` brings back an earlier model there"
    )
