"""A pipeline's own types of configuration and parameters, and the binding of given values to them."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from partitions.errors import DeclarationError, Problem, nearest
from partitions.pipeline import Config, Parameters, Pipeline
from partitions.plain import plain
from partitions.problems import members_of, problems_of, shown
from partitions.yaml_text import read_yaml

AnyPipeline = Pipeline[Any, Any]


def config_type(pipeline: AnyPipeline) -> type[BaseModel]:
    """The C of ``Pipeline[C, P]``, also through subclasses; Config where none is given."""
    return _argument(type(pipeline), 0, Config)


def params_type(pipeline: AnyPipeline) -> type[BaseModel]:
    """The P of ``Pipeline[C, P]``, also through subclasses; Parameters where none is given."""
    return _argument(type(pipeline), 1, Parameters)


@functools.cache
def _argument(pipeline: type[AnyPipeline], position: int, default: type[BaseModel]) -> type[BaseModel]:
    argument = _arguments(pipeline)[position]
    if isinstance(argument, TypeVar):
        return default
    if isinstance(argument, type) and issubclass(argument, BaseModel):
        return argument
    role = ("configuration", "parameters")[position]
    raise DeclarationError(
        pipeline.__name__, f"the type of {role} is {shown(argument)}; expected a subclass of {default.__name__}"
    )


def _arguments(pipeline: type) -> tuple[Any, Any]:
    """What stands for C and P of Pipeline in this class: types, or type variables still open."""
    for base in getattr(pipeline, "__orig_bases__", ()) if "__orig_bases__" in vars(pipeline) else pipeline.__bases__:
        origin = get_origin(base) or base
        if origin is Pipeline:
            first, second = get_args(base) or Pipeline.__parameters__  # type: ignore[attr-defined]
            return first, second
        if isinstance(origin, type) and issubclass(origin, Pipeline):
            given = dict(zip(getattr(origin, "__parameters__", ()), get_args(base), strict=False))
            first, second = (given.get(a, a) if isinstance(a, TypeVar) else a for a in _arguments(origin))
            return first, second
    raise DeclarationError(pipeline.__name__, "is not a subclass of Pipeline")


def bind_params(model: type[BaseModel], values: Mapping[str, Any], where: str) -> Any:
    """An instance of ``model`` with ``values``, defaults for the rest.

    Raises DeclarationError, led by ``where``, with a line for each unknown name (the nearest offered) and each value
    that is not of its type. Text is never read as a number, nor a number as true or false.
    """
    return _bound(model, values, where, "parameter")


def bind_config(model: type[BaseModel], values: Mapping[str, Any], where: str) -> Any:
    """As ``bind_params``, for a subproject's configuration."""
    return _bound(model, values, where, "configuration field")


def known_values(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Those of ``values`` that ``model`` has a field for, and the paths of the others: for another version's values."""
    model.model_rebuild()
    unknown = [problem.path for problem in _unknown_names(model, values, "", "field")]
    return _without(values, set(unknown), ""), unknown


def _without(values: Mapping[str, Any], paths: set[str], above: str) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if f"{above}{name}" not in paths}
    return {
        name: _without(value, paths, f"{above}{name}.") if isinstance(value, Mapping) else value
        for name, value in kept.items()
    }


def plain_params(bound: BaseModel, where: str) -> dict[str, Any]:
    """A bound value as plain data, which is what is stored; refuses what JSON cannot hold (see ``plain``)."""
    try:
        fields: dict[str, Any] = plain(bound.model_dump(mode="json"))
    except DeclarationError as error:
        raise DeclarationError(where, error.problems) from error
    return fields


def _bound(model: type[BaseModel], values: Mapping[str, Any], where: str, noun: str) -> BaseModel:
    model.model_rebuild()  # does nothing but where a class written further down is named
    problems = list(_unknown_names(model, values, "", noun))
    if problems:
        raise DeclarationError(where, problems)
    try:
        bound = model.model_validate(dict(values))
    except ValidationError as error:
        raise DeclarationError(where, problems_of(error, values, model)) from error
    problems = list(_misread(values, bound, ""))
    if problems:
        raise DeclarationError(where, problems)
    return bound


def _unknown_names(model: type[BaseModel], values: Mapping[str, Any], path: str, noun: str) -> Iterable[Problem]:
    """Also in models that would silently ignore them, which is pydantic's default."""
    if model.model_config.get("extra") == "allow":
        return
    accepted = {name for field, info in model.model_fields.items() for name in (field, info.alias) if name}
    for name, value in values.items():
        here = f"{path}.{name}" if path else str(name)
        if name not in accepted:
            yield Problem(here, nearest(str(name), model.model_fields, noun=noun))
            continue
        allowed = members_of(model.model_fields[name].annotation) if name in model.model_fields else []
        below = allowed[0] if len(allowed) == 1 else None
        if isinstance(value, Mapping) and isinstance(below, type) and issubclass(below, BaseModel):
            yield from _unknown_names(below, value, here, noun)


def _misread(given: Any, bound: Any, path: str) -> Iterable[Problem]:
    """Pydantic reads "4" as 4 and true as 1. In a run configuration that is a slip of the pen."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            below = bound.get(name) if isinstance(bound, Mapping) else getattr(bound, str(name), None)
            yield from _misread(value, below, f"{path}.{name}" if path else str(name))
    elif isinstance(given, list | tuple):
        if isinstance(bound, list | tuple) and len(bound) == len(given):
            for position, (value, below) in enumerate(zip(given, bound, strict=True)):
                yield from _misread(value, below, f"{path}[{position}]")
    elif isinstance(bound, bool) and not isinstance(given, bool):
        yield Problem(path, f"expected true or false, not {shown(given)}")
    elif isinstance(bound, int | float) and not isinstance(bound, bool) and isinstance(given, bool | str):
        noun = "a whole number" if isinstance(bound, int) else "a number"
        yield Problem(path, f"expected {noun}, not {shown(given)}")


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """``["max_depth=4", "split.test_size=0.3"]`` as ``{"max_depth": 4, "split": {"test_size": 0.3}}``.

    Values are read as YAML, so ``[1, 2]``, ``null`` and ``"4"`` (text) can be said. A name given twice is refused.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        parts = name.strip().split(".")
        if not equals or not all(parts):
            raise DeclarationError("", f"expected name=value, not {assignment!r}")
        here = values
        for part in parts[:-1]:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise DeclarationError("", f"{name.strip()!r} is given below a value, in {assignment!r}")
        if parts[-1] in here:
            raise DeclarationError("", f"{name.strip()!r} is given twice")
        here[parts[-1]] = plain(read_yaml(text, assignment))
    return values


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``override`` put in; mappings on both sides are merged the same way."""
    merged = dict(base)
    for name, value in override.items():
        below = merged.get(name)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[name] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged
