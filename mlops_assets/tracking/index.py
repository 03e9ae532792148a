"""The index of runs: segments that hold what the event log holds now, made of it as far as they are missing.

Every reading asks the log first. So a run is seen as soon as it is logged, an event that a slow transaction brings in
late is seen, and one that a person wiped or deleted is gone. What the index keeps can be deleted at any time.
"""

import logging
import random
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.tracking import segments
from mlops_assets.tracking.columns import EVENT_COLUMNS, EVENT_ID
from mlops_assets.tracking.event_rows import table_of
from mlops_assets.tracking.event_source import EventSource, StoredEvent, Tally, mark_of, sum_of, tally
from mlops_assets.tracking.segments import Range, Segment
from partitions.errors import MlopsError
from resources.temporary import held_folder

if TYPE_CHECKING:
    import pyarrow as pa

# A change of what segments hold is a new folder: versions of this program side by side disturb each other in nothing.
FORMAT = "2"
READ_IDS = 2_048
ATTEMPTS = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Indexed:
    """Segments that together are the event log at one moment. ``wiped``: see ``EventSource.wiped``."""

    files: tuple[Path, ...] = ()
    wiped: dict[str, int] = field(default_factory=dict)


class LogRewritten(MlopsError):
    """Events were deleted and logged anew under the same ids while they were read."""


