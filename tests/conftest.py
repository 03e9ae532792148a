"""What every test runs in."""

import os

# Ray's workers stand behind all other programs, as Ray itself has it. Here the other half of the suite is such a
# program, and a test whose runs do not get their turn meanwhile would end by its timeout.
os.environ.setdefault("RAY_worker_niceness", "0")
