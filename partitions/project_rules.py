"""What must hold between the parts of a project: declarations and pipeline, the subprojects among themselves."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from pydantic import BaseModel

from partitions.contract import PipelineContract
from partitions.errors import DeclarationError, Problem, nearest
from partitions.gates import Gate
from partitions.hpo import HPO
from partitions.names import clashes
from partitions.parameters import bind_config, merge, plain_params
from partitions.search_space import SearchSpace
from partitions.stages import Stage
from partitions.subproject import Subproject

# Dagster allows this many partitions of one asset.
MAX_SUBPROJECTS = 100_000


class Declared(Protocol):
    """The fields of a project, before it is known to be valid."""

    @property
    def subprojects(self) -> Sequence[Subproject]: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def search_space(self) -> SearchSpace: ...
    @property
    def hpo(self) -> HPO | None: ...
    @property
    def gates(self) -> Sequence[Gate]: ...
    @property
    def stages(self) -> Sequence[Stage]: ...
    @property
    def not_code(self) -> Sequence[str]: ...


def project_problems(project: Declared, contract: PipelineContract) -> list[Problem]:
    """Everything wrong in the project, in the order of its fields, with paths such as ``subprojects[3].hpo.metric``."""
    params = list(contract.check_params({}, project.params))
    base = {} if params else project.params
    problems = _below("params", params)
    problems += _below("search_space", contract.check_space(project.search_space.dimensions, base))
    if project.hpo is not None:
        problems += _below("hpo", contract.check_hpo(project.hpo, project.search_space))
    problems += _below("gates", contract.check_gates(project.gates))
    problems += _below("stages", contract.check_stages(project.stages, base))
    for position, pattern in enumerate(project.not_code):
        if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            reason = f"expected a pattern of files below the package's folder, not {pattern!r}"
            problems.append(Problem(f"not_code[{position}]", reason))
    if len(project.subprojects) > MAX_SUBPROJECTS:
        problems.append(Problem("subprojects", f"{len(project.subprojects)} of them; at most {MAX_SUBPROJECTS}"))
    problems += _below("subprojects", clashes(subproject.key for subproject in project.subprojects))
    for position, subproject in enumerate(project.subprojects):
        for problem in _subproject_problems(subproject, project, contract, base):
            path, message = problem.below(f"subprojects[{position}]")
            problems.append(Problem(path, f"{message} (subproject {subproject.key!r})"))
    return problems


def bound_config(subproject: Subproject, contract: PipelineContract) -> BaseModel:
    """The subproject's configuration as an instance of the pipeline's type of configuration."""
    config = subproject.config
    if isinstance(config, contract.config):
        return config
    if isinstance(config, BaseModel):
        reason = f"expected an instance of {contract.config.__name__}, not of {type(config).__name__}"
        raise DeclarationError("", reason)
    bound: BaseModel = bind_config(contract.config, config, "")
    return bound


def _subproject_problems(
    subproject: Subproject, project: Declared, contract: PipelineContract, base: Mapping[str, Any]
) -> list[Problem]:
    problems: list[Problem] = []
    with _collecting(problems, "config"):
        plain_params(bound_config(subproject, contract), "")
    if subproject.params:
        wrong = _below("params", contract.check_params(base, subproject.params))
        base = base if wrong else merge(base, subproject.params)
        problems += wrong
    space, hpo = project.search_space, project.hpo
    if subproject.search_space is not None:
        with _collecting(problems, "search_space"):
            space = subproject.space_over(space)
        problems += _below("search_space", contract.check_space(subproject.own_dimensions(), base))
    with _collecting(problems, "hpo"):
        hpo = subproject.hpo_over(hpo)
    if hpo is not None and (hpo is not project.hpo or space is not project.search_space):
        problems += _below("hpo", contract.check_hpo(hpo, space))
    problems += _below("gates", contract.check_gates(subproject.gates or ()))
    if subproject.stages is not None:
        problems += _below("stages", contract.check_stages(subproject.stages, base))
        problems += _below("stages", _order_problems(subproject.stages, [stage.name for stage in project.stages]))
    return problems


def _order_problems(stages: Sequence[Stage], declared: Sequence[str]) -> Iterator[Problem]:
    """A subproject's stages are among the project's, in their order: each stage is an asset of the whole project."""
    for position, stage in enumerate(stages):
        if stage.name not in declared:
            yield Problem(f"[{position}].name", nearest(stage.name, declared, noun="stage of the project"))
    places = [declared.index(stage.name) for stage in stages if stage.name in declared]
    if places != sorted(places):
        yield Problem("", f"expected the order of the project's stages: {', '.join(declared)}")


def _below(path: str, problems: "Iterator[Problem] | Sequence[Problem]") -> list[Problem]:
    return [problem.below(path) for problem in problems]


@contextmanager
def _collecting(problems: list[Problem], path: str) -> Iterator[None]:
    try:
        yield
    except DeclarationError as error:
        problems += _below(path, error.problems)
