"""Pickles that carry the code of one package by value, and load without that package.

cloudpickle does the pickling by value. Added here: module objects of the package (also dotted names and packages that
know each other), cached functions, a note of every module left by reference, and a way to load that shares nothing
with the imported package: classes are made anew at every load, and code from a pickle cannot import the package.
"""

import builtins
import functools
import importlib
import io
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

# What the import system puts into every module; it says where the code was, not what it does.
IMPORT_SYSTEM_NAMES = frozenset(
    {"__builtins__", "__cached__", "__file__", "__loader__", "__path__", "__spec__", "__warningregistry__"}
)

# Pickling needs the package's modules in place and verifying takes them away for a moment: never both at once.
_package_modules = threading.RLock()


class Pickled(NamedTuple):
    """A pickle, and the top-level modules that must be importable where it is loaded."""

    payload: bytes
    references: frozenset[str]


def belongs(module: str | None, package: str) -> bool:
    """Whether the module is the package or inside it."""
    return bool(package) and module is not None and (module == package or module.startswith(package + "."))


def pickle_by_value(value: Any, package: str) -> Pickled:
    """Pickle ``value`` with all it uses of ``package``; an empty package leaves every importable module out."""
    import cloudpickle

    with _package_modules, io.BytesIO() as file:
        imported = sys.modules.get(package)
        register = imported is not None and package not in cloudpickle.list_registry_pickle_by_value()
        if register:
            cloudpickle.register_pickle_by_value(imported)
        try:
            pickler = _pickler_class()(file, package)
            with _submodules_found_quickly():
                pickler.dump(value)
        finally:
            if register:
                cloudpickle.unregister_pickle_by_value(imported)
        tops = {module.partition(".")[0] for module in pickler.modules if not belongs(module, package)}
        return Pickled(file.getvalue(), frozenset(tops))


@functools.cache
def _pickler_class() -> Any:
    import cloudpickle

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no type information
        def __init__(self, file: io.BytesIO, package: str) -> None:
            super().__init__(file)
            self.package = package
            self.modules: set[str] = set()

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, ModuleType):
                if belongs(obj.__name__, self.package):
                    return _reduce_module(obj, _own_names(obj))
                if belongs(self.package, obj.__name__):
                    return _reduce_module(obj, {})
                self.modules.add(obj.__name__)
            else:
                module = getattr(obj, "__module__", None) or type(obj).__module__
                if isinstance(module, str):
                    self.modules.add(module)
                    if isinstance(obj, functools._lru_cache_wrapper) and belongs(module, self.package):
                        settings = obj.cache_parameters()
                        return restored_cache, (obj.__wrapped__, settings["maxsize"], settings["typed"])
            return super().reducer_override(obj)

    return ByValuePickler


@contextmanager
def _submodules_found_quickly() -> Iterator[None]:
    """Within, cloudpickle looks up which submodules a function uses; it would go through all modules for each function,
    which takes half of the time that a small model needs."""
    from cloudpickle import cloudpickle

    original = cloudpickle._find_imported_submodules
    cloudpickle._find_imported_submodules = imported_submodules
    try:
        yield
    finally:
        cloudpickle._find_imported_submodules = original


def imported_submodules(code: CodeType, names: Iterable[Any]) -> list[ModuleType]:
    """The submodules, imported by now, that code may reach by attribute from the modules among what it names."""
    found = []
    for module in names:
        if isinstance(module, ModuleType) and getattr(module, "__package__", None):
            below = _modules_below(len(sys.modules), next(reversed(sys.modules))).get(module.__name__, {})
            for first in (name for name in code.co_names if name in below):
                for rest, name in below[first]:
                    if rest <= set(code.co_names) and name in sys.modules:
                        found.append(sys.modules[name])
    return found


@functools.lru_cache(maxsize=1)
def _modules_below(count: int, last: str) -> Mapping[str, Mapping[str, list[tuple[frozenset[str], str]]]]:
    """By module, and by the first part of the names below it: all parts of each, and its whole name.

    As long as there are as many modules and none was imported since, they are the same.
    """
    below: dict[str, dict[str, list[tuple[frozenset[str], str]]]] = {}
    for name in list(sys.modules):
        parts = name.split(".")
        for depth in range(1, len(parts)):
            of_module = below.setdefault(".".join(parts[:depth]), {})
            of_module.setdefault(parts[depth], []).append((frozenset(parts[depth:]), name))
    return below


def _own_names(module: ModuleType) -> dict[str, Any]:
    """What a module defines. Submodules are left to the functions that use them, or all of a package would follow."""
    return {
        name: value
        for name, value in vars(module).items()
        if name not in IMPORT_SYSTEM_NAMES
        and not (isinstance(value, ModuleType) and value.__name__ == f"{module.__name__}.{name}")
    }


