"""A package's tree of files: which of them are code, their digest, and the archive that holds them.

The digest depends on paths and contents alone: not on times, permissions, or whether git knows the files.
"""

import hashlib
import io
import os
import re
import shutil
import stat
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from partitions.errors import ArtifactError, CodeVersionError
from partitions.values import digest_of

NOT_CODE = ("*.yaml", "*.yml", "*.toml", "*.md", "*.ipynb", "data/**")
"""What is configuration, prose or data, where a project does not say otherwise."""

LEFT_OUT = re.compile(r"(.*/)?(\.[^/]*|__pycache__|[^/]*\.egg-info)(/.*)?|.*\.py[co]", re.DOTALL)
"""Hidden files and what Python makes by itself: never part of a package's tree."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The one time that every file in an archive carries: the earliest that zip can write."""


def pattern_expression(pattern: str) -> str:
    """The regular expression of a pattern, written as in a .gitignore.

    Without a slash it matches at any depth, with one from the package's folder on; ``**`` crosses folders; what lies in
    a folder that matches, matches too.
    """
    text = pattern.rstrip("/")
    anchored = "/" in text
    expression = "" if anchored else "(?:.*/)?"
    for part in re.findall(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[^\]]+\]|.", text.lstrip("/"), re.DOTALL):
        if part == "**/":
            expression += "(?:.*/)?"
        elif part == "/**":
            expression += "/.*"
        elif part == "**":
            expression += ".*"
        elif part == "*":
            expression += "[^/]*"
        elif part == "?":
            expression += "[^/]"
        elif len(part) > 1:
            expression += "[" + re.sub(r"^!", "^", part[1:-1]).replace("\\", r"\\") + "]"
        else:
            expression += re.escape(part)
    return expression + "(?:/.*)?"


@dataclass(frozen=True)
class CodeRules:
    """Which files of a package are code. Paths are relative to the package's folder, with forward slashes.

    ``config_file`` holds the project's declarations, ``not_code`` are the project's patterns, and a package that is one
    module has that file as ``only``.
    """

    config_file: str | None
    not_code: tuple[str, ...] = NOT_CODE
    only: str | None = None

    @cached_property
    def _not_code(self) -> "re.Pattern[str]":
        return re.compile("|".join(map(pattern_expression, self.not_code)) or r"(?!)", re.DOTALL)

    def is_part(self, path: str) -> bool:
        """Whether the file belongs to the package at all, be it code, configuration or data."""
        return path == self.only if self.only is not None else LEFT_OUT.fullmatch(path) is None

    def is_code(self, path: str) -> bool:
        """Whether an edit of the file makes another code version."""
        if not self.is_part(path):
            return False
        return path == self.only or (path != self.config_file and self._not_code.fullmatch(path) is None)

    def is_beside_code(self, path: str) -> bool:
        """Whether the file belongs to the package without being code or the project's declarations."""
        return self.is_part(path) and not self.is_code(path) and path != self.config_file

    def parts(self, paths: Iterable[str]) -> list[str]:
        """The files that belong to the package, sorted. A virtual environment in the package's folder does not."""
        listed = set(paths)
        environments = {path.removesuffix("pyvenv.cfg") for path in listed if PurePosixPath(path).name == "pyvenv.cfg"}
        inside = tuple(folder for folder in environments if folder)
        return sorted(path for path in listed if self.is_part(path) and not path.startswith(inside))


def walk(folder: Path) -> Iterator[str]:
    """The path of every file and link below a folder, hidden folders and caches left out."""
    for parent, folders, files in os.walk(folder):
        beneath = PurePosixPath(Path(parent).relative_to(folder).as_posix())
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and LEFT_OUT.fullmatch(name) is None]
        yield from (str(beneath / name) for name in (*files, *links))


def tree_digest(folder: Path, paths: Iterable[str]) -> str:
    """64 hexadecimal characters over the paths and contents of these files; permissions and times do not count.

    Python reads both kinds of line ending alike and git may check out either: they do not count in Python files.
    """
    return digest_of([[path, *_content(folder, path)] for path in sorted(paths)])


