"""Where a project's package lies, on disk, in a repository and in an archive, and what goes with it from around it."""

import functools
import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from partitions.errors import CodeVersionError
from partitions.values import digest_of
from resources.archive import CodeRules, pack

if TYPE_CHECKING:
    from partitions.reference import PipelineReference
    from resources.git import Repository

LOCK = "requirements.lock"


@functools.cache
def installed_digest() -> str:
    """The digest of the names and versions of all installed distributions."""
    found = {(item.metadata["Name"], item.version) for item in importlib.metadata.distributions()}
    return digest_of(sorted(f"{name}=={version}" for name, version in found if name))


@dataclass(frozen=True)
class Package:
    """A project's package on disk. ``folder`` is the package's, or the one that holds its only module.

    ``prefix`` is where that folder's files lie in an archive; ``parents`` are the packages around it, as (name in an
    archive, levels above ``folder``).
    """

    name: str
    root: Path
    folder: Path
    prefix: str
    parents: tuple[tuple[str, int], ...]
    rules: CodeRules

    @classmethod
    def of(cls, reference: "PipelineReference", not_code: tuple[str, ...]) -> "Package":
        root, directory = Path(reference.root), PurePosixPath(reference.directory)
        place = root / directory
        if not place.exists():
            raise CodeVersionError(f"package {reference.package}: {place} does not exist")
        single = directory.name if place.is_file() else None
        inner = directory.parent if single else directory
        names = inner.parts
        around = names if single else names[:-1]
        parents = [("/".join((*names[: at + 1], "__init__.py")), len(names) - 1 - at) for at in range(len(around))]
        return cls(
            name=reference.package,
            root=root,
            folder=(root / inner).resolve(),
            prefix="".join(f"{name}/" for name in names),
            parents=tuple(parents),
            rules=CodeRules(config_file=reference.config_file, not_code=not_code, only=single),
        )

    def code_among(self, paths: list[str]) -> list[str]:
        return [path for path in self.rules.parts(paths) if self.rules.is_code(path)]

    def archive_of(self, files: Path, paths: list[str], around: dict[str, Path]) -> bytes:
        """The archive of these paths below ``files``, and of the packages' files around them by their archive names."""
        return pack({f"{self.prefix}{path}": files / path for path in paths} | around)


@dataclass(frozen=True)
class Surroundings:
    """The files outside a package's folder that go with it, by levels above that folder, in a repository or not."""

    package: Package
    repository: "Repository | None"

    def path(self, level: int, name: str) -> str | None:
        """The path from the repository's top; None above it."""
        above = PurePosixPath(self.repository.prefix).parts if self.repository else ()
        if self.repository is None or level > len(above):
            return None
        return "/".join((*above[: len(above) - level], name))

    def disk(self, level: int, name: str) -> Path:
        return [self.package.folder, *self.package.folder.parents][level] / name

    def files(self) -> list[str]:
        """Paths from the top of all that may matter: lock files and the packages around ours."""
        levels = [(level, LOCK) for level in range(len(self.package.folder.parents) + 1)]
        levels += [(level, "__init__.py") for _, level in self.package.parents]
        return [path for level, name in levels if (path := self.path(level, name)) is not None]

    def attribute_files(self) -> list[str]:
        """Paths from the top of the files that tell git how to check out the package."""
        levels = range(len(self.package.folder.parents) + 1)
        return [path for level in levels if (path := self.path(level, ".gitattributes")) is not None]

    def lock_digest(self, tree: Path | None) -> str:
        """Of the nearest lock file at or above the package: in ``tree`` what the repository holds, above it on disk."""
        for level in range(len(self.package.folder.parents) + 1):
            path = self.path(level, LOCK)
            file = tree / path if tree is not None and path is not None else self.disk(level, LOCK)
            if file.is_file():
                return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        return installed_digest()

    def inits(self, tree: Path | None) -> dict[str, Path]:
        """The ``__init__.py`` of the packages around ours that have one, by their name in an archive."""
        found = {}
        for name, level in self.package.parents:
            path = self.path(level, "__init__.py")
            found[name] = tree / path if tree is not None and path is not None else self.disk(level, "__init__.py")
        return {name: file for name, file in found.items() if file.is_file()}
