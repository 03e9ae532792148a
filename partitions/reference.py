"""Where a pipeline's code is: enough for another process, or another code version, to make the pipeline anew."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partitions.errors import DeclarationError, PipelineError
from partitions.pipeline import Pipeline
from partitions.values import Value

if TYPE_CHECKING:
    from partitions.parameters import AnyPipeline

PROJECT_FILE = "project.py"


class PipelineReference(Value):
    """A pipeline class by name, and the code that belongs to it.

    package: the project's package, ``projects.flight_delays``; for a pipeline in a single file, that module.
    module, qualname: where the class is. root: the absolute folder to put on the module search path.
    directory: the package's folder (or the single file) relative to root, with ``/``.
    config_file: the file in directory that holds configuration and is no code; None where the pipeline lives in it.
    """

    package: str
    module: str
    qualname: str
    root: str
    directory: str
    config_file: str | None = PROJECT_FILE

    @classmethod
    def of(cls, pipeline: "AnyPipeline | type[AnyPipeline]") -> "PipelineReference":
        """The reference of a pipeline that is importable. Raises DeclarationError where it is not (see ``refusal``)."""
        kind = pipeline if isinstance(pipeline, type) else type(pipeline)
        reason = unimportable(kind)
        if reason is not None:
            raise DeclarationError("", reason)
        module = sys.modules[kind.__module__]
        if module.__file__ is None:
            raise DeclarationError("", f"pipeline {kind.__qualname__}: module {kind.__module__} has no file")
        file = Path(module.__file__).absolute()
        package, place = _package_of(kind.__module__, file)
        levels = package.count(".") + 1
        if place.with_suffix("").parts[-levels:] != tuple(package.split(".")):
            raise DeclarationError(
                "", f"pipeline {kind.__qualname__}: package {package} does not match its folder {place}"
            )
        root = place.parents[levels - 1]
        lives_in_config = file.name == PROJECT_FILE and file.parent in (place, place.parent)
        return cls(
            package=package,
            module=kind.__module__,
            qualname=kind.__qualname__,
            root=str(root),
            directory=place.relative_to(root).as_posix(),
            config_file=PROJECT_FILE if place.is_dir() and not lives_in_config else None,
        )

    def load(self) -> "AnyPipeline":
        """The pipeline, made anew. What can be imported already comes first, else ``root`` joins the search path.

        Raises PipelineError, one line with the reason, where the code cannot be imported or is no pipeline.
        """
        self._make_importable()
        name = f"{self.module}:{self.qualname}"
        try:
            found: Any = importlib.import_module(self.module)
            for part in self.qualname.split("."):
                found = getattr(found, part)
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise PipelineError(f"cannot load pipeline {name} from {self.root}: {reason}") from error
        if not (isinstance(found, type) and issubclass(found, Pipeline)):
            raise PipelineError(f"{name} in {self.root} is not a subclass of Pipeline")
        try:
            return found()
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise PipelineError(f"pipeline {name} cannot be made without arguments: {reason}") from error

    def _make_importable(self) -> None:
        try:
            known = importlib.util.find_spec(self.package) is not None
        except (ModuleNotFoundError, ValueError):
            known = False
        if not known and self.root not in sys.path:
            sys.path.insert(0, self.root)
            importlib.invalidate_caches()


def refusal(pipeline: "AnyPipeline") -> str | None:
    """Why this pipeline cannot be run by the framework, which makes it anew on workers; None where it can."""
    kind = type(pipeline)
    if vars(pipeline):
        names = ", ".join(vars(pipeline))
        return (
            f"pipeline {kind.__qualname__} holds state ({names}), which workers would not see; "
            "put it into the configuration, the parameters or the class"
        )
    reason = unimportable(kind)
    if reason is not None:
        return reason
    try:
        kind()
    except TypeError as error:
        return f"pipeline {kind.__qualname__} cannot be made without arguments: {error}"
    return None


def unimportable(kind: type) -> str | None:
    """Why other processes cannot import this class by its name; None where they can."""
    way_out = "define it at the top level of a module, such as pipeline.py in the project's package"
    if kind.__module__ == "__main__":
        return f"pipeline {kind.__qualname__} lives in the script that runs, which workers cannot import; {way_out}"
    if "<locals>" in kind.__qualname__:
        return f"pipeline {kind.__qualname__} is defined inside a function, where workers cannot import it; {way_out}"
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not kind:
        return f"{kind.__module__}:{kind.__qualname__} is not the pipeline's own class; {way_out}"
    return None


def _package_of(module: str, file: Path) -> tuple[str, Path]:
    """The nearest package at or above the module that holds project.py, else its own; a single file is its own."""
    own = module if file.name == "__init__.py" else module.rpartition(".")[0]
    if not own:
        return module, file
    package, folder = own, file.parent
    while package:
        if (folder / PROJECT_FILE).is_file():
            return package, folder
        package, folder = package.rpartition(".")[0], folder.parent
    return own, file.parent
