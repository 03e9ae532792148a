"""Run as a script by ``sending``: letters as JSON on standard input, a line of JSON for each on standard output."""

import json
import logging
import os
import re
import sys
from typing import Any

STATUS = re.compile(r"error[ =]+(\d{3})\b", re.IGNORECASE)


class Heard(logging.Handler):
    """Keeps of what Apprise logs only what tells a cause, in words of ours: its own may quote an address."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        status = STATUS.search(text)
        if status:
            self.reason = f"it answered with {status.group(1)}"
        elif not self.reason and re.search(r"connection|socket|timed? ?out", text, re.IGNORECASE):
            self.reason = "it could not be reached"


def main() -> None:
    # Whatever a library prints goes where nobody reads it.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for position, letter in enumerate(json.load(sys.stdin)):
        import apprise

        target = apprise.Apprise()
        if not target.add(letter["address"]):
            say(out, done=position, sent=False, reason="its address is none that Apprise knows")
            continue
        say(out, begun=position)
        heard = Heard()
        logger = logging.getLogger("apprise")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(heard)
        sent = target.notify(body=letter["body"], title=letter["title"], notify_type=letter["kind"], body_format="text")
        logger.removeHandler(heard)
        say(out, done=position, sent=bool(sent), reason=heard.reason or "it refused")


def say(out: Any, **told: Any) -> None:
    out.write(json.dumps(told) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
