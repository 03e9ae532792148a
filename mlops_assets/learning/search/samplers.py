"""Optuna's samplers and pruners by their names."""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from mlops_assets.learning.search.dimensions import CIRCUMSTANCE, Dimensions
from partitions.errors import DeclarationError
from partitions.hpo import HPO
from partitions.search_space import SearchSpace

# What Optuna itself asks for only when the first trial is sampled.
PACKAGES = {"gp": ("scipy", "torch"), "cmaes": ("cmaes",), "qmc": ("scipy",)}
EVERY_SEED = 2**32
SEEDS_APART = 1_000_003


def check_sampler(hpo: HPO) -> None:
    """Raises DeclarationError where the sampler needs a package that is not installed, or refuses its options."""
    missing = [package for package in PACKAGES.get(hpo.sampler, ()) if importlib.util.find_spec(package) is None]
    if missing:
        names = " ".join(missing)
        raise DeclarationError("hpo", f"sampler: {hpo.sampler!r} needs {names}: `pip install {names}`, or take 'tpe'")
    if hpo.sampler != "grid":
        sampler(hpo, 0, 0, Dimensions(SearchSpace(), {}))
    pruner(hpo)


def sampler(hpo: HPO, seed: int, number: int, dimensions: Dimensions, earlier: Any = None) -> Any:
    """The sampler with its options, seeded for the trial of this number.

    ``earlier``: one of the same search, which has looked already at what most trials have in common.
    """
    from optuna import samplers

    of_trial = (seed + SEEDS_APART * (number + 1)) % EVERY_SEED
    kinds = {
        "tpe": samplers.TPESampler,
        "random": samplers.RandomSampler,
        "gp": samplers.GPSampler,
        "cmaes": samplers.CmaEsSampler,
        "qmc": samplers.QMCSampler,
    }
    options: dict[str, Any] = dict(hpo.sampler_options)
    if hpo.sampler == "tpe" and dimensions.conditional:
        # Otherwise parameters that only some trials have are sampled without regard to the others.
        options.setdefault("group", True)
    if hpo.sampler in ("tpe", "gp", "cmaes", "qmc"):
        options["warn_independent_sampling"] = False
    if hpo.sampler == "qmc":
        # It counts its points itself, which have one seed throughout; before the first value is told it draws others.
        options |= {
            "warn_asynchronous_seeding": False,
            "independent_sampler": samplers.RandomSampler(seed % EVERY_SEED),
        }
        seed = 0
    with _said_as("sampler_options"):
        made = kinds[hpo.sampler](seed=of_trial, **options)
    if earlier is not None and hpo.sampler == "tpe" and not options.get("group"):
        made = with_space_of(earlier, made)
    return asking_here(made) if CIRCUMSTANCE in dimensions.sampled else made


def pruner(hpo: HPO) -> Any:
    """The pruner with its options."""
    from optuna import pruners

    kinds = {
        "none": pruners.NopPruner,
        "median": pruners.MedianPruner,
        "percentile": pruners.PercentilePruner,
        "wilcoxon": pruners.WilcoxonPruner,
        "successive_halving": pruners.SuccessiveHalvingPruner,
        "hyperband": pruners.HyperbandPruner,
    }
    options: dict[str, Any] = dict(hpo.pruner_options)
    if hpo.pruner == "hyperband":
        # "auto" would know the number of runs of a trial only after the first trial.
        options.setdefault("max_resource", hpo.runs_per_trial)
    if hpo.pruner in ("median", "percentile") and "n_startup_trials" not in options:
        options["n_startup_trials"] = min(5, max(1, hpo.trials // 4))
    with _said_as("pruner_options"):
        return kinds[hpo.pruner](**options)


def with_space_of(earlier: Any, inner: Any) -> Any:
    """The sampler ``inner``, which need not look at all trials again to know their space: ``earlier`` remembers it."""

    class WithSpaceOfEarlier(_delegating()):  # type: ignore[misc]  # a class that is known only once Optuna is loaded
        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return earlier.infer_relative_search_space(study, trial)

    return WithSpaceOfEarlier(inner)


def asking_here(inner: Any) -> Any:
    """The same sampler, asking for what is run here only, whatever other circumstances it knows values of."""

    class AskingHere(_delegating()):  # type: ignore[misc]  # a class that is known only once Optuna is loaded
        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            sampled = inner.sample_relative(study, trial, search_space)
            return {**sampled, CIRCUMSTANCE: 0} if CIRCUMSTANCE in sampled else sampled

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return 0 if name == CIRCUMSTANCE else inner.sample_independent(study, trial, name, distribution)

    return AskingHere(inner)


@cache
def _delegating() -> Any:
    """The class of samplers that do what another one does."""
    from optuna.samplers import BaseSampler

    class Delegating(BaseSampler):  # type: ignore[misc, unused-ignore]  # Optuna has no types
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self._inner.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return self._inner.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return self._inner.sample_independent(study, trial, name, distribution)

        def before_trial(self, study: Any, trial: Any) -> None:
            self._inner.before_trial(study, trial)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            self._inner.after_trial(study, trial, state, values)

    return Delegating


@contextmanager
def _said_as(path: str) -> Iterator[None]:
    """Optuna's errors as ours; its warnings about options that are not settled yet are not for people here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (TypeError, ValueError, ImportError) as error:
        raise DeclarationError("hpo", f"{path}: {' '.join(str(error).split())}") from error
