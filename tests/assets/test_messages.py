"""Who is told what: from an occurrence to a letter that a webhook and a mail server got, at most once."""

import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from mlops_assets.assets.delivery import Delivered, deliver
from mlops_assets.assets.messages import NAMED, Occurrence, addressed, of_run, tell
from partitions.catalogue import SubprojectConfiguration
from partitions.messages import Event, Message
from partitions.stages import Stage
from resources.ledger.database import Database
from resources.messages.outbox import LEASE, Outbox
from resources.messages.sending import Letter, send
from tests.assets.registries import declared
from tests.resources.message_targets import Webhook, mail_server, webhook

NOON = datetime(2024, 5, 14, 12, tzinfo=UTC)
SECRET = "hunter2andmore"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(Database.open(f"sqlite:///{tmp_path / 'ledger.db'}", 10))


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """A webhook whose address, in TEAM_HOOK, holds a secret user, path and header."""
    with webhook() as made:
        monkeypatch.setenv("TEAM_HOOK", f"json://ada:{SECRET}1@127.0.0.1:{made.port}/{SECRET}2?+X-Key={SECRET}3")
        yield made


def registered(*keys: str, **fields: Any) -> dict[str, SubprojectConfiguration]:
    return declared(*keys, **({"notifications": [Message("env:TEAM_HOOK")]} | fields))


def happened(
    event: Event | Literal["fine"], *keys: str, run: str = "r1", text: str = "because", minute: int = 0
) -> list[Occurrence]:
    at = NOON + timedelta(minutes=minute)
    return [Occurrence(event, "delays", key, "production", text, of_run(run, key, "production"), at=at) for key in keys]


def delivered(outbox: Outbox, minute: float = 1, seconds: float = 20.0) -> Delivered:
    return deliver(outbox, "delays", seconds, clock=lambda: NOON + timedelta(minutes=minute))


def test_a_batch_is_one_letter_that_counts_names_some_and_says_where_the_rest_is(outbox: Outbox, hook: Webhook) -> None:
    keys = [f"S{number:03d}" for number in range(300)]
    configurations = registered(*keys)
    assert tell(outbox, configurations, happened("deployed", *keys[:280], text="rmse 9.1")) == 280
    assert tell(outbox, configurations, happened("gate_failed", *keys[280:], text="rmse 31.2, at most 25")) == 20
    assert str(delivered(outbox)) == "300 messages in 1 letters sent"
    (letter,) = hook.got
    assert letter["title"] == (
        "delays: 20 subprojects did not pass their gates (production), 280 subprojects were deployed (production)"
    )
    assert letter["type"] == "failure"
    lines = letter["message"].splitlines()
    assert lines[1] == "  S280: rmse 31.2, at most 25 (2024-05-14 12:00 UTC)"
    assert "  and 10 more: mlops checks --project delays" in lines and len(lines) == 2 * (NAMED + 2) + 1
    assert delivered(outbox, 2) == Delivered() and len(hook.got) == 1


def test_an_event_is_told_at_most_once_however_often_it_is_told_of(outbox: Outbox, hook: Webhook) -> None:
    configurations = registered("AA")
    assert tell(outbox, configurations, happened("gate_failed", "AA")) == 1
    assert tell(outbox, configurations, happened("gate_failed", "AA")) == 0
    delivered(outbox)
    assert tell(outbox, configurations, happened("gate_failed", "AA")) == 0
    assert tell(outbox, configurations, happened("gate_failed", "AA", run="r2")) == 1
    delivered(outbox, 2)
    assert hook.titles == ["delays: AA did not pass its gates (production)"] * 2


def test_targets_get_the_events_they_asked_for_of_project_stage_and_subproject() -> None:
    stage = Stage("production", notifications=[Message("env:STAGE", events=["deployed"])])
    of_project = [Message("env:TEAM", events=["gate_failed"]), Message("env:TEAM", events=["rolled_back"])]
    configurations = declared("AA", "B6", stages=[stage], notifications=of_project)

    def told(event: Event) -> list[str]:
        return [one.target for one in addressed(configurations, happened(event, "AA"), {})]

    assert told("gate_failed") == ["env:TEAM"] and told("rolled_back") == ["env:TEAM"]
    assert told("deployed") == ["env:STAGE"] and told("drift") == []
    assert addressed(configurations, happened("deployed", "gone"), {}) == []


def test_recovered_is_told_to_those_who_were_told_of_trouble_once(outbox: Outbox, hook: Webhook) -> None:
    configurations = registered("AA", "B6")
    tell(outbox, configurations, happened("retraining_failed", "AA", run="r1"))
    tell(outbox, configurations, happened("fine", "AA", "B6", run="r2", text="data unchanged", minute=1))
    tell(outbox, configurations, happened("fine", "AA", run="r3", minute=2))
    delivered(outbox, 3)
    (letter,) = hook.got
    assert letter["title"] == "delays: AA could not be retrained (production), AA recovered (production)"
    assert "AA: retraining failed before; now data unchanged" in letter["message"]


def test_a_mail_server_gets_a_mail(outbox: Outbox) -> None:
    with mail_server() as (mails, port):
        to = f"mailto://127.0.0.1:{port}?to=team@example.org&from=mlops@example.org&mode=insecure"
        configurations = registered("AA", notifications=[Message(to, events=["deployed"])])
        tell(outbox, configurations, happened("deployed", "AA", text="rmse 9.1"))
        assert str(delivered(outbox)) == "1 messages in 1 letters sent"
    (mail,) = mails.got
    assert mail["Subject"] == "delays: AA was deployed (production)"
    assert "AA: rmse 9.1" in mail.get_body(("plain",)).get_content()


