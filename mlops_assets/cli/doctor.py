"""``mlops doctor``: is everything in place, and is every run that was kept also tracked?"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption
from mlops_assets.cli.printing import print_json, print_table
from resources.home import Home

if TYPE_CHECKING:
    from mlops_assets.opened_project import OpenedProject


NAMED = 5


class Finding(NamedTuple):
    """One thing looked at. ``ok`` None: could not look."""

    what: str
    ok: bool | None
    detail: str


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Report runs whose events are gone again, from their record.json.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look over Python, the home folder, the project, its registration, code version and tracked runs."""
    findings = [_look("python", _python), _look("home", _home)]
    opened: list[OpenedProject] = []

    def load() -> tuple[bool, str]:
        from mlops_assets.opened_project import open_project

        opened.append(open_project(project))
        return True, f"{opened[0].project.name}, {len(opened[0].project.subprojects)} subprojects declared"

    findings.append(_look("project", load))
    looks: dict[str, Callable[[OpenedProject], tuple[bool, str]]] = {
        "registered": _registered,
        "code version": _code,
        "artifacts": _artifacts,
        **({"repair": _repair, "repair of deployments": _announce} if repair else {}),
        "runs": _runs,
        "datasets": _datasets,
        "deployments": _deployments,
    }
    for what, look in looks.items():
        if opened:
            findings.append(_look(what, lambda look=look: look(opened[0])))  # type: ignore[misc]
        else:
            findings.append(Finding(what, None, "could not look: the project does not load"))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        said = {True: "[green]ok[/green]", False: "[red]not ok[/red]", None: "could not look"}
        print_table("", ["looked at", "", "found"], [(f.what, said[f.ok], f.detail) for f in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _look(what: str, look: Callable[[], tuple[bool, str]]) -> Finding:
    """A doctor reports what is broken instead of stopping at it, whatever the error."""
    try:
        ok, detail = look()
    except Exception as error:  # noqa: BLE001 - it is the finding
        return Finding(what, False, f"{type(error).__name__}: {error}")
    return Finding(what, ok, detail)


def _python() -> tuple[bool, str]:
    return sys.version_info[:2] >= (3, 11), sys.version.split()[0]


def _home() -> tuple[bool, str]:
    from resources.event_log import EventLog

    home = Home.default()
    storage = type(EventLog.open(home).instance.event_log_storage).__name__
    return True, f"{home.path}, events in {storage}"


def _registered(p: "OpenedProject") -> tuple[bool, str]:
    changes = p.plan()
    differs = sum(map(len, (changes.new, changes.changed, changes.brought_back, changes.retired)))
    if differs:
        return False, f"{differs} subprojects differ from what is declared: `mlops plan` shows how"
    return True, f"{changes.unchanged} subprojects, all as declared"


def _code(p: "OpenedProject") -> tuple[bool, str]:
    from partitions.reference import PipelineReference
    from resources.code_versions import CodeVersions

    code = CodeVersions(p.artifacts).current(PipelineReference.of(p.project.pipeline), p.project.not_code)
    place = (
        f"commit {code.commit[:12]}{', with uncommitted changes' if code.dirty else ''}" if code.commit else "no git"
    )
    return True, f"{code.digest[:12]} ({place})"


def _artifacts(p: "OpenedProject") -> tuple[bool, str]:
    written = p.artifacts.put(b"mlops doctor", ".txt")
    return p.artifacts.get(written) == b"mlops doctor", f"written and read in {p.home.artifacts_url}"


def _runs(p: "OpenedProject") -> tuple[bool, str]:
    """Runs whose record.json is there and whose event is not: their process died in between, or events were wiped."""
    lost = p.lost_runs()
    if not lost.records and not lost.unreadable:
        return True, f"{lost.kept} kept, all of them tracked{_recent(lost.recent)}"
    said = []
    if lost.records:
        said.append(
            f"{len(lost.records)} of {lost.kept} runs have a record.json and no event, for example "
            f"{lost.records[0].run_id}: `mlops doctor --repair` brings them back"
        )
    return False, "; ".join([*said, *_unreadable(lost.unreadable)])


def _repair(p: "OpenedProject") -> tuple[bool, str]:
    done = p.repair()
    said = f"{done.runs} runs reported again{_recent(done.recent)}"
    if done.observed:
        said += f", {len(done.observed)} of them as observations (failed, or older than what is shown as last)"
    return not done.unreadable, "; ".join([said, *_unreadable(done.unreadable)])


def _recent(recent: Sequence[str]) -> str:
    return f"; {len(recent)} written within the last minute are left alone" if recent else ""


def _unreadable(unreadable: Mapping[str, str]) -> list[str]:
    some = [f"left alone: {why}" for why in list(unreadable.values())[:NAMED]]
    return [*some, f"and {len(unreadable) - NAMED} more that cannot be read"] if len(unreadable) > NAMED else some


def _datasets(p: "OpenedProject") -> tuple[bool, str]:
    """For information: a snapshot without its event is no longer the latest, and the next lifecycle run takes one."""
    count = p.snapshots_without_events()
    if count == 0:
        return True, "every subproject with snapshots has a dataset event"
    return True, f"{count} subprojects have snapshots and no dataset event: `mlops train` takes new ones"


def _deployments(p: "OpenedProject") -> tuple[bool, str]:
    """The ledger is the truth; what it holds is also to be seen in Dagster."""
    missing = p.unannounced()
    where = f"ledger {p.ledger.place} at sequence {p.ledger.position()}"
    if not missing:
        return True, where
    return False, (
        f"{where}: {len(missing)} deployments are not shown in Dagster, for example sequence {missing[0].sequence} "
        f"({missing[0].where}, {missing[0].stage}): `mlops doctor --repair` shows them"
    )


def _announce(p: "OpenedProject") -> tuple[bool, str]:
    return True, f"{p.announce()} deployments shown again"
