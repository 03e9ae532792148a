"""What makes a code version, and what does not: real git repositories, real files."""

import shutil
from pathlib import Path

import pytest

from partitions.errors import CodeVersionError
from resources.artifacts import ArtifactStore
from resources.code_versions import CodeVersion, CodeVersions
from tests.resources.code_repositories import (
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
def plain(tmp_path: Path) -> Path:
    return make_plain(tmp_path / "work")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "work")


@pytest.fixture
def versions(tmp_path: Path) -> CodeVersions:
    return CodeVersions(ArtifactStore(str(tmp_path / "artifacts")), framework="1.0")


def current(versions: CodeVersions, root: Path) -> CodeVersion:
    return versions.current(reference_in(root))


def test_a_clean_working_folder_names_its_commit_and_branch(repo: Path, versions: CodeVersions) -> None:
    found = current(versions, repo)
    assert found.commit == git(repo, "rev-parse", "HEAD")
    assert (found.branch, found.dirty, found.patch, found.archive) == ("main", False, None, None)


def test_the_same_code_has_one_digest_in_git_out_of_git_and_at_a_commit(
    repo: Path, versions: CodeVersions, tmp_path: Path
) -> None:
    here = current(versions, repo)
    copied = tmp_path / "copy"
    shutil.copytree(repo, copied, ignore=shutil.ignore_patterns(".git"))
    assert current(versions, copied).digest == here.digest
    archived = versions.at(reference_in(repo), ("*.yaml", "data/**"), "v1")
    assert archived.digest == versions.current(reference_in(repo), ("*.yaml", "data/**")).digest
    extracted = versions.extract(archive_of(archived), tmp_path / "cache")
    assert current(versions, extracted).tree == here.tree


@pytest.mark.parametrize("path", ["project.py", "settings.yaml", "data/rows.csv", "deep/more.yml", "README.md", ".env"])
def test_editing_configuration_data_or_prose_makes_no_new_version(
    repo: Path, versions: CodeVersions, path: str
) -> None:
    before = current(versions, repo)
    write(repo, {f"{PACKAGE}/{path}": "changed = 1\n"})
    assert current(versions, repo) == before


@pytest.mark.parametrize("path", ["pipeline.py", "features/__init__.py", "new.py", "features/project.py", "model.bin"])
def test_editing_any_other_file_makes_a_new_version(repo: Path, versions: CodeVersions, path: str) -> None:
    before = current(versions, repo)
    write(repo, {f"{PACKAGE}/{path}": "changed = 1\n"})
    after = current(versions, repo)
    assert after.digest != before.digest
    assert after.dirty


def test_what_lies_outside_the_package_does_not_count(repo: Path, versions: CodeVersions) -> None:
    before = current(versions, repo)
    write(repo, {"projects/other/pipeline.py": "x = 1\n", f"{PACKAGE}/__pycache__/pipeline.pyc": "x"})
    assert current(versions, repo) == before


def test_permissions_and_line_endings_of_python_files_do_not_count(repo: Path, versions: CodeVersions) -> None:
    file = repo / PACKAGE / "pipeline.py"
    before = current(versions, repo)
    file.chmod(0o755)
    assert current(versions, repo) == before
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert current(versions, repo).digest == before.digest


def test_the_lock_file_and_the_framework_are_part_of_the_version(repo: Path, versions: CodeVersions) -> None:
    before = current(versions, repo)
    newer = CodeVersions(versions.artifacts, framework="1.1").current(reference_in(repo))
    assert newer.digest != before.digest
    assert newer.tree == before.tree
    write(repo, {"requirements.lock": "numpy==2.5.0\n"})
    relocked = current(versions, repo)
    assert relocked.digest != before.digest
    assert (relocked.tree, relocked.dirty) == (before.tree, True)
    assert versions.at(reference_in(repo), (), "v1").lock == before.lock


def test_the_nearest_lock_file_counts(repo: Path, versions: CodeVersions) -> None:
    farther = current(versions, repo).lock
    write(repo, {"projects/requirements.lock": "numpy==2.3.0\n"})
    assert current(versions, repo).lock != farther


def test_without_a_lock_file_the_installed_distributions_count(plain: Path, versions: CodeVersions) -> None:
    locked = current(versions, plain).lock
    (plain / "requirements.lock").unlink()
    installed = current(versions, plain).lock
    assert installed != locked
    assert current(versions, plain).lock == installed


def test_the_users_index_and_status_are_untouched(repo: Path, versions: CodeVersions) -> None:
    write(repo, {f"{PACKAGE}/pipeline.py": "staged = 1\n"})
    git(repo, "add", "-A")
    write(repo, {f"{PACKAGE}/pipeline.py": "unstaged = 1\n", f"{PACKAGE}/new.py": "x = 1\n"})
    index, objects = (repo / ".git/index").read_bytes(), sorted((repo / ".git/objects").rglob("*"))
    status = git(repo, "--no-optional-locks", "status", "--porcelain")
    assert current(versions, repo).dirty
    assert (repo / ".git/index").read_bytes() == index
    assert sorted((repo / ".git/objects").rglob("*")) == objects
    assert git(repo, "status", "--porcelain") == status


def test_a_detached_head_has_a_commit_but_no_branch(repo: Path, versions: CodeVersions) -> None:
    git(repo, "checkout", "-q", "--detach")
    found = current(versions, repo)
    assert found.branch is None
    assert found.commit == git(repo, "rev-parse", "v1")


