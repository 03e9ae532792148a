"""How much each parameter matters for the value, by Optuna's evaluators."""

import warnings
from typing import Any, Literal, get_args

from mlops_assets.learning.exploring.points import Points
from partitions.errors import MlopsError, nearest

# Mean decrease of impurity is left out: Optuna 5.0 gives it to the wrong parameter where one of them is a choice.
Method = Literal["ped-anova", "fanova"]
FEWEST = 4
BEST, FEWEST_BEST = 0.1, 5


def importances(points: Points, method: Method = "ped-anova") -> dict[str, float]:
    """The share of each parameter that differs, the most important first; together 1. Empty where too little is known.

    ped-anova: for being among the best tenth, in milliseconds (default; of few configurations, among the best five).
    fanova: for the variance of the value, by a random forest.
    """
    if method not in get_args(Method):
        raise MlopsError(nearest(method, get_args(Method), noun="importance method"))
    names = list(points.parameters)
    if len(points.evaluations) < FEWEST or not names or len(set(points.values)) == 1:
        return {}
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = _evaluator(method, len(points.evaluations))
        shares = optuna.importance.get_param_importances(study(points), evaluator=evaluator, params=names)
    return {str(name): float(share) for name, share in shares.items()}


def study(points: Points) -> Any:
    """An Optuna study in memory that holds the points; choices are told by their place."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(direction=points.direction)
    columns: dict[str, list[Any]] = {}
    distributions: dict[str, Any] = {}
    for name in points.parameters:
        values, choices = points.places(name)
        if choices is None:
            # What was tried, not what could be: runs that no search made have no space.
            distributions[name] = FloatDistribution(min(values), max(values), log=points.is_log(name))
            columns[name] = values
        else:
            distributions[name] = CategoricalDistribution(tuple(range(len(choices))))
            columns[name] = [int(value) for value in values]
    for place, value in enumerate(points.values):
        params = {name: column[place] for name, column in columns.items()}
        made.add_trial(create_trial(params=params, distributions=distributions, value=value))
    return made


def _evaluator(method: Method, count: int) -> Any:
    from optuna import importance

    if method == "fanova":
        return importance.FanovaImportanceEvaluator(seed=0)
    return importance.PedAnovaImportanceEvaluator(target_quantile=max(BEST, min(0.5, FEWEST_BEST / count)))
