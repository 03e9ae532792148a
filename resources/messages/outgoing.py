"""A message on its way, as a value."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Outgoing:
    """One message to one target about one event of one subproject. ``target``: as declared, so without a secret.

    ``occurrence``: the id of what happened. ``message_id``: the same for the same occurrence, event and target, however
    often it is told of.
    """

    message_id: str
    project: str
    target: str
    event: str
    subproject: str
    stage: str | None
    occurrence: str
    text: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
