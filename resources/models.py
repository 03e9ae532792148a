"""Model files: a fitted model and the code it predicts with in one file, checked before anything in it is run.

A file is ``mlops-model <format> <sha256 of the header>``, a header (one line of JSON), and a pickle. The pickle holds
the project's own code by value, so models of several code versions load side by side, where the project is not
installed, or is in another version. Everything else is imported, and must be the version the model was made with.
"""

import functools
import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from partitions.errors import ArtifactError, MlopsError, PipelineError
from partitions.pipeline import Pipeline
from partitions.values import Value, digest_of
from resources.model_pickle import ImportGuard, belongs, hidden, pickle_by_value, unpickle_apart

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
MAGIC = b"mlops-model "
# The framework keeps reading its own files, by FORMAT; a patch of it must not stop every model that is deployed.
FRAMEWORK = "mlops-assets"


class ModelHeader(Value):
    """What a model file says of itself, readable without running anything of it.

    python: minor version, ``3.11``: bytecode of one crashes another. environment: version of every distribution the
    pickle refers to. package: the one carried by value. about: project, subproject, code_version, run_id ...
    """

    python: str
    environment: dict[str, str]
    environment_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    package: str
    about: dict[str, str]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)

    @property
    def project(self) -> str | None:
        return self.about.get("project")

    @property
    def code_version(self) -> str | None:
        return self.about.get("code_version")

    @property
    def title(self) -> str:
        """What an error calls the model: ``model flight_delays/AA (run 0199...)``."""
        whose = "/".join(self.about[name] for name in ("project", "subproject") if name in self.about)
        run = f" (run {self.about['run_id']})" if "run_id" in self.about else ""
        return f"model {whose or self.package}{run}"