def _reduce_module(module: ModuleType, names: dict[str, Any]) -> tuple[Any, ...]:
    parent = sys.modules.get(module.__name__.rpartition(".")[0])
    return restored_module, (module.__name__, parent), names or None


def restored_module(name: str, parent: ModuleType | None) -> ModuleType:
    """An empty module, known to its parent; what it defines follows, so that modules may know each other."""
    module = ModuleType(name)
    if parent is not None:
        setattr(parent, name.rpartition(".")[2], module)
    return module


def restored_cache(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """The function with an empty cache of its own."""
    return functools.lru_cache(maxsize, typed)(function)


class ImportGuard:
    """The ``__import__`` of code that came from a pickle: everything but the package that the pickle carries.

    Whatever version of the package can be imported here need not be the one in the pickle, so taking it would mix
    two versions silently. ``refused`` keeps the names asked for, also where the asking code caught the error.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.refused: set[str] = set()
        self.builtins = {**vars(builtins), "__import__": self}

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> ModuleType:
        absolute = name
        if level:
            above = str((globals or {}).get("__package__") or "").split(".")
            absolute = ".".join([*above[: len(above) - level + 1], *filter(None, [name])])
        # "from package import module" asks for the module, "import package.module" for the package's own name.
        asked = [absolute, *(f"{absolute}.{item}" for item in fromlist or ())]
        own = [candidate for candidate in asked if belongs(candidate, self.package)]
        if own:
            raise self.refuse(own[-1])
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    def refuse(self, module: str) -> ModuleNotFoundError:
        """The error for an import of the package, noted."""
        self.refused.add(module)
        message = f"import of {module!r} inside a function: a stored model has only what is imported at module level"
        return ModuleNotFoundError(message, name=module)


def unpickle_apart(payload: bytes | memoryview, guard: ImportGuard) -> Any:
    """Load a pickle of ``pickle_by_value`` so that it neither uses nor changes the package imported here, if any.

    Only for payloads whose digest was checked: loading a pickle runs code.
    """
    return _ApartUnpickler(io.BytesIO(payload), guard).load()


class _ApartUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, guard: ImportGuard) -> None:
        super().__init__(file)
        self.guard = guard
        # By name, so that a file stays readable when these functions move, or another ``resources`` comes first.
        self.own: dict[tuple[str, str], Any] = {
            ("resources.model_pickle", "restored_module"): restored_module,
            ("resources.model_pickle", "restored_cache"): restored_cache,
            ("cloudpickle.cloudpickle", "_make_function"): self._function,
            ("cloudpickle.cloudpickle", "subimport"): self._module,
        }

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) in self.own:
            return self.own[module, name]
        if belongs(module, self.guard.package):
            raise pickle.UnpicklingError(f"{module}.{name} is stored by its name only, as its __reduce__ asks")
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle":
            if name in ("_make_skeleton_class", "_make_skeleton_enum"):
                return functools.partial(_untracked, found)
            if name == "_function_setstate":
                return functools.partial(self._set_function_state, found)
        return found

    def _function(self, code: Any, names: dict[str, Any], name: Any, defaults: Any, closure: Any) -> FunctionType:
        names["__builtins__"] = self.guard.builtins
        return FunctionType(code, names, name, defaults, closure)

    def _set_function_state(self, original: Callable[..., Any], function: FunctionType, state: Any) -> Any:
        result = original(function, state)
        # cloudpickle has put the usual builtins back, which functions made inside this one would take.
        function.__globals__["__builtins__"] = self.guard.builtins
        return result

    def _module(self, name: str) -> ModuleType:
        if belongs(name, self.guard.package):
            raise self.guard.refuse(name)
        return importlib.import_module(name)


def _untracked(make: Callable[..., type], *arguments: Any) -> type:
    """Make a class without cloudpickle's tracker, which would hand out, and overwrite, the class that was pickled."""
    *kept, _tracker_id, extra = arguments
    return make(*kept, None, extra)


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Within, no import finds the package, by whatever means; afterwards all is as before.

    Holds for the whole process: another thread that imports the package meanwhile gets a ModuleNotFoundError.
    """
    with _package_modules:
        taken = {name: sys.modules[name] for name in _imported_of(package)}
        # None is how Python itself is told that a module may not be imported.
        sys.modules.update(dict.fromkeys([package, *taken]))  # type: ignore[arg-type]
        try:
            yield
        finally:
            for name in _imported_of(package):
                del sys.modules[name]
            sys.modules.update(taken)


def _imported_of(package: str) -> list[str]:
    """What ``belongs`` says of each of the thousands of modules, without a call for each."""
    below = f"{package}."
    # A copy, made in one go: another thread may import meanwhile.
    found = [name for name in list(sys.modules) if name.startswith(package)]
    return [name for name in found if name == package or name.startswith(below)]
