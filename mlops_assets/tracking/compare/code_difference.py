"""What differs between the code of runs: versions, commits, files, and the patch from one to the other."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.tracking.compare.compared_runs import ComparedRuns
from partitions.errors import ArtifactError, CodeVersionError, UnknownName

if TYPE_CHECKING:
    import pandas as pd

# difflib's time grows with the square of a file's lines; what is longer than any file of code is not compared by line.
LONGEST = 20_000


@dataclass(frozen=True, eq=False)
class CodeDifference:
    """The code of runs, compared with the base's.

    versions: run, code_version, commit, branch, dirty. same: whether all have one code version.
    files: run, path, change ("added", "removed", "changed" since the base), added and removed lines.
    commits: run, only_in (label of the run whose history has it), commit, when, author, subject; newest first.
    uncommitted: by run, the patch that was not committed. notes: what could not be had, and why.
    """

    versions: "pd.DataFrame"
    files: "pd.DataFrame"
    commits: "pd.DataFrame"
    patches: Mapping[tuple[str, str], str]
    uncommitted: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return self.versions["code_version"].nunique() == 1

    def patch(self, run: str = "b", path: str | None = None) -> str:
        """The unified diff from the base's code to that of ``run``, of all files or of one."""
        known = set(self.versions["run"])
        if run not in known:
            raise UnknownName(f"there is no run {run!r} in this comparison: {', '.join(sorted(known))}")
        return "".join(text for (label, file), text in self.patches.items() if label == run and path in (None, file))


def code_difference(runs: ComparedRuns) -> CodeDifference:
    """Code versions rebuilt from their commits and patches, or read from their archives; only where they differ."""
    import pandas as pd

    versions = [
        {
            "run": label,
            "code_version": record.code_version.digest,
            "commit": record.code_version.commit,
            "branch": record.code_version.branch,
            "dirty": record.code_version.dirty,
        }
        for label, record in runs.by_label.items()
    ]
    trees, notes = _trees(runs)
    files: list[dict[str, Any]] = []
    patches: dict[tuple[str, str], str] = {}
    for label in runs.others:
        if runs.base not in trees or label not in trees or _digest(runs, label) == _digest(runs, runs.base):
            continue
        for path, change, text in _changed_files(trees[runs.base], trees[label]):
            patches[label, path] = text
            files.append({"run": label, "path": path, "change": change, **_counted(text)})
        if not any(label == run for run, _ in patches):
            notes.append(f"{label} has the code files of {runs.base}: its framework version or lock file differs")
    commits, more = _commits(runs)
    uncommitted, lost = _uncommitted(runs)
    return CodeDifference(
        versions=pd.DataFrame(versions),
        files=pd.DataFrame(files, columns=["run", "path", "change", "added_lines", "removed_lines"]),
        commits=pd.DataFrame(commits, columns=["run", "only_in", "commit", "when", "author", "subject"]),
        patches=patches,
        uncommitted=uncommitted,
        notes=(*notes, *more, *lost),
    )


def _digest(runs: ComparedRuns, label: str) -> str:
    return runs.by_label[label].code_version.digest


def _trees(runs: ComparedRuns) -> tuple[dict[str, dict[str, bytes]], list[str]]:
    """The code files of every run, where two code versions or more are there to be compared."""
    if len({_digest(runs, label) for label in runs.labels}) == 1:
        return {}, []
    source = runs.sources
    by_digest: dict[str, dict[str, bytes]] = {}
    trees: dict[str, dict[str, bytes]] = {}
    notes = []
    for label, record in runs.by_label.items():
        code = record.code_version
        try:
            if code.digest not in by_digest:
                by_digest[code.digest] = source.code_versions.files(code, source.reference, source.not_code)
            trees[label] = by_digest[code.digest]
        except (CodeVersionError, ArtifactError) as error:
            notes.append(f"the code of {label}: {error}")
    return trees, notes


def _changed_files(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """Path, change and unified diff of every file that is not the same in both."""
    found = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        change = "added" if old is None else "removed" if new is None else "changed"
        found.append((path, change, _unified(path, old, new)))
    return found


def _unified(path: str, old: bytes | None, new: bytes | None) -> str:
    names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
    lines = [_lines(old), _lines(new)]
    if lines[0] is None or lines[1] is None:
        return f"--- {names[0]}\n+++ {names[1]}\nBinary or very long files differ\n"
    said = []
    for line in difflib.unified_diff(lines[0], lines[1], *names):
        said.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(said)


def _lines(data: bytes | None) -> list[str] | None:
    """The lines of a text, with their ends; None for what is no text, or too long to be compared line by line."""
    if data is None:
        return []
    if b"\0" in data or data.count(b"\n") > LONGEST:
        return None
    try:
        # Only \n ends a line: splitlines also parts at form feeds and the like, and patch does not.
        parts = data.decode().split("\n")
    except UnicodeDecodeError:
        return None
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _counted(text: str) -> dict[str, int]:
    body = [line for line in text.split("\n")[2:] if line]
    return {
        "added_lines": sum(line[0] == "+" for line in body),
        "removed_lines": sum(line[0] == "-" for line in body),
    }


def _commits(runs: ComparedRuns) -> tuple[list[dict[str, str]], list[str]]:
    """Commits that one of the two has in its history and the other has not."""
    from resources.git import Repository
    from resources.packages import Package

    base = runs.by_label[runs.base].code_version.commit
    wanted = {label: record.code_version.commit for label, record in runs.by_label.items() if label != runs.base}
    wanted = {label: commit for label, commit in wanted.items() if commit not in (None, base)}
    if base is None or not wanted:
        return [], []
    repository = Repository.find(Package.of(runs.sources.reference, runs.sources.not_code).folder)
    if repository is None:
        return [], ["the package lies in no git repository here, so the commits between the runs are not known"]
    found: list[dict[str, str]] = []
    notes = []
    for label, commit in wanted.items():
        lacking = [one for one in (base, str(commit)) if not repository.has(f"{one}^{{commit}}")]
        if lacking:
            notes.append(f"commit {lacking[0]} is not in {repository.top}, so what lies between is not known: fetch it")
            continue
        only_base, only_other = repository.apart(base, str(commit))
        for side, listed in ((label, only_other), (runs.base, only_base)):
            found += [{"run": label, "only_in": side, **vars(one)} for one in listed]
    return found, notes


def _uncommitted(runs: ComparedRuns) -> tuple[dict[str, str], list[str]]:
    patches: dict[str, str] = {}
    notes = []
    for label, record in runs.by_label.items():
        if record.code_version.patch is None:
            continue
        try:
            patches[label] = runs.sources.artifacts.get(record.code_version.patch).decode(errors="replace")
        except ArtifactError as error:
            notes.append(f"the patch of {label}: {error}")
    return patches, notes