@dataclass(frozen=True)
class LoadedModel:
    """A model and the pipeline it was trained with, both as they were then."""

    model: Any
    pipeline: Pipeline[Any, Any]
    header: ModelHeader

    def predict(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The pipeline's predictions for the rows, with their index and a column ``prediction``."""
        return self.pipeline.predict(self.model, rows)


def dump_model(model: Any, pipeline: Pipeline[Any, Any], package: str, about: Mapping[str, str]) -> bytes:
    """A model file of the fitted ``model`` and all code of ``package`` that it and its pipeline use.

    Raises PipelineError where something cannot be stored, or the pipeline is not code of the package.
    """
    name = type(pipeline).__name__
    if not belongs(type(pipeline).__module__, package):
        raise PipelineError(f"{name} is defined in {type(pipeline).__module__}, outside the package {package}")
    try:
        payload, references = pickle_by_value((model, pipeline), package)
    except Exception as error:
        raise PipelineError(
            f"{name}: the model cannot be stored ({_described(error)}); keep locks, connections, generators and open "
            f"files out of the fitted model and out of the module-level names that {package} predicts with"
        ) from error
    environment = _distributions(references)
    header = ModelHeader(
        python=_python(),
        environment=environment,
        environment_digest=_environment_digest(_python(), environment),
        package=package,
        about=dict(about),
        sha256=hashlib.sha256(payload).hexdigest(),
        bytes=len(payload),
    )
    line = header.model_dump_json().encode()
    return b"".join([MAGIC, f"{FORMAT} {hashlib.sha256(line).hexdigest()}\n".encode(), line, b"\n", payload])


def environment_of(model: Any, package: str = "") -> dict[str, str]:
    """Version of every distribution that a pickle of ``model`` refers to; in a model file, the header has it ready."""
    return _distributions(pickle_by_value(model, package).references)


def read_header(data: bytes) -> ModelHeader:
    """The header of a model file; ArtifactError where it is none, damaged or of an unknown format."""
    return _parts(data)[0]


def load_model(data: bytes) -> LoadedModel:
    """Load a model file, if this process can run it.

    Refused with ArtifactError before anything is unpickled: no model file, damaged or cut off, made with another
    Python minor version, or with another version of a package it needs.
    """
    return _load(data, ImportGuard(read_header(data).package))


def verify_model(data: bytes, package: str, rows: "pd.DataFrame", expected: "pd.DataFrame") -> None:
    """Prove that a model file predicts by itself: for ``rows`` exactly ``expected``, with ``package`` out of reach.

    Raises PipelineError for a late import of the package, for code that fails, or for other predictions.
    """
    difference = _difference(predict_apart(data, package, rows), expected)
    if difference:
        raise PipelineError(
            f"{read_header(data).title}: the stored model predicts otherwise than the one in memory: {difference}; "
            "predict may depend only on the model, the rows and code imported at module level"
        )


def predict_apart(data: bytes, package: str, rows: "pd.DataFrame") -> "pd.DataFrame":
    """What a model file predicts for ``rows`` with ``package`` out of reach; it is not shown the target.

    Raises PipelineError for a late import of the package or code that fails, ArtifactError for a file that cannot be
    loaded here.
    """
    header = read_header(data)
    guard = ImportGuard(header.package)
    try:
        with hidden(package):
            loaded = _load(data, guard)
            predicted = loaded.predict(rows.drop(columns=[loaded.pipeline.schema.target], errors="ignore"))
    except Exception as error:
        late = guard.refused | _late_imports(error, package)
        if late:
            raise _late_import_error(header, late) from error
        if isinstance(error, ArtifactError):
            raise
        raise PipelineError(
            f"{header.title}: predict of the stored model raised {_described(error)}, though the model in memory "
            "predicted the same rows; predict may depend only on the model, the rows and code imported at module level"
        ) from error
    if guard.refused:
        raise _late_import_error(header, guard.refused)
    return predicted


def _load(data: bytes, guard: ImportGuard) -> LoadedModel:
    header, start = _parts(data)
    payload = memoryview(data)[start:]
    if len(payload) != header.bytes:
        raise ArtifactError(f"{header.title} is cut off or damaged: {len(payload)} bytes instead of {header.bytes}")
    found = hashlib.sha256(payload).hexdigest()
    if found != header.sha256:
        raise ArtifactError(f"{header.title} is damaged: expected sha256 {header.sha256}, found {found}")
    _refuse_other_environment(header)
    try:
        model, pipeline = unpickle_apart(payload, guard)
    except MlopsError:
        raise
    except Exception as error:
        raise ArtifactError(f"{header.title} cannot be loaded here: {_described(error)}") from error
    return LoadedModel(model, pipeline, header)


def _parts(data: bytes) -> tuple[ModelHeader, int]:
    """The header, and where the pickle begins."""
    first = data.find(b"\n", 0, len(MAGIC) + 100)
    words = data[:first].split(b" ") if first > 0 and data.startswith(MAGIC) else []
    if len(words) != 3:
        raise ArtifactError("not a model file: it does not begin as one")
    if words[1] != str(FORMAT).encode():
        form = words[1].decode(errors="replace")
        raise ArtifactError(f"model file of format {form}: this version of {FRAMEWORK} reads format {FORMAT}")
    second = data.find(b"\n", first + 1)
    line = data[first + 1 : second] if second > 0 else b""
    if hashlib.sha256(line).hexdigest().encode() != words[2]:
        raise ArtifactError("model file is cut off or its header is damaged; restore it, or run again")
    try:
        return ModelHeader.model_validate_json(line), second + 1
    except (ValidationError, MlopsError) as error:
        raise ArtifactError(f"model file with a header that cannot be read: {_described(error)}") from error


def _refuse_other_environment(header: ModelHeader) -> None:
    if header.python != _python():
        raise ArtifactError(
            f"{header.title} was made with Python {header.python}, this is {_python()}: "
            f"run it with {header.python}, or retrain it here"
        )
    here = {name: _version(name) for name in header.environment}
    other = [
        f"{name} {there} (here {here[name] or 'not installed'})"
        for name, there in sorted(header.environment.items())
        if here[name] != there
    ]
    if other:
        raise ArtifactError(
            f"{header.title} was made with {', '.join(other)}: install these versions, or retrain it here"
        )
    if _environment_digest(header.python, header.environment) != header.environment_digest:
        raise ArtifactError(f"{header.title}: the header's environment is not what its digest says")


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _environment_digest(python: str, environment: Mapping[str, str]) -> str:
    return digest_of({"python": python, "environment": dict(environment)})


@functools.cache
def _distributions_of_modules() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _distributions(modules: Iterable[str]) -> dict[str, str]:
    """Name and version of the distributions that the top-level modules come from; the standard library has none."""
    known = _distributions_of_modules()
    names = {name for module in modules if module not in sys.stdlib_module_names for name in known.get(module, ())}
    return {name: version for name in sorted(names - {FRAMEWORK}) if (version := _version(name)) is not None}


# Once per process: reading a distribution's metadata takes half a millisecond, a model refers to a dozen, and what was
# imported stays what it is.
@functools.cache
def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _late_imports(error: BaseException, package: str) -> set[str]:
    """The modules of the package whose import failed, if that is what lies behind the error."""
    found = set()
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, ImportError) and behind.name is not None and belongs(behind.name, package):
            found.add(behind.name)
        behind = behind.__cause__ or behind.__context__
    return found


def _late_import_error(header: ModelHeader, modules: Iterable[str]) -> PipelineError:
    names = ", ".join(sorted(modules))
    return PipelineError(
        f"{header.title}: predicting imports {names} inside a function, which a deployed model does not have; "
        f"import it at the top of the module that uses it"
    )


def _difference(predicted: "pd.DataFrame", expected: "pd.DataFrame") -> str:
    """What differs, in a few words; empty where nothing does."""
    if list(predicted.columns) != list(expected.columns):
        return f"columns {list(predicted.columns)} instead of {list(expected.columns)}"
    if not predicted.index.equals(expected.index):
        return f"{len(predicted)} rows with another index than the {len(expected)} expected"
    for column in expected.columns:
        there, here = expected[column], predicted[column]
        if there.dtype != here.dtype:
            return f"column {column!r} is {here.dtype} instead of {there.dtype}"
        if not here.equals(there):
            rows = int((~((here == there) | (here.isna() & there.isna()))).sum())
            return f"column {column!r} differs in {rows} of {len(expected)} rows"
    return ""


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
