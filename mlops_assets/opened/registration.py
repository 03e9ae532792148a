"""Planning and applying: what is declared becomes what is registered."""

from collections.abc import Sequence

from mlops_assets.assets.configuration import OnProgress, Terms, plan, register, still_good
from mlops_assets.opened.ports import Opened
from mlops_assets.tracking.registry import Registration
from partitions.catalogue import SubprojectConfiguration
from partitions.changes import Plan


class Registering(Opened):
    """Declared against registered."""

    def configurations(self, subprojects: str | Sequence[str] | None = None) -> dict[str, SubprojectConfiguration]:
        """The registered configuration of every subproject (or of those named): what every run goes by."""
        return self.registry.configurations([subprojects] if isinstance(subprojects, str) else subprojects)

    def history(self, subproject: str) -> list[Registration]:
        """Every change of a subproject's configuration, oldest first: when, by whom, why, what, and the whole of it."""
        return self.registry.history(subproject)

    def plan(self) -> Plan:
        """What ``apply`` would register, change, bring back and retire."""
        return plan(self.registry, self.declared())

    def apply(
        self,
        agreed: Plan | None = None,
        *,
        allow_retire: bool = False,
        why: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Plan:
        """Register what is declared; return what that changed.

        ``agreed``: a plan that was made before, and that is refused where it does not hold any more. Raises, having
        changed nothing, where subprojects would be retired without ``allow_retire``, and where someone else is
        registering at this moment.
        """
        agreed = self.still_good(agreed) if agreed is not None else None
        terms = Terms(retire="retire" if allow_retire else "refuse", why=why)
        return register(self.registry, self.declared(), terms, agreed, on_progress)

    def still_good(self, agreed: Plan) -> Plan:
        """The same plan made again. Raises Outdated, naming what is different, where it would be another one."""
        return still_good(self.registry, self.declared(), agreed)
