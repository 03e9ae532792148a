"""Would a code version take the configuration and the data of another run? Asked of that code, before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlops_assets.assets.launch import Ports
from mlops_assets.assets.replaying import ReadyCode
from mlops_assets.tracking.record import flat
from partitions.errors import MlopsError
from partitions.parameters import bind_config, bind_params, config_type, known_values, params_type, plain_params
from partitions.reference import PipelineReference


@dataclass(frozen=True)
class Question:
    """Configuration and parameters of a run of another code version, and the columns of several datasets."""

    reference: PipelineReference
    where: str
    config: dict[str, Any]
    params: dict[str, Any]
    columns: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Answer:
    """What becomes of them: values as this code would record them, with its defaults for what is not given.

    unknown: fields that this code does not know and that are left out. defaults: fields that were not given.
    refused: why this configuration cannot be run. lacking: for each dataset why it cannot, or None.
    """

    config: dict[str, Any]
    params: dict[str, Any]
    unknown: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    refused: str | None = None
    lacking: tuple[str | None, ...] = ()


def ask(ports: Ports, ready: ReadyCode, question: Question) -> Answer:
    """The answer of a code version, from a process of its own. Raises MlopsError where that code does not even load."""
    compute = replace(ports.compute, backend="processes", address=None)
    (outcome,) = compute.map(answer, [question], environment=ready.environment)
    return outcome.get()


def answer(question: Question) -> Answer:
    """Asked in a worker that has the code version."""
    pipeline = question.reference.load()
    schema = pipeline.schema
    needed = [name for name in (schema.key, schema.target, schema.time, *schema.features) if name is not None]
    lacking = tuple(_lacking(needed, columns) for columns in question.columns)
    config, strange_config = known_values(config_type(pipeline), question.config)
    params, strange_params = known_values(params_type(pipeline), question.params)
    unknown = (*(f"config.{name}" for name in strange_config), *(f"params.{name}" for name in strange_params))
    try:
        bind_config(config_type(pipeline), config, question.where)
        bound = plain_params(bind_params(params_type(pipeline), params, question.where), question.where)
    except MlopsError as error:
        refused = " ".join(str(error).split())
        return Answer(config, params, unknown, refused=refused, lacking=lacking)
    given = flat("params", params)
    defaults = tuple(name for name in flat("params", bound) if name not in given)
    return Answer(config, bound, unknown, defaults, lacking=lacking)


def _lacking(needed: Sequence[str], columns: Sequence[str]) -> str | None:
    missing = [name for name in needed if name not in columns]
    return f"the data has no column {', '.join(map(repr, missing))}, which the code needs" if missing else None