def _content(folder: Path, path: str) -> tuple[str, str]:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise CodeVersionError(f"{folder}: the file name {path!r} is not UTF-8; rename it") from None
    file = folder / path
    if file.is_symlink():
        return "link", _link_target(folder, path)
    if file.is_dir():
        raise CodeVersionError(
            f"{file} is a git repository of its own: code in it is in no code version;"
            " make its files part of the package, or name the folder in not_code"
        )
    return "file", hashlib.sha256(_levelled(path, file.read_bytes())).hexdigest()


def _levelled(path: str, data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n") if path.endswith(".py") else data


def contents(folder: Path, paths: Iterable[str]) -> dict[str, bytes]:
    """What each of these files holds, as it counts for ``tree_digest``; of a link, where it leads."""
    found = {}
    for path in paths:
        file = folder / path
        found[path] = os.fsencode(os.readlink(file)) if file.is_symlink() else _levelled(path, file.read_bytes())
    return found


def packed_contents(data: bytes, prefix: str, choose: Callable[[list[str]], list[str]]) -> dict[str, bytes]:
    """``contents`` of an archive: what it holds below ``prefix`` and ``choose`` keeps, by the path from there on."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [name.removeprefix(prefix) for name in archive.namelist() if name.startswith(prefix)]
            return {path: _levelled(path, archive.read(f"{prefix}{path}")) for path in choose(inside)}
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"a code archive cannot be read: {error}") from error


def _link_target(folder: Path, path: str) -> str:
    target = os.readlink(folder / path)
    reached = PurePosixPath(os.path.normpath(PurePosixPath(path).parent / target))
    if reached.is_absolute() or ".." in reached.parts:
        raise CodeVersionError(
            f"{folder / path} is a link to {target}, outside the package: code there is in no code version;"
            " move it into the package, or name the link in not_code"
        )
    return target


def pack(files: Mapping[str, Path]) -> bytes:
    """The archive of these files, by their name in it: the same names and contents give the same bytes.

    Nothing is compressed: what a compressor makes differs between its builds, and equal trees shall have equal digests.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3
            link = file.is_symlink()
            entry.external_attr = (stat.S_IFLNK | 0o777 if link else stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, os.fsencode(os.readlink(file)) if link else file.read_bytes())
    return buffer.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Fill ``folder``, which appears at once and complete, or not at all; of several processes, the first one wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                _unpack_entry(unfinished, entry, archive.read(entry))
        unfinished.mkdir(exist_ok=True)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"the code archive for {folder} cannot be read: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unpack_entry(folder: Path, entry: zipfile.ZipInfo, content: bytes) -> None:
    link = stat.S_ISLNK(entry.external_attr >> 16)
    reached = os.path.normpath(PurePosixPath(entry.filename).parent / os.fsdecode(content)) if link else entry.filename
    for path in map(PurePosixPath, (entry.filename, reached)):
        if path.is_absolute() or ".." in path.parts:
            raise ArtifactError(f"the code archive holds {entry.filename!r}, which leads out of its folder")
    file = folder / entry.filename
    file.parent.mkdir(parents=True, exist_ok=True)
    if link:
        file.symlink_to(os.fsdecode(content))
        return
    file.write_bytes(content)
    # An extracted code version is shared by many runs: nobody should edit it in passing.
    file.chmod(0o444)


def link_live(working: Path, extracted: Path, rules: CodeRules, beneath: str = "") -> None:
    """Link what the working package has beside its code and the extracted one lacks: data files, above all.

    What is not code is the same for every code version, so code that reads its own package's data folder finds it.
    """
    for entry in sorted((working / beneath).iterdir()):
        path = beneath + entry.name
        link = extracted / path
        beside = rules.is_beside_code(path)
        if entry.is_dir() and not entry.is_symlink():
            if not rules.is_part(path) or (entry / "pyvenv.cfg").exists():
                continue
            beside = rules.is_beside_code(f"{path}/any")
            if link.is_dir() or not beside:
                link_live(working, extracted, rules, f"{path}/")
                continue
        if beside and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            unfinished = link.with_name(f".{uuid.uuid4().hex}")
            unfinished.symlink_to(entry)
            unfinished.replace(link)
