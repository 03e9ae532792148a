"""Decisions for tests of the ledger; run as a program, one of many deployers that compete for the same stages.

``python -m tests.resources.ledgers URL SUBPROJECTS DEPLOYMENTS`` opens the ledger, waits for a line, then deploys to
stages at random, each time over what it has just read, until so many of its own are in; it prints their sequences.
"""

import json
import random
import sys
from typing import Any

from resources.ledger.deployment import Deployment, LedgerConflict, ModelFile, NewDeployment
from resources.ledger.ledger import Ledger

DIGEST = "ab" + "c" * 62


def decision(subproject: str = "AA", stage: str = "production", replaces: int = 0, **fields: Any) -> NewDeployment:
    said: dict[str, Any] = {"action": "deploy", "run_id": "r1", "why": "it is better", "by": "ada@here"} | fields
    if said["action"] != "undeploy":
        said["model"] = ModelFile(uri=f"sha256/ab/{DIGEST}.model", digest=DIGEST, bytes=3)
    else:
        said["run_id"] = None
    return NewDeployment(project="delays", subproject=subproject, stage=stage, replaces=replaces, **said)


def appended(ledger: Ledger, *wanted: NewDeployment) -> list[Deployment]:
    """Appended, all of them."""
    answers = ledger.append(wanted)
    for answer in answers:
        if isinstance(answer, LedgerConflict):
            raise answer
    return [answer for answer in answers if isinstance(answer, Deployment)]


def compete(ledger: Ledger, subprojects: int, deployments: int) -> dict[str, Any]:
    sequences: list[int] = []
    lost = 0
    while len(sequences) < deployments:
        subproject = f"s{random.randrange(subprojects)}"
        current = ledger.current("delays", "production", [subproject])
        now = current.get((subproject, "production"))
        pair = [
            decision(subproject, replaces=now.sequence if now else 0, run_id=f"r{random.randrange(10**9)}"),
            decision(subproject, "archive", replaces=_archived(ledger, subproject), action="archive"),
        ]
        answers = ledger.append(pair)
        won = [answer for answer in answers if isinstance(answer, Deployment)]
        if len(won) not in (0, len(pair)):
            raise AssertionError(f"half of a group was appended: {answers}")
        lost += not won
        sequences += [one.sequence for one in won]
    return {"sequences": sequences, "lost": lost}


def _archived(ledger: Ledger, subproject: str) -> int:
    before = ledger.current("delays", "archive", [subproject]).get((subproject, "archive"))
    return before.sequence if before else 0


if __name__ == "__main__":
    url, subprojects, deployments = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(compete(Ledger.open(url), subprojects, deployments)))