class RunIndex:
    """The index of one project in ``folder``."""

    def __init__(self, folder: Path, source: EventSource) -> None:
        self.folder = folder / FORMAT
        self.source = source
        self._known: tuple[Tally, dict[Range, Tally]] | None = None

    def refresh(self) -> Indexed:
        """Bring the index up to the event log and return it. Everything logged before this call is in it."""
        wanted = self._wanted()
        wiped = self.source.wiped()
        there = segments.listed(self.folder)
        fitting = [segment for segment in there if wanted.get(segment.range) == segment.tally]
        chosen = {segment.range: segment for segment in self._unchanged(fitting)}
        missing = [of for of in wanted if of not in chosen]
        # Processes that find the same segments missing share the work when each begins somewhere else.
        random.shuffle(missing)
        for of in missing:
            made = self._made_meanwhile(of, wanted[of]) or self._make(of)
            if made is not None:
                chosen[of] = made
        if missing:
            segments.remove_stale(self.folder, chosen.values())
        files = tuple(self.folder / chosen[of].name for of in sorted(chosen, key=lambda of: of.first))
        return Indexed(files, wiped)

    @contextmanager
    def apart(self) -> Iterator["RunIndex"]:
        """An index of this process alone that holds what this one does: what is read there, nobody else removes."""
        with held_folder("mlops-index-") as folder:
            alone = RunIndex(folder, self.source)
            segments.share(self.folder, alone.folder)
            yield alone

    def forget(self) -> None:
        """Delete the index; the next reading makes it again."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wanted(self) -> dict[Range, Tally]:
        """The ranges to have a segment of. The total is asked first: blocks cost more, and mostly nothing is new."""
        total = self.source.total()
        if self._known is None or self._known[0] != total:
            blocks = self.source.blocks()
            self._known = (sum_of(blocks.values()), segments.ranges_of(blocks))
        return self._known[1]

    def _unchanged(self, of: Collection[Segment]) -> list[Segment]:
        """Those of these segments whose last event is still the one in the log.

        While a segment's last event is there, none of its ids has been given to another event: SQLite gives an id again
        only after every row from it on was deleted. So a deletion shows in the ids, and this tells what the ids cannot.
        """
        texts = self.source.texts([segment.last for segment in of])
        return [segment for segment in of if segment.last in texts and mark_of(texts[segment.last]) == segment.mark]

    def _made_meanwhile(self, of: Range, held: Tally) -> Segment | None:
        there = segments.listed(self.folder)
        return next(iter(self._unchanged([s for s in there if s.range == of and s.tally == held])), None)

    def _make(self, of: Range) -> Segment | None:
        """Write the segment of one range as the log is now, out of older segments where they still hold.

        None if the log holds nothing there any more.
        """
        there = segments.listed(self.folder)
        reusable = _disjoint(self._unchanged([segment for segment in there if segment.range.overlaps(of)]))
        for attempt in range(ATTEMPTS):
            pieces, table = self._gather(of, reusable if attempt == 0 else [], there)
            if table is None or not table.num_rows:
                return None
            ids = table.column(EVENT_ID).to_pylist()
            mark = self._mark(ids[-1], pieces)
            # Pieces were read one after the other: each must still be what it was when the last of them was read.
            if mark is not None and len(self._unchanged(pieces)) == len(pieces):
                made = Segment(of, tally(ids), ids[-1], mark)
                segments.write(_canonical(table), self.folder / made.name)
                log.debug("segment %s of %d events written", made.name, len(ids))
                return made
        raise LogRewritten(f"the event log is rewritten faster than it is read (ids {of.first} to {of.end}): try again")

    def _gather(
        self, of: Range, reusable: Sequence[Segment], there: dict[Segment, Path]
    ) -> "tuple[list[Segment], pa.Table | None]":
        """The rows of one range: kept ones out of segments, the missing ones out of the log; and what they came in."""
        ids = set(self.source.ids(of.first, of.end))
        pieces: list[Segment] = []
        tables = []
        for segment in reusable:
            table = _kept(there[segment], ids)
            if table is not None:
                tables.append(table)
                pieces.append(segment)
                ids.difference_update(table.column(EVENT_ID).to_pylist())
        # Where rows are kept, those between missing ones need not be read; where none are, a gap of ids costs nothing.
        for first, end in _stretches(sorted(ids), READ_IDS if pieces else None):
            events = [event for event in self.source.read(first, end) if event.event_id in ids]
            if events:
                tables.append(table_of(events))
                pieces.append(_piece(of, events))
        if not tables:
            return [], None
        import pyarrow as pa

        joined = pa.concat_tables(tables, promote_options="default")
        return pieces, joined.sort_by(EVENT_ID) if len(tables) > 1 else joined

    def _mark(self, last: int, pieces: Iterable[Segment]) -> str | None:
        """The mark of the last event of a range: the last of some piece, or inside a piece that goes on."""
        marks = {piece.last: piece.mark for piece in pieces}
        if last in marks:
            return marks[last]
        texts = self.source.texts([last])
        return mark_of(texts[last]) if last in texts else None


def _disjoint(of: Iterable[Segment]) -> list[Segment]:
    """Segments that do not overlap, those that hold most first."""
    chosen: list[Segment] = []
    for segment in sorted(of, key=lambda segment: segment.tally.size, reverse=True):
        if not any(segment.range.overlaps(other.range) for other in chosen):
            chosen.append(segment)
    return chosen


def _kept(file: Path, ids: set[int]) -> "pa.Table | None":
    """The rows of a segment whose ids are among these; None if it was removed meanwhile, or cannot be read."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except FileNotFoundError:
        return None
    except pa.ArrowInvalid as error:
        log.warning("segment %s of the index is damaged and made again: %s", file, error)
        return None
    held = table.column(EVENT_ID).to_pylist()
    if ids.issuperset(held):
        return table
    return table.filter(pc.is_in(table.column(EVENT_ID), pa.array(sorted(ids), pa.int64())))


def _canonical(table: "pa.Table") -> "pa.Table":
    """The same columns in the same order, whatever pieces the rows came in: equal names are equal files."""
    held = [name for name in table.column_names if name in EVENT_COLUMNS]
    more = [name for name in table.column_names if name not in held and table.column(name).null_count < len(table)]
    return table.select([*held, *sorted(more)])


def _stretches(ids: Sequence[int], gap: int | None) -> Iterable[tuple[int, int]]:
    """Ranges of ids to read at once that hold these ids. More than ``gap`` ids between two are left out, if given."""
    start = 0
    for position in range(1, len(ids) + 1):
        ends = position == len(ids) or position - start == READ_IDS
        if ends or (gap is not None and ids[position] - ids[position - 1] > gap):
            yield ids[start], ids[position - 1] + 1
            start = position


def _piece(of: Range, events: Sequence[StoredEvent]) -> Segment:
    return Segment(of, Tally(), events[-1].event_id, mark_of(events[-1].text))
