"""Code versions: what identifies the code of a run, and how that code is had again.

Configuration and data beside the code do not count: editing them makes no new code version.
"""

import functools
import importlib.metadata
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from partitions.errors import CodeVersionError
from partitions.values import Value, digest_of
from resources.archive import NOT_CODE, contents, link_live, packed_contents, tree_digest, unpack, walk
from resources.artifacts import Artifact
from resources.git import Blob, Repository
from resources.packages import Package, Surroundings

if TYPE_CHECKING:
    from partitions.reference import PipelineReference
    from resources.artifacts import ArtifactStore


class CodeVersion(Value):
    """What identifies the code of a run, and where that code is found.

    ``digest`` is over ``tree`` (the package's code files), ``framework`` (version) and ``lock`` (the nearest lock file,
    else the installed distributions). The code is ``commit`` plus ``patch`` if dirty, or ``archive``, or both.
    """

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    tree: str = Field(pattern=r"^[0-9a-f]{64}$")
    framework: str
    lock: str = Field(pattern=r"^[0-9a-f]{64}$")
    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    patch: Artifact | None = None
    archive: Artifact | None = None


class RecordedCode(Protocol):
    """What is kept of the code of a run: its digest, and the commit with a patch, or the archive, that make it again.

    ``patch`` and ``archive`` are addresses in the artifact store.
    """

    @property
    def digest(self) -> str: ...

    @property
    def commit(self) -> str | None: ...

    @property
    def patch(self) -> str | None: ...

    @property
    def archive(self) -> str | None: ...


@functools.cache
def framework_version() -> str:
    """The installed version of the framework; "unpackaged" where its source is imported without an installation."""
    try:
        return importlib.metadata.version("mlops-assets")
    except importlib.metadata.PackageNotFoundError:
        return "unpackaged"


def code_digest(tree: str, framework: str, lock: str) -> str:
    """What identifies code: the digests of its files and of the lock file, and the framework's version."""
    return digest_of({"tree": tree, "framework": framework, "lock": lock})


