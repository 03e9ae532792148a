"""The code files of recorded code versions, and the commits between two of them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from partitions.errors import CodeVersionError
from resources.artifacts import ArtifactStore
from resources.code_versions import CodeVersion, CodeVersions
from resources.git import Repository
from tests.resources.code_repositories import FILES, PACKAGE, git, make_plain, make_repository, reference_in, write

CODE = ["__init__.py", "features/__init__.py", "pipeline.py", "settings.yaml"]
NOT_CODE = ("data/**",)


@dataclass(frozen=True)
class Recorded:
    """What a run keeps of its code version."""

    digest: str
    commit: str | None
    patch: str | None
    archive: str | None

    @classmethod
    def of(cls, made: CodeVersion) -> "Recorded":
        patch, archive = (one.uri if one is not None else None for one in (made.patch, made.archive))
        return cls(made.digest, made.commit, patch, archive)


def test_files_of_a_commit_a_patch_and_an_archive_are_the_code_that_ran(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    versions, reference = CodeVersions(ArtifactStore(str(tmp_path / "store"))), reference_in(root)
    clean = Recorded.of(versions.current(reference, NOT_CODE))
    archived = Recorded.of(versions.at(reference, NOT_CODE, "v1"))
    write(root, {f"{PACKAGE}/pipeline.py": "X = 1\r\n", f"{PACKAGE}/new.py": "Y = 2\n", f"{PACKAGE}/data/more.csv": ""})
    dirty = Recorded.of(versions.current(reference, NOT_CODE))
    git(root, "checkout", "-q", "--", ".")
    (root / PACKAGE / "new.py").unlink()

    assert clean.patch is None and archived.archive is not None and dirty.patch is not None
    for recorded in (clean, archived):
        found = versions.files(recorded, reference, NOT_CODE)
        assert {name: data.decode() for name, data in found.items()} == {
            name: FILES[f"{PACKAGE}/{name}"] for name in CODE
        }
    edited = versions.files(dirty, reference, NOT_CODE)
    assert sorted(edited) == sorted([*CODE, "new.py"])
    assert (edited["pipeline.py"], edited["new.py"]) == (b"X = 1\n", b"Y = 2\n")
    assert git(root, "status", "--porcelain", "--untracked-files=no") == ""


def test_code_that_cannot_be_had_is_an_error_that_says_why(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    versions, reference = CodeVersions(ArtifactStore(str(tmp_path / "store"))), reference_in(root)
    with pytest.raises(CodeVersionError, match="neither a commit nor an archive"):
        versions.files(Recorded("a" * 64, None, None, None), reference)
    with pytest.raises(CodeVersionError, match="fetch it"):
        versions.files(Recorded("a" * 64, "1" * 40, None, None), reference)
    plain = make_plain(tmp_path / "plain")
    archived = Recorded.of(versions.current(reference_in(plain)))
    write(root, {"elsewhere/pipeline.py": "X = 1\n"})
    with pytest.raises(CodeVersionError, match="was the package moved"):
        versions.files(archived, reference_in(root, "elsewhere"))


def test_commits_apart_are_told_by_side_and_only_those_of_the_folder(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    write(root, {f"{PACKAGE}/pipeline.py": "X = 1\n"})
    git(root, "commit", "-qam", "ours: a\tb")
    write(root, {"projects/other/pipeline.py": "X = 1\n"})
    git(root, "commit", "-qam", "another project")
    first = git(root, "rev-parse", "HEAD")
    git(root, "checkout", "-q", "-b", "side", "v1")
    write(root, {f"{PACKAGE}/features/__init__.py": "X = 2\n"})
    git(root, "commit", "-qam", "theirs")
    repository = Repository.find(root / PACKAGE)
    assert repository is not None
    only_first, only_second = repository.apart(first, git(root, "rev-parse", "HEAD"))
    assert [commit.subject for commit in only_first] == ["ours: a\tb"]
    assert [(commit.subject, commit.author) for commit in only_second] == [("theirs", "T")]
    assert repository.apart(first, first) == ([], [])
