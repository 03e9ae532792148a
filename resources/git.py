"""What is asked of git: which files it knows, what a revision holds, and the difference to the working folder.

Nothing here changes the repository: a scratch index and a scratch object folder take all that git wants to write.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from partitions.errors import CodeVersionError, nearest

# Whoever imports code from a folder trusts it already, whoever owns it; hooks and monitors have no business here.
SETTINGS = (
    "safe.directory=*",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.fileMode=false",
    "core.safecrlf=false",
    "apply.ignoreWhitespace=no",
)


def run_git(arguments: Iterable[str], *, cwd: Path, stdin: bytes = b"", **environment: str) -> bytes:
    """What git prints. Raises CodeVersionError with git's own words, FileNotFoundError where git is not installed."""
    options = [part for setting in SETTINGS for part in ("-c", setting)]
    # Called from a git hook, GIT_DIR and its like would point at another repository or at the user's index.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1"}
    done = subprocess.run(
        ["git", *options, *arguments], cwd=cwd, input=stdin, capture_output=True, env=clean | environment, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise CodeVersionError(f"git in {cwd}: {lines[0]}")
    return done.stdout


def _paths(output: bytes) -> list[str]:
    return [os.fsdecode(path) for path in output.split(b"\0") if path]


@dataclass(frozen=True)
class Blob:
    """A file, link or submodule as a commit holds it."""

    mode: str
    oid: str

    @property
    def is_submodule(self) -> bool:
        return self.mode == "160000"


@dataclass(frozen=True)
class Commit:
    """One commit; ``when`` is the committer's time, in ISO 8601."""

    commit: str
    when: str
    author: str
    subject: str


@dataclass(frozen=True)
class Repository:
    """The git repository a folder lies in. ``prefix`` is the folder from ``top`` on: "" or "projects/x/"."""

    folder: Path
    top: Path
    git_dir: Path
    objects: Path
    prefix: str
    commit: str | None
    branch: str | None

    @classmethod
    def find(cls, folder: Path) -> "Repository | None":
        """None where the folder lies in no repository, or where git is not installed.

        ``commit`` is None before the first commit, ``branch`` on a detached head.
        """
        asked = ("--show-toplevel", "--absolute-git-dir", "--git-path", "objects", "--show-prefix")
        try:
            answer = os.fsdecode(run_git(["rev-parse", *asked], cwd=folder))
        except FileNotFoundError:
            return None
        except CodeVersionError as error:
            if "not a git repository" in str(error) or "must be run in a work tree" in str(error):
                return None
            raise
        top, git_dir, objects, prefix = answer.split("\n")[:4]
        try:
            commit = run_git(["rev-parse", "--verify", "--quiet", "HEAD"], cwd=folder).decode().strip()
        except CodeVersionError:
            commit = None
        try:
            branch = os.fsdecode(run_git(["symbolic-ref", "--quiet", "--short", "HEAD"], cwd=folder)).strip()
        except CodeVersionError:
            branch = None
        return cls(folder, Path(top), Path(git_dir), folder / objects, prefix, commit, branch)

    def working_files(self) -> list[str]:
        """The files of the folder, relative to it: tracked ones that are there, and untracked ones; none if git ignores
        the folder. A repository within the repository is listed as one path, its folder with a slash.

        What git ignores is left out, but not a single ignored Python file: Python would import it all the same.
        """
        listed = _paths(run_git(["ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.folder))
        status = ["status", "--porcelain=v1", "-z", "--ignored=matching", "--untracked-files=all", "--no-renames"]
        lines = _paths(run_git([*status, "--ignore-submodules=all", "--", "."], cwd=self.folder))
        ignored = [line[3:] for line in lines if line.startswith("!! ") and line.endswith(".py")]
        listed += [path.removeprefix(self.prefix) for path in ignored]
        return sorted({self._as_listed(path) for path in listed if os.path.lexists(self.folder / path)})

    def _as_listed(self, path: str) -> str:
        place = self.folder / path
        return f"{path.rstrip('/')}/" if place.is_dir() and not place.is_symlink() else path

    def resolve(self, revision: str) -> str:
        """The commit that a tag, branch or (short) commit names; CodeVersionError offers the nearest names."""
        try:
            if revision.startswith("-"):
                raise CodeVersionError("an option is no revision")
            answer = run_git(["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], cwd=self.folder)
        except CodeVersionError:
            names = ["for-each-ref", "--format=%(refname:short)", "refs/tags", "refs/heads", "refs/remotes"]
            known = os.fsdecode(run_git(names, cwd=self.folder)).split()
            raise CodeVersionError(f"{nearest(revision, known, noun='revision')} (in {self.top})") from None
        return answer.decode().strip()

    def apart(self, first: str, second: str) -> tuple[list[Commit], list[Commit]]:
        """The commits that touch this folder and are in the history of only the first, and of only the second commit.

        Newest first. Raises CodeVersionError where one of the two is not in the repository.
        """
        form = "--format=tformat:%m%x1f%H%x1f%cI%x1f%an%x1f%s"
        options = ["--left-right", "--no-show-signature", "--no-color", "--no-decorate", "--no-patch", "-z", form]
        log = run_git(["log", *options, f"{first}...{second}", "--", "."], cwd=self.folder)
        sides: dict[str, list[Commit]] = {"<": [], ">": []}
        for line in log.decode(errors="replace").split("\0"):
            if line:
                side, commit, when, author, subject = line.split("\x1f", 4)
                sides[side].append(Commit(commit, when, author, subject))
        return sides["<"], sides[">"]

    def branch_named(self, revision: str) -> str | None:
        """The revision itself where it is the name of a local branch."""
        name = os.fsdecode(run_git(["rev-parse", "--symbolic-full-name", revision], cwd=self.folder)).strip()
        return name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None

    def blobs(self, commit: str, folder: str = "") -> dict[str, Blob]:
        """The files of a commit below a folder ("" or "projects/x/"), by their path from the top.

        Permissions are levelled: a tree that differs in nothing else is the same code.
        """
        tree = f"{commit}:{folder.rstrip('/')}"
        if folder and not self.has(tree):
            return {}
        listed = self._entries(["-r", tree])
        return {folder + path: blob for path, blob in listed.items()}

    def files(self, commit: str, paths: Iterable[str]) -> dict[str, Blob]:
        """Those of these paths, from the top, that are files of a commit."""
        wanted = list(paths)
        return self._entries([commit, "--", *wanted]) if wanted else {}

    def _entries(self, arguments: list[str]) -> dict[str, Blob]:
        found = {}
        for line in _paths(run_git(["ls-tree", "-z", *arguments], cwd=self.top)):
            about, path = line.split("\t", 1)
            mode, kind, oid = about.split()
            if kind != "tree":
                found[path] = Blob("100644" if mode == "100755" else mode, oid)
        return found

    def has(self, name: str) -> bool:
        """Whether git has an object of that name ("commit:folder")."""
        try:
            run_git(["cat-file", "-e", name], cwd=self.top)
        except CodeVersionError:
            return False
        return True

    @contextmanager
    def scratch(self) -> Iterator["Scratch"]:
        with tempfile.TemporaryDirectory(prefix="mlops-git-") as name:
            yield Scratch(self, Path(name))


@dataclass(frozen=True)
class Scratch:
    """An index and an object folder of our own on top of the repository's objects. Paths are from the top."""

    repository: Repository
    folder: Path

    def _git(self, *arguments: str, stdin: bytes = b"", work_tree: Path | None = None) -> bytes:
        objects = self.folder / "objects"
        objects.mkdir(exist_ok=True)
        where = work_tree or self.repository.top
        return run_git(
            arguments,
            cwd=where,
            stdin=stdin,
            GIT_DIR=str(self.repository.git_dir),
            GIT_WORK_TREE=str(where),
            GIT_INDEX_FILE=str(self.folder / "index"),
            GIT_OBJECT_DIRECTORY=str(objects),
            GIT_ALTERNATE_OBJECT_DIRECTORIES=str(self.repository.objects),
        )

    def load(self, blobs: dict[str, Blob]) -> str:
        """Put files of a commit into the index; the name of the tree they make."""
        lines = [os.fsencode(f"{blob.mode} {blob.oid}\t{path}") for path, blob in blobs.items()]
        self._git("update-index", "-z", "--add", "--index-info", stdin=b"".join(line + b"\0" for line in lines))
        return self._tree()

    def take(self, paths: Iterable[str]) -> str:
        """Bring these paths to what the working folder holds, added, changed or gone; the name of the tree."""
        lines = b"".join(os.fsencode(path) + b"\0" for path in paths)
        self._git("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=lines)
        return self._tree()

    def difference(self, before: str, after: str) -> bytes:
        """The patch, binary files included, that makes one tree of the other."""
        form = ("--binary", "--full-index", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv")
        prefixes = ("--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--diff-algorithm=myers")
        return self._git("diff-tree", "-r", "-p", *form, *prefixes, before, after)

    def apply(self, patch: bytes) -> None:
        self._git("apply", "--cached", "--binary", "--whitespace=nowarn", "-p1", "-", stdin=patch)

    def check_out(self) -> Path:
        """The index as files, as git would check them out here (line endings, filters)."""
        into = self.folder / "tree"
        into.mkdir()
        self._git("checkout-index", "--all", "--quiet", work_tree=into)
        return into

    def _tree(self) -> str:
        return self._git("write-tree").decode().strip()
