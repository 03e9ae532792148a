"""What happened, and who is told of it in which words: pure, but for putting it into the outbox."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from partitions.catalogue import SubprojectConfiguration
from partitions.messages import Event, Message
from resources.messages.outgoing import Outgoing
from resources.messages.sending import Letter

if TYPE_CHECKING:
    from resources.messages.outbox import Outbox

# Trouble that is over once a retraining comes through; drift is over when monitoring says so.
TROUBLES: tuple[Event, ...] = ("gate_failed", "data_failed", "retraining_failed", "retraining_overdue")
RECOVERED: Event = "recovered"
# Subprojects named in a message; the others are counted.
NAMED = 10
LONGEST = 200


@dataclass(frozen=True)
class Occurrence:
    """Something that happened to a subproject. ``fine``: a retraining came through and changed nothing; nobody is told,
    but of trouble that is over.

    ``id``: the same however often it is told of, and of no other (see ``of_run`` and ``of_deployment``).
    ``text``: one line for people, without private values.
    """

    event: Event | Literal["fine"]
    project: str
    subproject: str
    stage: str | None
    text: str
    id: str
    data: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def of_run(dagster_run_id: str, subproject: str, stage: str) -> str:
    """The id of what a Dagster run brought one subproject (gate_failed, data_failed, retraining_failed, fine)."""
    return f"run {dagster_run_id} {subproject} {stage}"


def of_deployment(deployment_id: str) -> str:
    """The id of a decision in the ledger (deployed, rolled_back, undeployed)."""
    return f"deployment {deployment_id}"


Addressees = Mapping[str, SubprojectConfiguration]


def tell(outbox: "Outbox", registered: Addressees, occurrences: Sequence[Occurrence]) -> int:
    """Put into the outbox what the declared messages ask for; return how many that are.

    Once this returns they are on disk and will be sent, by whoever delivers next; telling again adds nothing. Sending
    is never waited for here. Subprojects that are not registered have nobody to tell.
    """
    overs = [one.subproject for one in occurrences if one.event in ("deployed", "fine")]
    last: dict[tuple[str, str, str | None], str] = {}
    if overs:
        last = outbox.last_events(occurrences[0].project, set(overs), [*TROUBLES, RECOVERED])
    return outbox.put(addressed(registered, occurrences, last))


def addressed(
    registered: Addressees, occurrences: Iterable[Occurrence], last: Mapping[tuple[str, str, str | None], str]
) -> list[Outgoing]:
    """A message for each target that asked for an event, and one where trouble that it was told of is over."""
    found = []
    for one in occurrences:
        for target, events in _targets(registered.get(one.subproject), one.stage).items():
            if one.event in events:
                found.append(_outgoing(one, target, one.event, one.text))
            trouble = last.get((target, one.subproject, one.stage))
            if one.event in ("deployed", "fine") and trouble in TROUBLES and RECOVERED in events:
                text = f"{str(trouble).replace('_', ' ')} before; now {one.text}"
                found.append(_outgoing(one, target, RECOVERED, text))
    return found


def _targets(configuration: SubprojectConfiguration | None, stage: str | None) -> dict[str, set[str]]:
    """The events that each target asks for: the subproject's, and those of the stage beside them."""
    declared: list[Message] = []
    if configuration is not None:
        of_stage = [message for own in configuration.stages if own.name == stage for message in own.notifications]
        declared = [*configuration.notifications, *of_stage]
    targets: dict[str, set[str]] = {}
    for message in declared:
        targets.setdefault(message.to, set()).update(message.events)
    return targets


def _outgoing(one: Occurrence, target: str, event: str, text: str) -> Outgoing:
    identity = "\n".join((one.project, target, event, one.id))
    return Outgoing(
        message_id=hashlib.sha256(identity.encode()).hexdigest(),
        project=one.project,
        target=target,
        event=event,
        subproject=one.subproject,
        stage=one.stage,
        occurrence=one.id,
        text=_line(text),
        at=one.at,
        data=one.data,
    )


@dataclass(frozen=True)
class _Said:
    """How an event is told: of one, of many, how urgent, and where to see more."""

    one: str
    many: str
    kind: str
    more: str


_WORDS: dict[str, _Said] = {
    "gate_failed": _Said("did not pass its gates", "did not pass their gates", "failure", "mlops checks"),
    "data_failed": _Said("got data that cannot be used", "got data that cannot be used", "failure", "mlops checks"),
    "retraining_failed": _Said("could not be retrained", "could not be retrained", "failure", "mlops status --failed"),
    "retraining_overdue": _Said("is overdue", "are overdue", "warning", "mlops schedules"),
    "drift": _Said("drifts", "drift", "warning", "mlops monitor"),
    "rolled_back": _Said("was rolled back", "were rolled back", "warning", "mlops deployments"),
    "undeployed": _Said("was undeployed", "were undeployed", "warning", "mlops deployments"),
    "recovered": _Said("recovered", "recovered", "success", "mlops status"),
    "deployed": _Said("was deployed", "were deployed", "success", "mlops deployments"),
}
_URGENCY = ("failure", "warning", "success")


def digest(target: str, outgoing: Sequence[Outgoing]) -> Letter:
    """One letter for everything that one target is told of a project now: the worst first, counted, some by name."""
    groups: dict[tuple[str, str | None], list[Outgoing]] = {}
    for one in outgoing:
        groups.setdefault((one.event, one.stage), []).append(one)
    order = list(_WORDS)
    ordered = sorted(groups.items(), key=lambda group: (order.index(group[0][0]), group[0][1] or ""))
    title = f"{outgoing[0].project}: " + ", ".join(_headline(key, of) for key, of in ordered)
    body = "\n\n".join(_section(outgoing[0].project, key, of) for key, of in ordered)
    kind = min((_WORDS[event].kind for event, _ in groups), key=_URGENCY.index)
    return Letter(target, _line(title), body, kind)


def _headline(key: tuple[str, str | None], of: Collection[Outgoing]) -> str:
    event, stage = key
    keys = {one.subproject for one in of}
    who = next(iter(keys)) if len(keys) == 1 else f"{len(keys):,} subprojects"
    words = _WORDS[event].one if len(keys) == 1 else _WORDS[event].many
    return f"{who} {words}" + (f" ({stage})" if stage else "")


def _section(project: str, key: tuple[str, str | None], of: Sequence[Outgoing]) -> str:
    named = sorted(of, key=lambda one: (one.subproject, one.at))
    lines = [_headline(key, of)]
    lines += [f"  {one.subproject}: {one.text} ({one.at:%Y-%m-%d %H:%M} UTC)" for one in named[:NAMED]]
    more = f"  and {len(named) - NAMED:,} more: " if len(named) > NAMED else "  more: "
    return "\n".join([*lines, f"{more}{_WORDS[key[0]].more} --project {project}"])


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
