"""Loads Great Expectations without the marks that importing it leaves on a process."""

import logging
import warnings
from functools import cache


@cache
def load() -> None:
    """Import the library once per process (seconds). Warnings of the process are shown afterwards as they were before.

    Importing it warns of optional parts that are not installed, and sends every later warning to logging, where nobody
    looks for it.
    """
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations.expectations  # noqa: F401
    if warnings.showwarning is not shown:
        logging.captureWarnings(False)