def test_a_target_that_is_down_is_tried_again_and_later_gets_everything(outbox: Outbox, hook: Webhook) -> None:
    configurations = registered("AA", "B6")
    hook.status = 503
    tell(outbox, configurations, happened("deployed", "AA"))
    assert str(delivered(outbox, 1)) == "env:TEAM_HOOK: 1 messages wait, as it answered with 503"
    assert delivered(outbox, 1.25) == Delivered(), "it waits a while"
    assert "wait" in str(delivered(outbox, 2)) and len(hook.got) == 2
    assert delivered(outbox, 2.75) == Delivered(), "and twice as long the next time"
    hook.status = 200
    tell(outbox, configurations, happened("deployed", "B6"))
    assert str(delivered(outbox, 3)) == "2 messages in 1 letters sent"
    assert outbox.counts("delays") == {("env:TEAM_HOOK", "sent"): 2}


def test_what_nobody_took_for_a_day_is_given_up_and_kept(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEAM_HOOK", raising=False)
    tell(outbox, registered("AA"), happened("deployed", "AA"))
    said = "env:TEAM_HOOK: 1 messages wait, as environment variable TEAM_HOOK is not set"
    assert str(delivered(outbox, 60)) == said
    delivered(outbox, 25 * 60)
    assert outbox.counts("delays") == {("env:TEAM_HOOK", "given up"): 1}
    assert delivered(outbox, 50 * 60) == Delivered()


def test_a_target_that_hangs_holds_nobody_up_for_long(outbox: Outbox, hook: Webhook) -> None:
    hook.hangs.set()
    tell(outbox, registered("AA"), happened("deployed", "AA"))
    start = time.monotonic()
    said = str(delivered(outbox, 1, seconds=3.0))
    assert time.monotonic() - start < 20
    assert said.startswith("env:TEAM_HOOK: 1 messages may have arrived and are not sent again") or "wait" in said


def test_a_target_nobody_listens_at_and_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOBODY", f"json://127.0.0.1:9/{SECRET}")
    monkeypatch.setenv("NONE", f"nonsense://{SECRET}")
    answers = send([Letter("env:NOBODY", "t", "b"), Letter("env:NONE", "t", "b")], 20)
    assert [(one.outcome, one.reason) for one in answers] == [
        ("failed", "it could not be reached"),
        ("failed", "its address is none that Apprise knows"),
    ]


def test_no_secret_stands_in_any_log_answer_error_or_table(
    outbox: Outbox, hook: Webhook, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for status, minute in ((500, 1), (200, 10)):
        hook.status = status
        tell(outbox, registered("AA"), happened("deployed", "AA", run=str(status)))
        said.append(repr(delivered(outbox, minute)))
    os.environ["TEAM_HOOK"] = f"json://{SECRET}:{SECRET}@no-such-host.invalid/{SECRET}"
    said.append(repr(send([Letter("env:TEAM_HOOK", "t", "b")], 20)))
    try:
        Message(f"slack://{SECRET}/b/c")
    except ValueError as error:
        said.append("".join(traceback.format_exception(error)).replace(f'Message("slack://{SECRET}', ""))
    assert hook.paths == [f"/{SECRET}2"] * 2, "the secret did reach the target"
    captured = capfd.readouterr()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    everything = "".join([*said, caplog.text, captured.out, captured.err, kept.decode(errors="ignore")])
    assert SECRET not in everything


CHILD = """
import sys
from datetime import UTC, datetime
from mlops_assets.assets.delivery import deliver
from resources.ledger.database import Database
from resources.messages.outbox import Outbox
noon = datetime.fromisoformat(sys.argv[2])
deliver(Outbox(Database.open(sys.argv[1], 10)), "delays", 60, clock=lambda: noon)
"""


def test_who_is_killed_while_sending_leaves_what_is_not_sent_again(
    outbox: Outbox, hook: Webhook, tmp_path: Path
) -> None:
    hook.hangs.set()
    tell(outbox, registered("AA"), happened("deployed", "AA"))
    command = [
        sys.executable,
        "-c",
        CHILD,
        f"sqlite:///{tmp_path / 'ledger.db'}",
        (NOON + timedelta(minutes=1)).isoformat(),
    ]
    child = subprocess.Popen(command, start_new_session=True)
    while not hook.got:
        assert child.poll() is None
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    hook.hangs.clear()
    assert delivered(outbox, 2) == Delivered(), "someone may be sending it still"
    assert outbox.counts("delays") == {("env:TEAM_HOOK", "sending"): 1}
    delivered(outbox, 3 + LEASE.total_seconds() / 60)
    assert outbox.counts("delays") == {("env:TEAM_HOOK", "unknown"): 1}
    assert len(hook.got) == 1


def test_two_who_deliver_at_once_share_what_waits(url: str, hook: Webhook) -> None:
    one, other = (Outbox(Database.open(url, 10)) for _ in range(2))
    tell(one, registered("AA", "B6"), happened("deployed", "AA", "B6"))
    mine, theirs = one.claim("delays", NOON), other.claim("delays", NOON)
    assert [of.subproject for of in mine] == ["AA", "B6"] and theirs == []
    assert one.claim("other", NOON) == []
    one.mark_failed(mine[:1], "down", NOON)
    one.mark_sent(mine[1:], NOON)
    assert other.claim("delays", NOON) == []
    (again,) = other.claim("delays", NOON + timedelta(minutes=1))
    assert (again.subproject, again.attempts, again.at) == ("AA", 1, NOON)
    assert one.last_events("delays", {"B6"}, ["deployed"]) == {("env:TEAM_HOOK", "B6", "production"): "deployed"}
    assert one.counts("delays") == {("env:TEAM_HOOK", "sending"): 1, ("env:TEAM_HOOK", "sent"): 1}
