"""Where a store keeps its bytes: a folder of this machine, or any file system that fsspec knows."""

import contextlib
import errno
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol

from partitions.errors import ArtifactError

ASIDE = ".freeing"
# What file systems behind fsspec call the time of the last change.
TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")
# A remote file is made young again by writing it again: not at every look, as that is a transfer.
WRITTEN_AGAIN_AFTER = 6 * 3600.0


class StoredFile(NamedTuple):
    """A file in a store. ``modified``: seconds since 1970.

    leftover: put "aside" to be freed, or a "draft", by a process that was killed; ``path`` is the name it stands for.
    """

    path: str
    bytes: int
    modified: float
    leftover: Literal["aside", "draft"] | None = None


class Files(Protocol):
    """Where a store keeps its bytes, by path relative to its root.

    Together they promise: a file that ``holds`` or ``touch`` said is there, or that was written, is not freed by who
    frees what was last changed before that (in a remote store see ``RemoteFiles.free``).
    """

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file as a whole: a reader sees the old bytes or the new ones, never a part."""

    def read(self, path: str) -> bytes:
        """All bytes; FileNotFoundError where there is no such file."""
        ...

    def holds(self, path: str, data_digest: str, size: int) -> bool:
        """Whether the file is there and, as far as can be told without a transfer, undamaged; touches it."""
        ...

    def touch(self, path: str) -> bool:
        """Make the file count as changed now; False if it is not there, or belongs to someone else."""
        ...

    def find(self, prefix: str) -> list[str]:
        """The paths of all files below the folder ``prefix``, sorted; none where there is no such folder."""
        ...

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        """All files below the folder ``prefix`` with their sizes and ages, leftovers of killed processes among them.

        Raises ArtifactError where the store does not tell when a file was changed.
        """
        ...

    def free(self, path: str, before: float) -> bool:
        """Delete a file that was last changed before that time; False if it was not, or is not there."""
        ...

    def recover(self, path: str, before: float, needed: bool) -> bool:
        """Undo or finish what a process killed while it freed or wrote ``path`` has left; True if it was deleted."""
        ...


@dataclass(frozen=True)
class LocalFiles:
    """A folder of this machine. A write is a rename, so it survives a killed process whole or not at all."""

    root: Path

    def write(self, path: str, data: bytes) -> None:
        target = os.path.join(self.root, path)
        folder, name = os.path.split(target)
        draft = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")
        try:
            # The folder is nearly always there: to try costs less than to look, four times a run.
            file = _opened_new(draft, folder)
            with file:
                file.write(data)
            os.replace(draft, target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def read(self, path: str) -> bytes:
        target = self.root / path
        # Who frees puts a file aside while it looks at its age again, and back if it is wanted.
        for place in (target, _aside(target)):
            with contextlib.suppress(FileNotFoundError):
                return place.read_bytes()
        return target.read_bytes()

    def holds(self, path: str, data_digest: str, size: int) -> bool:
        target = self.root / path
        try:
            with open(target, "rb") as stream:
                if os.fstat(stream.fileno()).st_size != size:
                    return False
                if hashlib.file_digest(stream, "sha256").hexdigest() != data_digest:
                    return False
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False
        return self.touch(path)

    def touch(self, path: str) -> bool:
        target = self.root / path
        try:
            os.utime(target)
            # Put aside before it was touched, it is not there now. Put aside after this, it is seen to be young.
            os.stat(target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES, errno.EROFS):
                raise
            return False
        return True

    def find(self, prefix: str) -> list[str]:
        found = []
        for folder, _, names in os.walk(self.root / prefix):
            relative = Path(folder).relative_to(self.root)
            found += [(relative / name).as_posix() for name in names if not name.startswith(".")]
        return sorted(found)

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        for folder, _, names in os.walk(self.root / prefix):
            relative = Path(folder).relative_to(self.root)
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(os.path.join(folder, name))
                    stands_for, leftover = _leftover(name)
                    yield StoredFile((relative / stands_for).as_posix(), status.st_size, status.st_mtime, leftover)

    def free(self, path: str, before: float) -> bool:
        target = self.root / path
        aside = _aside(target)
        try:
            if os.stat(target).st_mtime >= before:
                return False
            os.rename(target, aside)
        except FileNotFoundError:
            return False
        return self._finish(target, aside, before)

    def recover(self, path: str, before: float, needed: bool) -> bool:
        target = self.root / path
        aside = _aside(target)
        freed = False
        if aside.exists():
            freed = self._finish(target, aside, float("-inf") if needed else before)
        for draft in target.parent.glob(f".{target.name}.*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(draft).st_mtime < before:
                    draft.unlink()
                    freed = True
        return freed

    def _finish(self, target: Path, aside: Path, before: float) -> bool:
        """Nobody reaches a file put aside to touch it: what was touched before that is put back, the rest deleted."""
        try:
            if os.stat(aside).st_mtime >= before:
                # A link fails where a rename would replace: the same content, written meanwhile, stays.
                with contextlib.suppress(FileExistsError):
                    os.link(aside, target)
                aside.unlink()
                return False
            aside.unlink()
        except FileNotFoundError:
            return False  # another process that frees was here, and finished it
        return not target.exists()


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}{ASIDE}")


def _leftover(name: str) -> tuple[str, Literal["aside", "draft"] | None]:
    """The name of the file that a leftover was or would have become, and what it is."""
    if not name.startswith("."):
        return name, None
    if name.endswith(ASIDE):
        return name[1:].removesuffix(ASIDE), "aside"
    return name[1:].removesuffix(".tmp").rsplit(".", 1)[0], "draft"


def _opened_new(file: str, folder: str) -> BinaryIO:
    try:
        return open(file, "xb")
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        return open(file, "xb")


@dataclass(frozen=True)
class RemoteFiles:
    """A store behind fsspec. One write is one upload, which object stores show as a whole or not at all."""

    system: Any
    root: str

    def _full(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def write(self, path: str, data: bytes) -> None:
        full = self._full(path)
        self.system.makedirs(full.rsplit("/", 1)[0], exist_ok=True)
        self.system.pipe_file(full, data)

    def read(self, path: str) -> bytes:
        return bytes(self.system.cat_file(self._full(path)))

    def holds(self, path: str, data_digest: str, size: int) -> bool:
        self.system.invalidate_cache()
        try:
            if self.system.size(self._full(path)) != size:
                return False
        except FileNotFoundError:
            return False
        return self.touch(path)

    def touch(self, path: str) -> bool:
        try:
            modified = _modified(self.system.info(self._full(path)))
            # Where the store tells no age, nothing is ever freed.
            if modified is not None and time.time() - modified > WRITTEN_AGAIN_AFTER:
                self.write(path, self.read(path))
        except FileNotFoundError:
            return False
        return True

    def find(self, prefix: str) -> list[str]:
        # fsspec keeps listings, and another process may have written since.
        self.system.invalidate_cache()
        paths = [self._relative(path) for path in self.system.find(self._full(prefix))]
        return sorted(path for path in paths if not path.rsplit("/", 1)[-1].startswith("."))

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        self.system.invalidate_cache()
        for full, info in self.system.find(self._full(prefix), detail=True).items():
            modified = _modified(info)
            if modified is None:
                raise ArtifactError(
                    f"{type(self.system).__name__} does not tell when {full} was last changed, so it cannot be told "
                    "what is in use: free nothing there, or use a store that does"
                )
            yield StoredFile(self._relative(full), int(info["size"]), modified)

    def free(self, path: str, before: float) -> bool:
        """Looks again just before it deletes; in the time of one request, a file made young again may be lost."""
        self.system.invalidate_cache()
        full = self._full(path)
        try:
            modified = _modified(self.system.info(full))
            if modified is None or modified >= before:
                return False
            self.system.rm_file(full)
        except FileNotFoundError:
            return False
        return True

    def recover(self, path: str, before: float, needed: bool) -> bool:
        return False  # nothing is put aside, and an upload that was cut off leaves no file

    def _relative(self, full: Any) -> str:
        return str(full).lstrip("/")[len(self._full("").lstrip("/")) :]


def _modified(info: dict[str, Any]) -> float | None:
    """When a file was last changed, as seconds since 1970, from what fsspec tells of it."""
    for name in TIMES:
        value = info.get(name)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None
