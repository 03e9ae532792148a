import traceback

import pytest

from partitions.errors import DeclarationError
from partitions.messages import EVENTS, Message
from tests.partitions.delays_declared import project


@pytest.mark.parametrize("to", ["env:TEAM_CHAT", "json://localhost:8080/hook", "mailto://mail.local?to=a@b.org"])
def test_an_address_without_a_secret_is_accepted(to: str) -> None:
    message = Message(to)
    assert message.events == EVENTS
    assert Message.model_validate_json(message.model_dump_json()) == message


@pytest.mark.parametrize(
    "to",
    [
        "json://me:hunter2@host/path",
        "json://hunter2@host",
        "json://host/?token=hunter2",
        "json://host/?+X-Auth=hunter2",
        "mailto://host?pass=hunter2&to=a@b.org",
        "slack://hunter2/b/c",
        "tgram://hunter2/1",
        "https://host/hunter2",
        "hunter2",
        "env:hunter2 hunter2",
        "json://[hunter2",
    ],
)
def test_a_secret_is_refused_and_stands_in_no_error(to: str) -> None:
    with pytest.raises(DeclarationError, match="env:") as error:
        Message(to)
    assert "hunter2" not in "".join(traceback.format_exception(error.value)).replace(f'"{to}"', "")
    with pytest.raises(DeclarationError, match=r"notifications\[0\].to: ") as error:
        project(notifications=[{"to": to}])
    assert "hunter2" not in "".join(traceback.format_exception(error.value))


def test_an_unknown_event_is_refused_with_those_there_are() -> None:
    with pytest.raises(DeclarationError, match="expected 'gate_failed'.* not 'drft'"):
        Message("env:X", events=["drft"])  # type: ignore[list-item]
    with pytest.raises(DeclarationError, match="names no event"):
        Message("env:X", events=[])
    with pytest.raises(DeclarationError, match="names an event twice"):
        Message("env:X", events=["drift", "drift"])
