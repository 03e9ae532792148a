"""Content-addressed artifacts, and named documents beside them, in a local folder or any store that fsspec knows."""

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from partitions.errors import ArtifactError
from partitions.values import Value
from resources.files import Files, LocalFiles, RemoteFiles
from resources.freed import freed_on

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

        A local file that was damaged is put right, and one that is there counts as new.
        Raises ArtifactError where the store cannot be written.
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
        """Whether the artifact is stored: locally with its digest checked, in a remote store by its size.

        One that is stored counts as new: `mlops gc` frees nothing that a process has asked for within a day.
        """
        return self.files.holds(artifact.uri, artifact.digest, artifact.bytes)

    def touch(self, artifact: Artifact) -> None:
        """Let an artifact count as new, where it is stored, because it is about to be used."""
        self.files.touch(artifact.uri)

    def freed(self, uri: str) -> str | None:
        """``freed by `mlops gc` on DATE; ...`` for an artifact that a collection freed; None for any other."""
        return freed_on(self.files, uri)

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
            freed = self.freed(path) if noun == "artifact" else None
            if freed is not None:
                raise ArtifactError(f"{noun} {path} was {freed}") from error
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
