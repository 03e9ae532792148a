"""What ``mlops apply`` registered last, read back from the event log: where configuration comes from in every run."""

from collections.abc import Iterable

from partitions.catalogue import SubprojectConfiguration
from partitions.dynamic import registered_keys
from partitions.errors import UnknownName, nearest
from resources.event_log import EventLog

ENTRY = "configuration"


def configuration_asset(project: str) -> tuple[str, ...]:
    return (project, "configuration")


class Registry:
    """The registered subprojects of one project."""

    def __init__(self, event_log: EventLog, project: str) -> None:
        self.event_log = event_log
        self.project = project

    def keys(self) -> list[str]:
        """Registered subprojects in the order in which they were registered; retired ones are not among them."""
        return registered_keys(self.event_log.instance, self.project)

    def configurations(self, keys: Iterable[str] | None = None) -> dict[str, SubprojectConfiguration]:
        """The registered configuration of every subproject (or of those named).

        Raises UnknownName for a key that is not registered, offering the nearest ones.
        """
        known = self.keys()
        wanted = known if keys is None else list(keys)
        registered = set(known)
        for key in wanted:
            if key not in registered:
                raise UnknownName(
                    f"project {self.project!r}: {nearest(key, known, noun='subproject')}; "
                    "a newly declared one is registered by `mlops apply`"
                )
        events = self.event_log.latest(configuration_asset(self.project), wanted)
        missing = [key for key in wanted if key not in events]
        if missing:
            raise UnknownName(
                f"project {self.project!r}: subproject {missing[0]!r} is a partition, but `mlops apply` never "
                "registered its configuration; declare it in project.py and apply"
            )
        return {key: SubprojectConfiguration.model_validate_json(events[key].metadata[ENTRY]) for key in wanted}