def test_before_the_first_commit_the_code_is_archived(plain: Path, versions: CodeVersions) -> None:
    git(plain, "init", "-q")
    found = current(versions, plain)
    assert found.commit is None
    assert found.archive is not None


def test_outside_git_the_code_is_archived_with_its_declarations(
    plain: Path, versions: CodeVersions, tmp_path: Path
) -> None:
    found = current(versions, plain)
    assert (found.commit, found.branch, found.dirty, found.patch) == (None, None, False, None)
    extracted = versions.extract(archive_of(found), tmp_path / "cache")
    assert files_in(extracted / PACKAGE) == ["__init__.py", "features/__init__.py", "pipeline.py", "project.py"]
    assert versions.rebuild(found, reference_in(plain)) == found.archive


def test_a_package_that_git_ignores_is_treated_as_outside_git(repo: Path, versions: CodeVersions) -> None:
    before = current(versions, repo)
    shutil.copytree(repo / PACKAGE, repo / "venv/delays")
    found = versions.current(reference_in(repo, "venv/delays"))
    assert found.commit is None
    assert found.tree == before.tree


def test_an_ignored_python_file_is_code_an_ignored_folder_or_log_is_not(repo: Path, versions: CodeVersions) -> None:
    before = current(versions, repo)
    write(repo, {f"{PACKAGE}/venv/lib/x.py": "x = 1\n", f"{PACKAGE}/run.log": "x\n"})
    assert current(versions, repo) == before
    write(repo, {f"{PACKAGE}/_generated.py": "x = 1\n"})
    assert current(versions, repo).digest != before.digest


def test_a_virtual_environment_in_the_package_is_not_code(plain: Path, versions: CodeVersions) -> None:
    before = current(versions, plain)
    write(plain, {f"{PACKAGE}/env/pyvenv.cfg": "home = x\n", f"{PACKAGE}/env/lib/x.py": "x = 1\n"})
    assert current(versions, plain) == before


def test_a_package_of_one_module_is_that_file(repo: Path, versions: CodeVersions, tmp_path: Path) -> None:
    write(repo, {"small.py": "x = 1\n"})
    git(repo, "add", "small.py")
    git(repo, "commit", "-qm", "small")
    reference = reference_in(repo, "small.py")
    before = versions.current(reference)
    write(repo, {"setup.py": "x = 1\n"})
    assert versions.current(reference) == before
    write(repo, {"small.py": "x = 2\n"})
    after = versions.current(reference)
    assert after.dirty
    assert after.tree != before.tree
    archive = versions.rebuild(after, reference)
    assert (versions.extract(archive, tmp_path / "cache") / "small.py").read_text() == "x = 2\n"
    assert versions.at(reference, (), "HEAD").tree == before.tree


def test_a_repository_that_is_the_package_itself_works(plain: Path, versions: CodeVersions, tmp_path: Path) -> None:
    folder = plain / PACKAGE
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    reference = reference_in(plain)
    before = versions.current(reference)
    assert (before.commit, before.dirty) == (git(folder, "rev-parse", "HEAD"), False)
    extracted = versions.extract(archive_of(versions.at(reference, (), "main")), tmp_path / "cache")
    assert (extracted / PACKAGE / "pipeline.py").is_file()


def test_a_repository_within_the_package_is_refused(repo: Path, versions: CodeVersions) -> None:
    write(repo, {f"{PACKAGE}/vendored/lib.py": "x = 1\n"})
    nested = repo / PACKAGE / "vendored"
    git(nested, "init", "-q")
    git(nested, "add", "-A")
    git(nested, "commit", "-qm", "first")
    with pytest.raises(CodeVersionError, match=r"vendored is a git repository of its own"):
        current(versions, repo)
    versions.current(reference_in(repo), ("vendored/**",))


def test_a_link_out_of_the_package_is_refused_and_one_within_is_kept(
    repo: Path, versions: CodeVersions, tmp_path: Path
) -> None:
    (repo / PACKAGE / "alias.py").symlink_to("pipeline.py")
    linked = current(versions, repo)
    extracted = versions.extract(versions.rebuild(linked, reference_in(repo)), tmp_path / "cache")
    assert (extracted / PACKAGE / "alias.py").readlink() == Path("pipeline.py")
    (repo / PACKAGE / "shared").symlink_to("../other")
    with pytest.raises(CodeVersionError, match=r"shared is a link to \.\./other, outside the package"):
        current(versions, repo)


def test_a_package_without_code_is_refused(tmp_path: Path, versions: CodeVersions) -> None:
    write(tmp_path, {"projects/delays/project.py": ""})
    with pytest.raises(CodeVersionError, match="there are no code files"):
        current(versions, tmp_path)
    with pytest.raises(CodeVersionError, match="does not exist"):
        versions.current(reference_in(tmp_path, "projects/gone"))


def test_the_variables_of_a_git_hook_do_not_lead_astray(
    repo: Path, versions: CodeVersions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = current(versions, repo)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert current(versions, repo) == before


def test_without_git_installed_the_code_is_archived(
    repo: Path, versions: CodeVersions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert current(versions, repo).archive is not None
    with pytest.raises(CodeVersionError, match="git is not installed"):
        versions.at(reference_in(repo), (), "v1")
