"""Small projects in real git repositories, for the tests of code versions."""

import os
import subprocess
from pathlib import Path

from partitions.reference import PipelineReference
from resources.artifacts import Artifact
from resources.code_versions import CodeVersion

PACKAGE = "projects/delays"
FILES = {
    f"{PACKAGE}/__init__.py": '"""Delays."""\n',
    f"{PACKAGE}/pipeline.py": "from .features import shift\n\n\ndef predict(x):\n    return shift(x) + 1\n",
    f"{PACKAGE}/project.py": "TRIALS = 40\n",
    f"{PACKAGE}/features/__init__.py": "def shift(x):\n    return 10 * x\n",
    f"{PACKAGE}/settings.yaml": "a: 1\n",
    f"{PACKAGE}/data/rows.csv": "a,b\n1,2\n",
    "projects/other/pipeline.py": "",
    "requirements.lock": "numpy==2.4.0\n",
    ".gitignore": "__pycache__/\n*.log\n_generated.py\nvenv/\n",
}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n")


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def reference_in(root: Path, directory: str = PACKAGE, config_file: str = "project.py") -> PipelineReference:
    package = directory.removesuffix(".py").replace("/", ".")
    return PipelineReference(
        package=package,
        module=package if directory.endswith(".py") else f"{package}.pipeline",
        qualname="Delays",
        root=str(root),
        directory=directory,
        config_file=config_file,
    )


def make_plain(root: Path) -> Path:
    """A project's folder, not in git."""
    write(root, FILES)
    return root


def make_repository(root: Path) -> Path:
    """The same folder with one commit, tagged v1."""
    make_plain(root)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    git(root, "tag", "v1")
    return root


def archive_of(code_version: CodeVersion) -> Artifact:
    assert code_version.archive is not None
    return code_version.archive


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
