"""What waits in the outbox is delivered: a letter per target, bounded in time, tried again later where it failed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.assets.messages import digest
from resources.messages.outgoing import Outgoing
from resources.messages.sending import Answer, send

if TYPE_CHECKING:
    from resources.messages.outbox import Outbox

SECONDS = 20.0


@dataclass(frozen=True)
class Delivered:
    """How many messages were sent, in how many letters, and what is wrong with targets that did not take theirs."""

    messages: int = 0
    letters: int = 0
    troubles: tuple[str, ...] = ()

    def __str__(self) -> str:
        sent = f"{self.messages:,} messages in {self.letters:,} letters sent"
        return "; ".join([*([sent] if self.letters or not self.troubles else []), *self.troubles])


def deliver(
    outbox: "Outbox", project: str, seconds: float = SECONDS, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Delivered:
    """Send what waits. A message that failed waits again, longer each time, and is given up after a day.

    Never raises for what a target does, and takes little longer than ``seconds``. Who is killed meanwhile leaves
    messages that are not sent again, as they may have arrived.
    """
    claimed: dict[str, list[Outgoing]] = {}
    for one in outbox.claim(project, clock()):
        claimed.setdefault(one.target, []).append(one)
    if not claimed:
        return Delivered()
    answers = send([digest(target, of) for target, of in claimed.items()], seconds)
    told = list(zip(claimed.items(), answers, strict=True))
    for (_, of), answer in told:
        _mark(outbox, of, answer, clock())
    sent = [of for (_, of), answer in told if answer.outcome == "sent"]
    troubles = tuple(
        f"{target}: {len(of):,} messages {_WHAT[answer.outcome]}, as {answer.reason}"
        for (target, of), answer in told
        if answer.outcome != "sent"
    )
    return Delivered(sum(len(of) for of in sent), len(sent), troubles)


_WHAT = {"failed": "wait", "untouched": "wait", "unknown": "may have arrived and are not sent again"}


def _mark(outbox: "Outbox", of: list[Outgoing], answer: Answer, now: datetime) -> None:
    if answer.outcome == "sent":
        outbox.mark_sent(of, now)
    elif answer.outcome == "failed":
        outbox.mark_failed(of, answer.reason, now)
    elif answer.outcome == "unknown":
        outbox.mark_unknown(of, answer.reason)
    else:
        outbox.mark_untouched(of)
