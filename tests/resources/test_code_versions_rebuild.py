"""Having the code of a version again: at a revision, from commit and patch, extracted and imported."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from partitions.errors import ArtifactError, CodeVersionError
from resources.archive import NOT_CODE, CodeRules, pack, unpack
from resources.artifacts import Artifact, ArtifactStore
from resources.code_versions import CodeVersion, CodeVersions
from tests.resources.code_repositories import (
    FILES,
    PACKAGE,
    archive_of,
    files_in,
    git,
    make_plain,
    make_repository,
    reference_in,
    write,
)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "work")


@pytest.fixture
def versions(tmp_path: Path) -> CodeVersions:
    return CodeVersions(ArtifactStore(str(tmp_path / "artifacts")), framework="1.0")


def test_a_tag_a_branch_and_a_short_commit_name_the_same_code(repo: Path, versions: CodeVersions) -> None:
    commit = git(repo, "rev-parse", "HEAD")
    at = [versions.at(reference_in(repo), NOT_CODE, name) for name in ("v1", "main", commit[:8], "v1~0")]
    assert {found.commit for found in at} == {commit}
    assert [found.branch for found in at] == [None, "main", None, None]
    assert len({(found.digest, found.archive) for found in at}) == 1
    assert not any(found.dirty or found.patch for found in at)


def test_an_older_commit_is_archived_as_it_was(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    was = versions.current(reference_in(repo))
    write(repo, {f"{PACKAGE}/pipeline.py": "x = 2\n", f"{PACKAGE}/later.py": "x = 1\n"})
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "second")
    write(repo, {f"{PACKAGE}/pipeline.py": "x = 3\n"})
    archived = versions.at(reference_in(repo), NOT_CODE, "v1")
    assert (archived.digest, archived.commit) == (was.digest, was.commit)
    extracted = versions.extract(archive_of(archived), tmp_path / "cache")
    inside = sorted(path for path in FILES if path.startswith(PACKAGE))
    assert files_in(extracted) == inside
    assert {path: (extracted / path).read_text() for path in inside} == {path: FILES[path] for path in inside}


def test_the_packages_around_come_along(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    write(repo, {"projects/__init__.py": "AROUND = 1\n"})
    dirty = versions.rebuild(versions.current(reference_in(repo)), reference_in(repo))
    assert (versions.extract(dirty, tmp_path / "cache") / "projects/__init__.py").is_file()
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "around")
    committed = archive_of(versions.at(reference_in(repo), NOT_CODE, "main"))
    assert committed == dirty
    before = archive_of(versions.at(reference_in(repo), NOT_CODE, "v1"))
    assert not (versions.extract(before, tmp_path / "cache") / "projects/__init__.py").exists()


def test_an_extracted_version_can_be_imported(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    archive = archive_of(versions.at(reference_in(repo), NOT_CODE, "v1"))
    write(repo, {f"{PACKAGE}/features/__init__.py": "def shift(x):\n    return -x\n"})
    extracted = versions.extract(archive, tmp_path / "cache")
    script = "from projects.delays.pipeline import predict; print(predict(2))"
    search_path = os.pathsep.join([str(extracted), str(repo)])
    environment = {**os.environ, "PYTHONPATH": search_path}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "21\n"


def test_a_dirty_tree_is_rebuilt_from_commit_and_patch(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    folder = repo / PACKAGE
    write(repo, {f"{PACKAGE}/pipeline.py": "staged = 1\n"})
    git(repo, "add", "-A")
    write(repo, {f"{PACKAGE}/pipeline.py": "unstaged = 1\n", f"{PACKAGE}/new/untracked ü.py": "no_newline = 1"})
    write(repo, {f"{PACKAGE}/_generated.py": "ignored = 1\n", "requirements.lock": "numpy==2.5.0\n"})
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "features/__init__.py").unlink()
    (folder / "features").rmdir()
    (folder / "features").write_text("a file where a folder was\n")
    dirty = versions.current(reference_in(repo))
    assert dirty.dirty
    assert dirty.patch is not None
    git(repo, "stash", "--include-untracked", "--quiet")
    (folder / "_generated.py").unlink()
    assert versions.current(reference_in(repo)).digest != dirty.digest

    extracted = versions.extract(versions.rebuild(dirty, reference_in(repo)), tmp_path / "cache")
    assert (extracted / PACKAGE / "weights.bin").read_bytes() == bytes(range(256)) * 40
    assert (extracted / PACKAGE / "new/untracked ü.py").read_text() == "no_newline = 1"
    assert (extracted / PACKAGE / "features").is_file()
    assert versions.current(reference_in(extracted)).tree == dirty.tree


def test_the_patch_applies_with_git_alone(repo: Path, versions: CodeVersions) -> None:
    write(
        repo, {f"{PACKAGE}/pipeline.py": "x = 2\n", f"{PACKAGE}/new.py": "x = 1\n", f"{PACKAGE}/settings.yaml": "b: 1"}
    )
    dirty = versions.current(reference_in(repo))
    assert dirty.patch is not None
    patch = versions.artifacts.get(dirty.patch)
    assert b"settings.yaml" not in patch
    git(repo, "reset", "-q", "--hard")
    git(repo, "clean", "-qfd")
    (repo / ".git/p.patch").write_bytes(patch)
    git(repo, "apply", ".git/p.patch")
    assert versions.current(reference_in(repo)).digest == dirty.digest


@pytest.mark.parametrize(
    "setting", ["core.autocrlf=true", "diff.noprefix=true", "diff.external=false", "color.ui=always"]
)
def test_the_users_git_settings_change_nothing(repo: Path, versions: CodeVersions, setting: str) -> None:
    write(repo, {f"{PACKAGE}/pipeline.py": "x = 2\n"})
    expected = versions.current(reference_in(repo))
    git(repo, "config", *setting.split("=", 1))
    dirty = versions.current(reference_in(repo))
    assert (dirty.digest, dirty.dirty) == (expected.digest, True)
    assert versions.at(reference_in(repo), NOT_CODE, "v1").archive is not None
    assert versions.rebuild(dirty, reference_in(repo)).bytes > 0


def test_attributes_that_would_leave_files_out_of_an_archive_are_not_heard(
    repo: Path, versions: CodeVersions, tmp_path: Path
) -> None:
    write(repo, {".gitattributes": "*.py export-ignore\n*.bat text eol=crlf\n", f"{PACKAGE}/go.bat": "x\r\n"})
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "attributes")
    at = versions.at(reference_in(repo), NOT_CODE, "main")
    assert at.digest == versions.current(reference_in(repo)).digest
    extracted = versions.extract(archive_of(at), tmp_path / "cache")
    assert (extracted / PACKAGE / "go.bat").read_bytes() == b"x\r\n"


def test_unknown_revisions_offer_the_nearest(repo: Path, versions: CodeVersions) -> None:
    with pytest.raises(CodeVersionError, match="unknown revision 'v2'; nearest: v1"):
        versions.at(reference_in(repo), NOT_CODE, "v2")
    for revision in ("--all", "", "v1:projects", "no such thing"):
        with pytest.raises(CodeVersionError, match="unknown revision"):
            versions.at(reference_in(repo), NOT_CODE, revision)


def test_a_revision_without_the_package_is_refused(repo: Path, versions: CodeVersions) -> None:
    write(repo, {"projects/late/pipeline.py": "x = 1\n"})
    with pytest.raises(CodeVersionError, match=r"v1 \(commit \w+\) holds no package projects.late in projects/late/"):
        versions.at(reference_in(repo, "projects/late"), NOT_CODE, "v1")


def test_outside_git_there_are_no_revisions(tmp_path: Path, versions: CodeVersions) -> None:
    root = make_plain(tmp_path / "plain")
    with pytest.raises(CodeVersionError, match="is in no git repository, so there is no revision 'v1'"):
        versions.at(reference_in(root), NOT_CODE, "v1")


def test_a_submodule_in_the_package_is_refused(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), f"{PACKAGE}/lib")
    git(repo, "commit", "-qm", "submodule")
    with pytest.raises(CodeVersionError, match=rf"{PACKAGE}/lib in commit \w+ is a submodule"):
        versions.at(reference_in(repo), NOT_CODE, "main")
    with pytest.raises(CodeVersionError, match="lib is a git repository of its own"):
        versions.current(reference_in(repo))


def test_a_version_that_cannot_be_had_again_says_why(repo: Path, versions: CodeVersions) -> None:
    clean = versions.current(reference_in(repo))
    lost = clean.model_copy(update={"commit": "0" * 40})
    with pytest.raises(CodeVersionError, match=f"commit {'0' * 40} is not in"):
        versions.rebuild(lost, reference_in(repo))
    nowhere = clean.model_copy(update={"commit": None})
    with pytest.raises(CodeVersionError, match="neither a commit nor an archive"):
        versions.rebuild(nowhere, reference_in(repo))
    other = clean.model_copy(update={"tree": "0" * 64})
    with pytest.raises(CodeVersionError, match="not 000000000000"):
        versions.rebuild(other, reference_in(repo))


def test_data_that_git_ignores_is_linked_beside_old_code(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    reference, not_code = reference_in(repo), (*NOT_CODE, "cache/**", "*.csv")
    archive = archive_of(versions.at(reference, not_code, "v1"))
    live = {"data/live.csv": "1\n", "cache/deep/a.bin": "2\n", "features/table.csv": "3\n", "later.py": "x = 1\n"}
    write(repo, {f"{PACKAGE}/{path}": text for path, text in live.items()})
    write(repo, {f"{PACKAGE}/data/rows.csv": "changed\n", f"{PACKAGE}/project.py": "TRIALS = 1\n"})
    for _ in range(2):
        package = versions.extract(archive, tmp_path / "cache", reference, not_code) / PACKAGE
    assert [(package / path).read_text() for path in list(live)[:3]] == ["1\n", "2\n", "3\n"]
    assert not (package / "later.py").exists()
    assert (package / "data/rows.csv").read_text() == FILES[f"{PACKAGE}/data/rows.csv"]
    assert (package / "project.py").read_text() == FILES[f"{PACKAGE}/project.py"]


def extract_once(store: str, archive: Artifact, into: Path) -> list[str]:
    return files_in(CodeVersions(ArtifactStore(store), framework="1.0").extract(archive, into))


def test_processes_that_extract_at_once_all_see_the_whole(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    write(repo, {f"{PACKAGE}/many/m{number}.py": f"x = {number}\n" for number in range(200)})
    archive = versions.rebuild(versions.current(reference_in(repo)), reference_in(repo))
    into = tmp_path / "cache"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        seen = pool.starmap(extract_once, [(versions.artifacts.url, archive, into)] * 6)
    assert all(files == seen[0] and len(files) > 200 for files in seen)
    assert [path.name for path in into.iterdir()] == [archive.digest]


def test_a_damaged_archive_is_refused_and_leaves_nothing(versions: CodeVersions, tmp_path: Path) -> None:
    archive = versions.artifacts.put(b"no zip", ".zip")
    with pytest.raises(ArtifactError, match="cannot be read"):
        versions.extract(archive, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_archive_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("../../outside")
    for number, files in enumerate(({"../file": tmp_path / "file"}, {"inner": tmp_path / "link"})):
        with pytest.raises(ArtifactError, match="leads out of its folder"):
            unpack(pack(files), tmp_path / f"extracted{number}")
    assert not (tmp_path / "extracted0").exists()


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.yaml", ["a.yaml", "deep/a.yaml"], ["a.yamlx", "yaml"]),
        ("data/**", ["data/a", "data/b/c.py"], ["data", "deep/data/a", "database/a"]),
        ("data/", ["data/a", "deep/data/a"], ["database/a"]),
        ("/notes.txt", ["notes.txt"], ["deep/notes.txt"]),
        ("**/raw/*.csv", ["raw/a.csv", "x/y/raw/a.csv"], ["raw/deep/a.csv"]),
        ("run_[0-9]?.py", ["run_1x.py"], ["run_xx.py", "run_1.py"]),
        ("[!a]b", ["cb"], ["ab"]),
    ],
)
def test_patterns_match_as_in_a_gitignore(pattern: str, matching: list[str], other: list[str]) -> None:
    rules = CodeRules(config_file="project.py", not_code=(pattern,))
    assert [path for path in matching if rules.is_code(path)] == []
    assert [path for path in other if not rules.is_code(path)] == []


def test_a_code_version_survives_json(repo: Path, versions: CodeVersions) -> None:
    write(repo, {f"{PACKAGE}/pipeline.py": "x = 2\n"})
    found = versions.current(reference_in(repo))
    assert CodeVersion.model_validate_json(found.model_dump_json()) == found
