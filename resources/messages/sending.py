"""Letters out through Apprise, from a process of its own: what hangs is ended, and what any library logs stays there.

The addresses, which hold secrets, go to that process through a pipe: never an argument, a file or a log. It answers
with what became of each letter in words of ours, never in those of a library, which may quote an address.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CHILD = Path(__file__).with_name("apprise_child.py")
Outcome = Literal["sent", "failed", "unknown", "untouched"]


@dataclass(frozen=True)
class Letter:
    """One text to one target. ``kind``: how targets that can show it: info, success, warning or failure."""

    target: str
    title: str
    body: str
    kind: str = "info"


@dataclass(frozen=True)
class Answer:
    """What became of a letter. ``unknown``: it may have arrived; ``untouched``: nobody got to it."""

    outcome: Outcome
    reason: str = ""


def send(letters: Sequence[Letter], seconds: float) -> list[Answer]:
    """Send each; an answer for each. Takes no longer than ``seconds``, and raises nothing for what a target does."""
    addresses = [_address(letter.target) for letter in letters]
    asked = [
        {"address": address, "title": letter.title, "body": letter.body, "kind": letter.kind}
        for letter, address in zip(letters, addresses, strict=True)
        if address is not None
    ]
    answered = iter(_answers(asked, seconds)) if asked else iter(())
    return [
        next(answered) if address is not None else Answer("failed", f"environment variable {_name(letter)} is not set")
        for letter, address in zip(letters, addresses, strict=True)
    ]


def _address(target: str) -> str | None:
    """``env:NAME`` is looked up now, so that a secret is in memory while it is used, and nowhere else."""
    kind, _, name = target.partition(":")
    return (os.environ.get(name) or None) if kind == "env" else target


def _name(letter: Letter) -> str:
    return letter.target.partition(":")[2]


def _answers(asked: list[dict[str, str]], seconds: float) -> list[Answer]:
    # -P: the folder of the script, with modules of names that others have too, is none to import from.
    command = [sys.executable, "-P", str(CHILD)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        try:
            said, _ = child.communicate(json.dumps(asked), timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            said, _ = child.communicate()
    return _read(said, len(asked))


def _read(said: str, count: int) -> list[Answer]:
    """A line when a letter is begun and one when it is done: one that was only begun may have arrived."""
    answers = [Answer("untouched", "there was no time left")] * count
    for line in said.splitlines():
        told = json.loads(line) if line.endswith("}") else {}
        if "begun" in told:
            answers[told["begun"]] = Answer("unknown", "sending was ended before there was an answer")
        elif "done" in told:
            answers[told["done"]] = Answer("sent") if told["sent"] else Answer("failed", told["reason"])
    return answers
