"""Whether the code at a code version takes an HPO configuration: asked before anything starts, of that code itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.learning.search.samplers import check_sampler
from partitions.contract import PipelineContract
from partitions.errors import DeclarationError, MlopsError, Problem
from partitions.hpo import HPO
from partitions.parameters import bind_params, plain_params
from partitions.reference import PipelineReference
from partitions.search_space import SearchSpace
from partitions.values import canonical_json
from resources.compute import Compute, Environment, Outcome


@dataclass(frozen=True)
class Asked:
    """What is asked of the code: parameters to start from, the space that is sampled, and how."""

    reference: PipelineReference
    params: Mapping[str, Any]
    space: SearchSpace
    hpo: HPO

    @property
    def mark(self) -> str:
        """Equal for what is asked alike; thousands of subprojects ask few different things."""
        return canonical_json([dict(self.params), self.space.model_dump(mode="json"), self.hpo.model_dump(mode="json")])


def accepted(asked: Asked) -> dict[str, Any]:
    """The parameters, complete with the defaults of the code. Raises DeclarationError with everything it refuses."""
    contract = PipelineContract.of(asked.reference.load())
    problems: list[Problem] = [p.below("search_space") for p in contract.check_space(asked.space.dimensions, {})]
    problems += [problem.below("hpo") for problem in contract.check_hpo(asked.hpo, asked.space)]
    if not asked.space.dimensions:
        problems.append(Problem("search_space", "is empty: declare which parameters may take which values"))
    if problems:
        raise DeclarationError("", problems)
    check_sampler(asked.hpo)
    return plain_params(bind_params(contract.params, asked.params, ""), "")


def all_accepted(
    asked: Mapping[str, Asked], where: str, compute: Compute, environment: Environment | None
) -> dict[str, dict[str, Any]]:
    """The complete parameters of each subproject. Raises DeclarationError, naming the first one that is refused."""
    marks = {key: one.mark for key, one in asked.items()}
    different = list({mark: key for key, mark in reversed(marks.items())}.values())
    if environment is None:
        answers: Iterable[tuple[str, dict[str, Any]]] = (
            (key, _here(asked[key], f"{where}/{key}")) for key in different
        )
    else:
        outcomes = compute.map(accepted, [asked[key] for key in different], environment=environment)
        answers = ((different[one.index], _there(one, f"{where}/{different[one.index]}")) for one in outcomes)
    complete = {marks[key]: answer for key, answer in answers}
    return {key: complete[mark] for key, mark in marks.items()}


def _here(asked: Asked, where: str) -> dict[str, Any]:
    try:
        return accepted(asked)
    except DeclarationError as error:
        raise DeclarationError(where, error.problems) from error


def _there(outcome: Outcome[dict[str, Any]], where: str) -> dict[str, Any]:
    if outcome.error is not None:
        raise MlopsError(f"{where}: {outcome.error}")
    return outcome.get()