class CodeVersions:
    """The code versions of projects, in git or outside of it. Never changes a repository or its index."""

    def __init__(self, artifacts: "ArtifactStore", framework: str | None = None) -> None:
        self.artifacts = artifacts
        self.framework = framework if framework is not None else framework_version()

    def current(self, reference: "PipelineReference", not_code: tuple[str, ...] = NOT_CODE) -> CodeVersion:
        """The code as it lies in the working folder.

        In git, with the commit, and the patch against it where code differs; else with the archive of the code. Raises
        CodeVersionError where the package holds no code, or code that no version could hold (a repository of its own).
        """
        package = Package.of(reference, not_code)
        repository, code = _working_code(package)
        around = Surroundings(package, repository)
        plain = self._version(tree_digest(package.folder, code), around.lock_digest(None))
        if repository is None or repository.commit is None:
            settings = package.rules.config_file
            kept = [*code, settings] if settings and (package.folder / settings).is_file() else code
            archive = package.archive_of(package.folder, sorted(kept), around.inits(None))
            return plain.model_copy(update={"archive": self.artifacts.put(archive, ".zip")})
        update: dict[str, object] = {"commit": repository.commit, "branch": repository.branch}
        patch = _patch(around, repository, repository.commit, code)
        if patch:
            update |= {"dirty": True, "patch": self.artifacts.put(patch, ".patch")}
        return plain.model_copy(update=update)

    def tree(self, reference: "PipelineReference", not_code: tuple[str, ...] = NOT_CODE) -> str:
        """The digest of the code files as they lie in the working folder; stores nothing."""
        package = Package.of(reference, not_code)
        return tree_digest(package.folder, _working_code(package)[1])

    def at(self, reference: "PipelineReference", not_code: tuple[str, ...], revision: str) -> CodeVersion:
        """The code at a tag, branch or commit, with its archive.

        Raises CodeVersionError where the package is in no git repository, or git does not know the revision (the
        nearest tags and branches are offered), or the package is not in it.
        """
        package = Package.of(reference, not_code)
        repository = _repository(package, f"there is no revision {revision!r} of it")
        commit = repository.resolve(revision)
        around = Surroundings(package, repository)
        with _checked_out(around, repository, commit, None) as tree:
            digest, archive = _tree_and_archive(around, tree / repository.prefix, tree)
            if digest is None:
                raise CodeVersionError(
                    f"{revision} (commit {commit[:12]}) holds no package {package.name} in "
                    f"{repository.prefix or repository.top}; choose a revision that does"
                )
            plain = self._version(digest, around.lock_digest(tree))
        found = {"commit": commit, "branch": repository.branch_named(revision)}
        return plain.model_copy(update={**found, "archive": self.artifacts.put(archive, ".zip")})

    def rebuild(
        self, code_version: CodeVersion, reference: "PipelineReference", not_code: tuple[str, ...] = NOT_CODE
    ) -> Artifact:
        """The archive of a code version that was recorded: the one it has, else made of its commit and patch.

        Raises CodeVersionError where the commit is not in the repository any more, or what comes out is other code.
        """
        if code_version.archive is not None:
            return code_version.archive
        name = f"code version {code_version.digest[:12]}"
        package = Package.of(reference, not_code)
        repository = _repository_with(package, code_version.digest, code_version.commit)
        patch = self.artifacts.get(code_version.patch) if code_version.patch is not None else None
        around = Surroundings(package, repository)
        commit = str(code_version.commit)
        with _checked_out(around, repository, commit, patch) as tree:
            made, archive = _tree_and_archive(around, tree / repository.prefix, tree)
            if made != code_version.tree:
                raise CodeVersionError(
                    f"{name}: commit {commit[:12]}{' and patch' if patch else ''} make the code tree "
                    f"{(made or 'none')[:12]}, not {code_version.tree[:12]}; was not_code changed since?"
                )
        return self.artifacts.put(archive, ".zip")

    def files(
        self, code: RecordedCode, reference: "PipelineReference", not_code: tuple[str, ...] = NOT_CODE
    ) -> dict[str, bytes]:
        """The code files of a recorded code version, by their path in the package; line endings as Python reads them.

        Raises CodeVersionError where it has no archive and its commit is not in the repository (any more), and where
        the package lay elsewhere then.
        """
        package = Package.of(reference, not_code)
        if code.archive is not None:
            found = packed_contents(self.artifacts.get(code.archive), package.prefix, package.code_among)
        else:
            repository = _repository_with(package, code.digest, code.commit)
            patch = self.artifacts.get(code.patch) if code.patch is not None else None
            with _checked_out(Surroundings(package, repository), repository, str(code.commit), patch) as tree:
                folder = tree / repository.prefix
                found = contents(folder, package.code_among(list(walk(folder))))
        if not found:
            raise CodeVersionError(
                f"code version {code.digest[:12]} holds no code of package {package.name}: was the package moved since?"
            )
        return found

    def extract(
        self,
        archive: Artifact,
        into: Path,
        reference: "PipelineReference | None" = None,
        not_code: tuple[str, ...] = NOT_CODE,
    ) -> Path:
        """The folder, below ``into``, to put first on the module search path: one per archive, filled only once.

        With a reference, what the working package has beside its code and the archive lacks (data files that git
        ignores, say) is linked into it. Safe for processes that extract at the same time.
        """
        folder = into / archive.digest
        if not folder.is_dir():
            unpack(self.artifacts.get(archive), folder)
        if reference is not None:
            package = Package.of(reference, not_code)
            if package.rules.only is None:
                link_live(package.folder, folder / package.prefix, package.rules)
        return folder

    def changed_files(
        self, before: Path, after: Path, reference: "PipelineReference", not_code: tuple[str, ...] = NOT_CODE
    ) -> list[str]:
        """The code files that differ between two folders of module search paths: paths relative to the package."""
        package = Package.of(reference, not_code)
        found = []
        for folder in (before / package.prefix, after / package.prefix):
            code = [path for path in package.rules.parts(walk(folder)) if package.rules.is_code(path)]
            found.append({path: tree_digest(folder, [path]) for path in code})
        return sorted(path for path in {**found[0], **found[1]} if found[0].get(path) != found[1].get(path))

    def _version(self, tree: str, lock: str) -> CodeVersion:
        digest = code_digest(tree, self.framework, lock)
        return CodeVersion(digest=digest, tree=tree, framework=self.framework, lock=lock)


