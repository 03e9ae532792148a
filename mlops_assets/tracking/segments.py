"""Files of the index: immutable Parquet segments, each named by what of the event log it holds.

The ids of events are cut into ranges of 512, 1024, 2048 ... A segment holds the events of one range as they once were
in the log. Its name says which ids they were (count and a mixed sum) and marks the last of them, so that whoever asks
the log for the same figures knows by name alone which segments are the log of now. Two processes that write the same
name write the same rows: nothing needs a lock, and a segment that no longer fits is not read, only removed later.
"""

import bisect
import contextlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlops_assets.tracking.event_source import BLOCK_BITS, Tally
from partitions.errors import MlopsError

if TYPE_CHECKING:
    import pyarrow as pa

# A range of so many events is one segment, a fuller one is two halves: a segment is made in memory.
FULL = 16_384
SUFFIX = ".parquet"
DRAFT = ".draft"
ATTEMPTS = 5
# A segment so young may have just been listed by a reader, also if it fits no longer. Where an older one goes under a
# reader's hands, it asks again (run_query.RunReader).
GRACE_SECONDS = 600.0


class Range(NamedTuple):
    """The ids from ``number << bits`` up to, not including, ``(number + 1) << bits``."""

    bits: int
    number: int

    @property
    def first(self) -> int:
        return self.number << self.bits

    @property
    def end(self) -> int:
        return (self.number + 1) << self.bits

    def halves(self) -> tuple["Range", "Range"]:
        return Range(self.bits - 1, self.number * 2), Range(self.bits - 1, self.number * 2 + 1)

    def overlaps(self, other: "Range") -> bool:
        return self.first < other.end and other.first < self.end

    def holds(self, event_id: int) -> bool:
        return self.first <= event_id < self.end


class Segment(NamedTuple):
    """One segment. ``last``: the id of its last event; ``mark``: of that event's text (``event_source.mark_of``)."""

    range: Range
    tally: Tally
    last: int
    mark: str

    @property
    def name(self) -> str:
        figures = f"{self.range.number:x}-{self.range.bits:x}-{self.tally.size:x}-{self.tally.mixed:x}-{self.last:x}"
        return f"{figures}-{self.mark}{SUFFIX}"


def named(file: str) -> Segment | None:
    """The segment that a file name stands for; None for any other file."""
    parts = file.removesuffix(SUFFIX).split("-")
    if not file.endswith(SUFFIX) or len(parts) != 6:
        return None
    try:
        number, bits, count, mixed, last = (int(part, 16) for part in parts[:5])
    except ValueError:
        return None
    return Segment(Range(bits, number), Tally(count, mixed), last, parts[5])


def ranges_of(blocks: Mapping[int, Tally]) -> dict[Range, Tally]:
    """The ranges that are one segment each, for what the log says of its blocks of ids; none of an empty range.

    As large as may be, but where the log still grows they end with the block it grows in: only that one, and now and
    then a few of its neighbours, are written again when events arrive.
    """
    held = sorted(block for block, of_block in blocks.items() if of_block.size)
    if not held:
        return {}
    sums = list(itertools.accumulate((blocks[block] for block in held), Tally.plus, initial=Tally()))

    def within(of: Range) -> Tally:
        low, high = (bisect.bisect_left(held, edge >> BLOCK_BITS) for edge in (of.first, of.end))
        return sums[high].minus(sums[low])

    found: dict[Range, Tally] = {}
    waiting = [Range(BLOCK_BITS + held[-1].bit_length(), 0)]
    while waiting:
        of = waiting.pop()
        of_range = within(of)
        grows = of.first <= held[-1] << BLOCK_BITS < of.end
        if of.bits == BLOCK_BITS or (of_range.size <= FULL and not grows):
            found[of] = of_range
        else:
            waiting.extend(half for half in of.halves() if within(half).size)
    return found


def listed(folder: Path) -> dict[Segment, Path]:
    """The segments in ``folder``; none if it is not there."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {segment: folder / name for name in names if (segment := named(name)) is not None}


def write(table: "pa.Table", file: Path) -> None:
    """Write the table so that whoever sees ``file`` sees all of it, also after a power cut.

    The folder may be deleted at any time, also under the draft: then it is written again.
    """
    try:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(FileNotFoundError):
                return _write(table, file)
        return _write(table, file)
    except OSError as error:
        raise MlopsError(
            f"the index of runs cannot be written in {file.parent}: {error.strerror or error}; it needs a folder that "
            "may be written to, with room (it can be deleted at any time, and is made again)"
        ) from error


def _write(table: "pa.Table", file: Path) -> None:
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=file.parent, suffix=DRAFT)
    try:
        with os.fdopen(handle, "wb") as stream:
            pq.write_table(table, stream, compression="lz4")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def share(folder: Path, into: Path) -> None:
    """The segments of ``folder`` also in the new folder ``into``: as links, or copied where there can be none."""
    into.mkdir()
    for file in listed(folder).values():
        # Another process may remove it meanwhile; the index makes what is missing.
        with contextlib.suppress(FileNotFoundError):
            try:
                os.link(file, into / file.name)
            except OSError:
                shutil.copyfile(file, into / file.name)


def remove_stale(folder: Path, needed: Iterable[Segment]) -> None:
    """Remove segments that fit the log no longer and drafts of processes that died, unless they are new."""
    keep = {segment.name for segment in needed}
    # Another process may remove the same at the same time, or the folder.
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name not in keep and name.endswith((SUFFIX, DRAFT)):
                _remove_old(folder / name)


def _remove_old(file: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if time.time() - file.stat().st_mtime > GRACE_SECONDS:
            file.unlink()
