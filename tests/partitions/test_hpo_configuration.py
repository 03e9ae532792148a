import inspect
from typing import Any

import pytest

from partitions.errors import DeclarationError
from partitions.hpo import HPO, PRUNER_OPTIONS, SAMPLER_OPTIONS


def hpo(**fields: Any) -> HPO:
    return HPO(**{"metric": "rmse", "direction": "minimize", **fields})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"direction": "min"}, "direction: expected 'minimize' or 'maximize', not 'min'"),
        ({"sampler": "tp"}, "sampler: expected 'tpe', 'random'"),
        ({"trials": 0}, "trials: expected greater than or equal to 1"),
        ({"folds": 1}, "folds: expected greater than or equal to 2"),
        ({"seeds": 0}, "seeds: expected"),
        ({"timeout": 0}, "timeout: expected greater than 0"),
        ({"cpus": 0}, "cpus: expected greater than 0"),
        ({"gpus": -1}, "gpus: expected"),
        ({"memory": "lots"}, "memory: expected bytes, or text like '500MB' or '2GiB', not 'lots'"),
        ({"concurrency": 0}, "concurrency: expected"),
        ({"parameters": []}, "parameters: names no parameter"),
        ({"parameters": ["a", "a"]}, "parameters: names a parameter twice"),
        ({"reuse": "some"}, "reuse: expected 'same', 'same-data', 'all' or 'none'"),
        ({"rule": "luck"}, "rule: expected 'best-mean' or 'one-standard-error'"),
        ({"rule": "one-standard-error"}, "one-standard-error needs folds or seeds"),
        ({"pruner": "median"}, "pruner: median prunes between folds or seeds"),
        ({"pruner": "percentile", "folds": 5}, "pruner_options: the percentile pruner needs a percentile"),
        (
            {"sampler_options": {"n_startup": 5}},
            "unknown option of the sampler 'tpe' 'n_startup'; nearest: n_startup_trials",
        ),
        ({"sampler": "random", "sampler_options": {"x": 5}}, "the sampler 'random' takes no options, given x"),
        ({"pruner": "wilcoxon", "folds": 3, "pruner_options": {"p": 1}}, "unknown option of the pruner 'wilcoxon' 'p'"),
        ({"sampler_options": {"prior_weight": float("nan")}}, "sampler_options.prior_weight: expected a finite number"),
        ({"max_failures": 0}, "max_failures: expected"),
        ({"trails": 4}, "trails: unknown field 'trails'; nearest: trials"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError) as error:
        hpo(**fields)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "in_bytes"),
    [("2GB", 2 * 10**9), ("500 mb", 5 * 10**8), ("2GiB", 2**31), ("1.5G", 15 * 10**8), ("100", 100), (100, 100)],
)
def test_memory_is_kept_in_bytes(text: Any, in_bytes: int) -> None:
    assert hpo(memory=text).memory == in_bytes


def test_a_trial_is_folds_times_seeds_runs() -> None:
    assert hpo().runs_per_trial == 1
    assert hpo(folds=5, seeds=2).runs_per_trial == 10
    assert hpo(seeds=3, pruner="median").runs_per_trial == 3


def test_a_change_is_validated_as_a_whole_and_remembers_what_was_said() -> None:
    changed = hpo(folds=5, pruner="wilcoxon").changed(trials=7)
    assert (changed.trials, changed.folds, changed.pruner) == (7, 5, "wilcoxon")
    assert changed.model_fields_set == {"metric", "direction", "folds", "pruner", "trials"}
    with pytest.raises(DeclarationError, match="wilcoxon prunes between folds or seeds"):
        changed.changed(folds=None)


def test_an_hpo_configuration_comes_back_from_json_unchanged() -> None:
    whole = hpo(folds=5, memory="2GB", parameters=["a"], sampler_options={"n_startup_trials": 3}, timeout=60)
    assert HPO.model_validate_json(whole.model_dump_json()) == whole


def test_every_option_is_one_that_optuna_takes() -> None:
    from optuna import pruners, samplers

    classes: dict[str, Any] = {
        "tpe": samplers.TPESampler,
        "random": samplers.RandomSampler,
        "grid": samplers.GridSampler,
        "gp": samplers.GPSampler,
        "cmaes": samplers.CmaEsSampler,
        "qmc": samplers.QMCSampler,
        "none": pruners.NopPruner,
        "median": pruners.MedianPruner,
        "percentile": pruners.PercentilePruner,
        "wilcoxon": pruners.WilcoxonPruner,
        "successive_halving": pruners.SuccessiveHalvingPruner,
        "hyperband": pruners.HyperbandPruner,
    }
    for name, options in {**SAMPLER_OPTIONS, **PRUNER_OPTIONS}.items():
        taken = inspect.signature(classes[name]).parameters
        assert set(options) <= set(taken), name