def _working_code(package: Package) -> tuple[Repository | None, list[str]]:
    """The code files of the working folder, and its repository where one keeps them."""
    repository = Repository.find(package.folder)
    code = package.code_among(repository.working_files()) if repository is not None else []
    if not code:
        # In no repository, or in one that ignores the package.
        repository, code = None, package.code_among(list(walk(package.folder)))
    if not code:
        raise CodeVersionError(f"package {package.name}: there are no code files in {package.folder}")
    return repository, code


def _repository(package: Package, otherwise: str) -> Repository:
    repository = Repository.find(package.folder)
    if repository is not None:
        return repository
    if shutil.which("git") is None:
        raise CodeVersionError(f"git is not installed, so {otherwise}: {package.folder}")
    raise CodeVersionError(f"{package.folder} is in no git repository, so {otherwise}; git init and commit it first")


def _repository_with(package: Package, digest: str, commit: str | None) -> Repository:
    """The package's repository, if it holds the commit of a recorded code version."""
    name = f"code version {digest[:12]}"
    if commit is None:
        raise CodeVersionError(f"{name} has neither a commit nor an archive, so its code cannot be had again")
    repository = _repository(package, f"{name} (commit {commit[:12]}) cannot be rebuilt")
    if not repository.has(f"{commit}^{{commit}}"):
        raise CodeVersionError(
            f"{name}: commit {commit} is not in {repository.top}; fetch it, or choose another version"
        )
    return repository


def _tree_and_archive(around: Surroundings, folder: Path, tree: Path) -> tuple[str | None, bytes]:
    """The digest of the package's code in a folder that was checked out (None where there is none), and its archive."""
    paths = around.package.rules.parts(walk(folder))
    code = [path for path in paths if around.package.rules.is_code(path)]
    archive = around.package.archive_of(folder, paths, around.inits(tree))
    return tree_digest(folder, code) if code else None, archive


def _patch(around: Surroundings, repository: Repository, commit: str, code: list[str]) -> bytes:
    """What makes the working folder's code of the commit's: code, lock file and packages around; empty where equal."""
    prefix = repository.prefix
    committed = _blobs(around, repository, commit, code_only=True)
    with repository.scratch() as scratch:
        before = scratch.load(committed)
        there = [path for path in around.files() if (repository.top / path).is_file()]
        after = scratch.take(sorted({*committed, *there, *(f"{prefix}{path}" for path in code)}))
        return scratch.difference(before, after) if before != after else b""


def _blobs(around: Surroundings, repository: Repository, commit: str, *, code_only: bool) -> dict[str, Blob]:
    """What a commit holds of the package and of what goes with it, by path from the top."""
    rules, prefix = around.package.rules, repository.prefix
    found = repository.files(commit, [f"{prefix}{rules.only}"]) if rules.only else repository.blobs(commit, prefix)
    for path, blob in found.items():
        if blob.is_submodule and rules.is_code(f"{path.removeprefix(prefix)}/"):
            raise CodeVersionError(f"{path} in commit {commit[:12]} is a submodule: code in it is in no code version")
    if code_only:
        code = around.package.code_among([path.removeprefix(prefix) for path in found])
        found = {f"{prefix}{path}": found[f"{prefix}{path}"] for path in code}
    wanted = around.files() if code_only else [*around.files(), *around.attribute_files()]
    found |= repository.files(commit, wanted)
    return {path: blob for path, blob in found.items() if not blob.is_submodule}


@contextmanager
def _checked_out(around: Surroundings, repository: Repository, commit: str, patch: bytes | None) -> Iterator[Path]:
    """A folder, for the time being, with the repository's top as a commit and a patch have it: our part of it."""
    blobs = _blobs(around, repository, commit, code_only=False)
    with repository.scratch() as scratch:
        scratch.load(blobs)
        if patch:
            scratch.apply(patch)
        yield scratch.check_out()
