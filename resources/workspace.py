"""Which projects there are: the code locations of workspace.yaml, or any module that holds a ``project``."""

import importlib
import sys
from pathlib import Path

from partitions.errors import DeclarationError, UnknownName, nearest
from partitions.project import Project

WORKSPACE = "workspace.yaml"


def project_modules(folder: Path) -> dict[str, str]:
    """Project module by short name, from workspace.yaml: ``flight_delays`` is in ``projects.flight_delays.project``.

    A code location names its definitions (``projects.flight_delays.definitions``); the project stands beside them.
    """
    file = folder / WORKSPACE
    if not file.exists():
        return {}
    import yaml

    modules = {}
    for entry in (yaml.safe_load(file.read_text()) or {}).get("load_from", []):
        location = entry.get("python_module") if isinstance(entry, dict) else None
        name = location.get("module_name") if isinstance(location, dict) else location
        if not isinstance(name, str):
            continue
        package = name.removesuffix(".definitions")
        modules[package.rsplit(".", 1)[-1]] = f"{package}.project"
    return modules


def find_project(name: str | None = None, folder: Path | None = None) -> Project:
    """The project of that name in workspace.yaml, or in the module of that name; without a name, the only one.

    Raises UnknownName where there is none, and DeclarationError where the module holds no valid ``project``.
    """
    here = folder or Path.cwd()
    modules = project_modules(here)
    if name is None:
        if len(modules) != 1:
            found = ", ".join(modules) or "none"
            raise UnknownName(f"name the project (--project): {WORKSPACE} in {here} lists {found}")
        name = next(iter(modules))
    if name in modules:
        return _load(modules[name], here)
    if "." in name or (here / f"{name}.py").exists() or (here / name / "project.py").exists():
        return _load(name if not (here / name / "project.py").exists() else f"{name}.project", here)
    raise UnknownName(f"{nearest(name, modules, noun='project')}; a module that holds `project` will do too")


def _load(module_name: str, folder: Path) -> Project:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UnknownName(f"there is no module {module_name!r} in {folder} or on the Python path") from error
        raise
    project = getattr(module, "project", None)
    if not isinstance(project, Project):
        raise DeclarationError(f"module {module_name!r}", "it has no `project = Project(...)`")
    return project
