"""Content-addressed artifacts, and named documents beside them, in a local folder or any store that fsspec knows."""

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydantic import Field, model_validator

from partitions.errors import ArtifactError
from partitions.values import Value

SUFFIX = re.compile(r"(\.[A-Za-z0-9]+)*")
URI = re.compile(r"sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})((?:\.[A-Za-z0-9]+)*)")
SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]*")
CREDENTIALS = re.compile(r"//[^/@]*@")


class Artifact(Value):
    """What a store holds under a digest. ``uri`` is relative to the store: ``sha256/ab/abcdef....parquet``."""

    uri: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> "Artifact":
        address = URI.fullmatch(self.uri)
        if address is None or address.group(2) != self.digest:
            raise ValueError(f"the address {self.uri!r} does not belong to the digest {self.digest}")
        return self


class Files(Protocol):
    """Where a store keeps its bytes, by path relative to its root."""

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file as a whole: a reader sees the old bytes or the new ones, never a part."""

    def read(self, path: str) -> bytes:
        """All bytes; FileNotFoundError where there is no such file."""
        ...

    def holds(self, path: str, data_digest: str, size: int) -> bool:
        """Whether the file is there and, as far as can be told without a transfer, undamaged."""
        ...

    def find(self, prefix: str) -> list[str]:
        """The paths of all files below the folder ``prefix``, sorted; none where there is no such folder."""
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
        return (self.root / path).read_bytes()

    def holds(self, path: str, data_digest: str, size: int) -> bool:
        try:
            with open(self.root / path, "rb") as stream:
                if os.fstat(stream.fileno()).st_size != size:
                    return False
                return hashlib.file_digest(stream, "sha256").hexdigest() == data_digest
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False

    def find(self, prefix: str) -> list[str]:
        found = []
        for folder, _, names in os.walk(self.root / prefix):
            relative = Path(folder).relative_to(self.root)
            found += [(relative / name).as_posix() for name in names if not name.startswith(".")]
        return sorted(found)


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
            return bool(self.system.size(self._full(path)) == size)
        except FileNotFoundError:
            return False

    def find(self, prefix: str) -> list[str]:
        # fsspec keeps listings, and another process may have written since.
        self.system.invalidate_cache()
        start = len(self._full("").lstrip("/"))
        paths = [str(path).lstrip("/")[start:] for path in self.system.find(self._full(prefix))]
        return sorted(path for path in paths if not path.rsplit("/", 1)[-1].startswith("."))


@dataclass(frozen=True)
class ArtifactStore:
    """Artifacts and documents under one root: a local folder, or a URL such as ``s3://bucket/folder``.

    An artifact is immutable and addressed by the sha256 of its bytes: equal bytes are stored once, and every read
    checks them. A document has a name and can be replaced; it is for small texts that have to be found again. The
    store can be pickled; what is in ``memory://`` stays in its process.
    """

    url: str

    def __post_init__(self) -> None:
        if not self.url:
            raise ArtifactError("the artifact store needs a folder or a URL; MLOPS_ARTIFACTS may not be empty")
        if "://" not in self.url and "::" not in self.url:
            object.__setattr__(self, "url", os.path.abspath(os.path.expanduser(self.url)))

    @cached_property
    def files(self) -> Files:
        """The file access of this store, opened at first use."""
        if os.path.isabs(self.url):
            return LocalFiles(Path(self.url))
        import fsspec

        try:
            system, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ArtifactError(f"the artifact store {self.place} cannot be opened: {_one_line(error)}") from error
        return LocalFiles(Path(root)) if "file" in _protocols(system) else RemoteFiles(system, root)

    @property
    def place(self) -> str:
        """The URL as it may be shown: without user name and password."""
        return CREDENTIALS.sub("//", self.url)

    def put(self, data: bytes, suffix: str = "") -> Artifact:
        """Store ``data`` unless it is there already; ``suffix`` such as ``.parquet`` tells people what it is.

        A local file that was damaged is put right. Raises ArtifactError where the store cannot be written.
        """
        if SUFFIX.fullmatch(suffix) is None:
            raise ValueError(f"a suffix looks like .parquet, not {suffix!r}")
        digest = hashlib.sha256(data).hexdigest()
        artifact = Artifact(uri=f"sha256/{digest[:2]}/{digest}{suffix}", digest=digest, bytes=len(data))
        if not self.has(artifact):
            self._write(artifact.uri, data)
        return artifact

    def get(self, artifact: Artifact | str) -> bytes:
        """The bytes of an artifact or uri, checked against the digest; ArtifactError if missing or damaged."""
        uri = artifact if isinstance(artifact, str) else artifact.uri
        address = URI.fullmatch(uri)
        if address is None:
            raise ArtifactError(f"{uri!r} is no artifact address; one looks like sha256/ab/ab12....parquet")
        data = self._read(uri, "artifact")
        found = hashlib.sha256(data).hexdigest()
        if found != address.group(2):
            raise ArtifactError(
                f"artifact {uri} in {self.place} is damaged: expected sha256 {address.group(2)}, "
                f"found {found} ({len(data)} bytes); restore the file from a backup"
            )
        return data

    def has(self, artifact: Artifact) -> bool:
        """Whether the artifact is stored: locally with its digest checked, in a remote store by its size."""
        return self.files.holds(artifact.uri, artifact.digest, artifact.bytes)

    def write_document(self, path: str, text: str) -> None:
        """Create or replace a document as a whole. ``path`` is relative, such as ``runs/0199.../record.json``."""
        self._write(_document(path), text.encode())

    def read_document(self, path: str) -> str:
        """The text of a document; ArtifactError where there is none."""
        return self._read(_document(path), "document").decode()

    def has_document(self, path: str) -> bool:
        """Whether there is a document of that name."""
        try:
            self.files.read(_document(path))
        except FileNotFoundError:
            return False
        return True

    def list_documents(self, prefix: str) -> list[str]:
        """The paths of all documents below the folder ``prefix``, sorted."""
        return self.files.find(_document(prefix.rstrip("/")))

    # Behind fsspec every kind of store raises errors of its own library.
    def _write(self, path: str, data: bytes) -> None:
        try:
            self.files.write(path, data)
        except Exception as error:
            raise ArtifactError(f"{path} cannot be written to {self.place}: {_one_line(error)}") from error

    def _read(self, path: str, noun: str) -> bytes:
        try:
            return self.files.read(path)
        except FileNotFoundError as error:
            raise ArtifactError(f"{noun} {path} is missing in {self.place}: restore it, or run again") from error
        except Exception as error:
            raise ArtifactError(f"{noun} {path} cannot be read from {self.place}: {_one_line(error)}") from error


def _document(path: str) -> str:
    segments = path.split("/")
    if segments[0] == "sha256" or not all(SEGMENT.fullmatch(segment) for segment in segments):
        raise ArtifactError(
            f"{path!r} is no document path: use relative/parts/of letters, digits and ._=+-, not below sha256"
        )
    return path


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
