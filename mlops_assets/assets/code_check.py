"""Does a code version take what is registered? Asked of that version itself, before anything starts."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from partitions.errors import CodeVersionError, MlopsError
from partitions.parameters import bind_config, bind_params, config_type, params_type
from partitions.reference import PROJECT_FILE, PipelineReference
from partitions.values import canonical_json
from resources.compute import Compute, Environment

SHOWN = 5


@dataclass(frozen=True)
class Wanted:
    """What a version is asked to run: by subproject, its configuration and its parameters."""

    project: str
    reference: PipelineReference
    asked: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]
    declared: bool


def refuse_code(compute: Compute, environment: Environment | None, name: str, wanted: Wanted) -> None:
    """Raises CodeVersionError where the version lacks a subproject, or a parameter or configuration field of one.

    ``environment``: None for the code that this process has imported.
    """
    (outcome,) = compute.map(refusals, [wanted], environment=environment)
    if outcome.error is not None:
        raise CodeVersionError(f"{name} of project {wanted.project!r} cannot be run: {outcome.error}")
    refused = outcome.get()
    if not refused:
        return
    lines = list(dict.fromkeys(refused.values()))
    more = f" (and {len(refused) - SHOWN} more)" if len(refused) > SHOWN else ""
    first = "; ".join(lines[:SHOWN])
    raise CodeVersionError(
        f"{name} of project {wanted.project!r} does not take what is registered of {', '.join(list(refused)[:SHOWN])}"
        f"{more}: {first}; nothing was started"
    )


def refusals(wanted: Wanted) -> dict[str, str]:
    """Why this code does not take them, by subproject. Runs where that code is the one that is imported."""
    pipeline = wanted.reference.load()
    config, params = config_type(pipeline), params_type(pipeline)
    known = _declared(wanted.reference) if wanted.declared else None
    refused: dict[str, str] = {}
    judged: dict[str, str | None] = {}
    for key, (its_config, its_params) in wanted.asked.items():
        if known is not None and key not in known:
            refused[key] = f"it declares no subproject {key}"
            continue
        # Thousands of subprojects have few different parameters: each is bound once.
        text = canonical_json(its_params)
        if text not in judged:
            judged[text] = _refusal(bind_params, params, its_params)
        reason = _refusal(bind_config, config, its_config) or judged[text]
        if reason is not None:
            refused[key] = reason
    return refused


Bind = Callable[[type[BaseModel], Mapping[str, Any], str], Any]


def _refusal(bind: Bind, model: type[BaseModel], values: Mapping[str, Any]) -> str | None:
    try:
        bind(model, values, "")
    except MlopsError as error:
        return "; ".join(str(error).splitlines())
    return None


def _declared(reference: PipelineReference) -> set[str] | None:
    """The subprojects that project.py of this version declares; None where that cannot be told.

    What is trained is what is registered now. But a version from before a subproject was thought of was never made for
    it: to use it all the same, say so in project.py there.
    """
    if reference.config_file is None:
        return None
    try:
        module = importlib.import_module(f"{reference.package}.{PROJECT_FILE.removesuffix('.py')}")
    except Exception:  # noqa: BLE001 - it may read files that are no part of a version, or use a framework of its time
        return None
    project = getattr(module, "project", None)
    keys = getattr(project, "keys", None)
    return set(keys) if isinstance(keys, tuple) else None
