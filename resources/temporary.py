"""Temporary folders that do not long outlive who made them: what a killed process has left, the next one removes."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time

_YOUNG_SECONDS = 600


@contextmanager
def held_folder(prefix: str) -> Iterator[Path]:
    """A new folder for the block, after those of dead processes are removed."""
    folder, lock = new_folder(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def new_folder(prefix: str) -> tuple[Path, int]:
    """A new folder, and the descriptor of the lock that this process holds on it until it ends or closes it.

    Nobody else removes it as long. Those that dead processes have left are removed first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_if_left(left)
    folder = tempfile.mkdtemp(prefix=prefix)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return Path(folder), lock


def _remove_if_left(folder: Path) -> None:
    try:
        if folder.is_symlink() or time() - folder.stat().st_mtime < _YOUNG_SECONDS:
            return  # so new that who made it may not hold the lock yet
        descriptor = os.open(folder, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return  # another process was quicker, or it belongs to another user
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return  # in use
    finally:
        os.close(descriptor)
