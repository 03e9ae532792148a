"""The HPO configuration: how the search space is sampled, how trials are judged, and what they may cost."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from partitions.errors import DeclarationError, Problem, nearest
from partitions.plain import Plain
from partitions.problems import shown
from partitions.values import Value, digest_of
from partitions.yaml_text import read_yaml, write_yaml

Direction = Literal["minimize", "maximize"]
Sampler = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"]
Pruner = Literal["none", "median", "percentile", "wilcoxon", "successive_halving", "hyperband"]

# Optuna's own names of the options that plain data can give. Optuna is too slow to import when a project loads.
SAMPLER_OPTIONS: dict[str, tuple[str, ...]] = {
    "tpe": (
        "prior_weight",
        "consider_endpoints",
        "n_startup_trials",
        "n_ei_candidates",
        "multivariate",
        "group",
        "constant_liar",
    ),
    "random": (),
    "grid": (),
    "gp": ("n_startup_trials", "deterministic_objective"),
    "cmaes": ("sigma0", "n_startup_trials", "consider_pruned_trials", "popsize", "use_separable_cma", "with_margin"),
    "qmc": ("qmc_type", "scramble"),
}
PRUNER_OPTIONS: dict[str, tuple[str, ...]] = {
    "none": (),
    "median": ("n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"),
    "percentile": ("percentile", "n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"),
    "wilcoxon": ("p_threshold", "n_startup_steps"),
    "successive_halving": ("min_resource", "reduction_factor", "min_early_stopping_rate", "bootstrap_count"),
    "hyperband": ("min_resource", "max_resource", "reduction_factor", "bootstrap_count"),
}
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class HPO(Value):
    """One HPO run is this, a subproject and a code version.

    metric, direction: what is optimised. sampler, pruner and their options: Optuna's.
    trials, timeout (seconds): the budget; whichever is spent first ends the run. folds, seeds: a trial is judged over
    folds x seeds runs. concurrency: trials at the same time; None as many as the resources allow.
    cpus, gpus, memory (bytes, or text like "2GB"): what one run of a trial needs.
    parameters: the part of the search space that is sampled; None all of it.
    reuse: which earlier runs are told to the sampler. transfer: whether siblings' best configurations are tried first.
    rule: how the best configuration is chosen. max_failures: so many failed trials in a row stop the HPO run.
    """

    metric: str
    direction: Direction
    sampler: Sampler = "tpe"
    sampler_options: dict[str, Plain] = Field(default_factory=dict)
    pruner: Pruner = "none"
    pruner_options: dict[str, Plain] = Field(default_factory=dict)
    trials: int = Field(default=50, ge=1)
    timeout: Positive | None = None
    folds: int | None = Field(default=None, ge=2)
    seeds: int = Field(default=1, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    cpus: Positive = 1.0
    gpus: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    memory: int | None = Field(default=None, gt=0)
    parameters: tuple[str, ...] | None = None
    reuse: Literal["same", "same-data", "all", "none"] = "same"
    transfer: Literal["siblings", "none"] = "siblings"
    rule: Literal["best-mean", "one-standard-error"] = "best-mean"
    max_failures: int = Field(default=5, ge=1)

    @field_validator("memory", mode="before")
    @classmethod
    def _in_bytes(cls, memory: Any) -> Any:
        if not isinstance(memory, str):
            return memory
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", memory, re.IGNORECASE)
        if match is None or match[2].lower() not in _UNITS:
            raise DeclarationError("", f"expected bytes, or text like '500MB' or '2GiB', not {memory!r}")
        return int(float(match[1]) * _UNITS[match[2].lower()])

    @field_validator("parameters")
    @classmethod
    def _named_once(cls, parameters: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if parameters is not None and not parameters:
            raise DeclarationError("", "names no parameter; leave it out to sample the whole space")
        if parameters is not None and len(set(parameters)) != len(parameters):
            raise DeclarationError("", "names a parameter twice")
        return parameters

    @model_validator(mode="after")
    def _consistent(self) -> "HPO":
        problems = _option_problems("sampler", self.sampler, self.sampler_options, SAMPLER_OPTIONS)
        problems += _option_problems("pruner", self.pruner, self.pruner_options, PRUNER_OPTIONS)
        if self.pruner == "percentile" and "percentile" not in self.pruner_options:
            problems.append(Problem("pruner_options", "the percentile pruner needs a percentile"))
        if self.runs_per_trial == 1 and self.pruner != "none":
            problems.append(Problem("pruner", f"{self.pruner} prunes between folds or seeds: a trial here is one run"))
        if self.runs_per_trial == 1 and self.rule == "one-standard-error":
            problems.append(Problem("rule", "one-standard-error needs folds or seeds: a trial here is one run"))
        if problems:
            raise DeclarationError("", problems)
        return self

    @property
    def runs_per_trial(self) -> int:
        """folds x seeds; without folds, one run for each seed."""
        return (self.folds or 1) * self.seeds

    @property
    def digest(self) -> str:
        """64 hexadecimal characters over all fields, defaults included."""
        return digest_of(self.model_dump(mode="json"))

    def to_yaml(self, comment: str = "") -> str:
        """The HPO configuration file, led by ``comment``. ``hpo_fields`` reads it back."""
        header = "".join(f"# {line}\n" for line in comment.splitlines())
        return header + write_yaml(self.model_dump(mode="json"))

    def changed(self, **fields: Any) -> Self:
        """This configuration with some fields replaced, validated anew."""
        stated = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        return type(self)(**{**stated, **fields})


def hpo_fields(text: str, source: str) -> dict[str, Any]:
    """The fields that an HPO configuration file states. Errors name ``source``, the file."""
    fields = read_yaml(text, source)
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise DeclarationError(source, f"expected fields such as sampler and trials, not {shown(fields)}")
    unknown = next((name for name in fields if name not in HPO.model_fields), None)
    if unknown is not None:
        raise DeclarationError(source, nearest(str(unknown), HPO.model_fields, noun="field"))
    return fields


def _option_problems(role: str, name: str, given: dict[str, Any], options: dict[str, tuple[str, ...]]) -> list[Problem]:
    unknown = [option for option in given if option not in options[name]]
    path = f"{role}_options"
    if unknown and not options[name]:
        return [Problem(path, f"the {role} {name!r} takes no options, given {', '.join(unknown)}")]
    return [Problem(path, nearest(option, options[name], noun=f"option of the {role} {name!r}")) for option in unknown]
