"""Who is told what: messages through Apprise. A secret never stands in a declaration."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from pydantic import field_validator

from partitions.errors import DeclarationError
from partitions.values import Value

Event = Literal[
    "gate_failed",
    "data_failed",
    "retraining_failed",
    "retraining_overdue",
    "deployed",
    "rolled_back",
    "undeployed",
    "drift",
    "recovered",
]
EVENTS: tuple[str, ...] = get_args(Event)

# Services whose address is no secret; the addresses of all others (Slack, Telegram, ...) hold a token.
_OPEN = ("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "syslog")
_SECRET = re.compile(r"pass|pwd|token|secret|key|auth|user", re.IGNORECASE)
_WAY_OUT = "put the address into an environment variable and write to='env:NAME'"


class Message(Value):
    """``events`` are sent to ``to``: ``env:NAME``, an environment variable that holds an Apprise address, or such an
    address without any secret in it (``json://host/path``, ``mailto://host?to=...``)."""

    positional: ClassVar[tuple[str, ...]] = ("to",)

    to: str
    events: tuple[Event, ...] = EVENTS  # type: ignore[assignment]

    if TYPE_CHECKING:

        def __init__(self, to: str, *, events: Sequence[Event] = ...) -> None: ...

    @classmethod
    def _described(cls, given: Mapping[str, Any]) -> str:
        return cls.__name__  # without the address, which may hold the secret that is refused

    @field_validator("to")
    @classmethod
    def _without_secret(cls, to: str) -> str:
        kind, _, rest = to.partition(":")
        if kind == "env":
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
                raise DeclarationError(
                    "", "expected env: and the name of an environment variable, such as env:TEAM_CHAT"
                )
            return to
        try:
            address = urlsplit(to)
        except ValueError:
            raise DeclarationError("", f"is not an address; {_WAY_OUT}") from None
        if not address.scheme or "://" not in to:
            raise DeclarationError("", f"expected env:NAME or an address such as json://host/path; {_WAY_OUT}")
        if address.scheme not in _OPEN:
            raise DeclarationError("", f"an address of {address.scheme}:// holds a secret; {_WAY_OUT}")
        names = [name for name, _ in parse_qsl(address.query, keep_blank_values=True)]
        if "@" in address.netloc or any(name.startswith((" ", "+", "-")) or _SECRET.search(name) for name in names):
            raise DeclarationError("", f"the address holds a user, a header or a secret; {_WAY_OUT}")
        return to

    @field_validator("events")
    @classmethod
    def _some_once(cls, events: tuple[Event, ...]) -> tuple[Event, ...]:
        if not events:
            raise DeclarationError("", f"names no event; known: {', '.join(EVENTS)}")
        if len(set(events)) != len(events):
            raise DeclarationError("", "names an event twice")
        return events
