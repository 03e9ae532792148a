"""The flights that bench/hpo_quality.py searches and judges, and the error of parameters on them."""

import pickle
import random
import statistics
from collections.abc import Mapping
from functools import cache
from typing import Any


def on_folds(key: str, rows: int, parameters: Mapping[str, Any]) -> tuple[list[float], float]:
    """The error on each fold, and the mean size of their models in bytes."""
    judged = [error(parameters, part) for part in parts(key, rows, parameters["weather"])[:-1]]
    return [value for value, _ in judged], statistics.fmean(size for _, size in judged)


def on_later(key: str, rows: int, parameters: Mapping[str, Any]) -> float:
    return error(parameters, parts(key, rows, parameters["weather"])[-1])[0]


@cache
def flights(key: str, rows: int) -> list[tuple[Any, Any]]:
    """Train and test rows of each fold, and last all that were searched and all flights of the airline after them."""
    from partitions.catalogue import resolve
    from projects.flight_delays.project import project

    pipeline, params = project.pipeline, project.contract.params()
    every = pipeline.ingest(project.config(key), None)
    thin = rows and len(every) > rows
    some = every.iloc[sorted(random.Random(0).sample(range(len(every)), rows))] if thin else every
    some = some.sort_values("flight_id", ignore_index=True)
    split, hpo = pipeline.split(some, params, 0), resolve(project, key).hpo
    time = pipeline.schema.time
    late = every[(every[time] >= split.test[time].min()) & ~every["flight_id"].isin(split.train["flight_id"])]
    folds = pipeline.folds(split.train, params, 0, hpo.folds if hpo and hpo.folds else 5)
    return [*((fold.train, fold.test) for fold in folds), (split.train, late)]


@cache
def parts(key: str, rows: int, weather: bool) -> list[tuple[Any, Any, Any, Any]]:
    """Of each fold and of the later flights: what the regressor is given and is to say, then the same for those that
    judge. No other parameter changes it, and it takes as long as fitting a few hundred rows does."""
    from projects.flight_delays.project import project

    features = project.pipeline.schema.feature_columns(list(flights(key, rows)[0][0].columns))
    made = []
    for train, test in flights(key, rows):
        model: Any = project.pipeline.build(project.contract.params(weather=weather), 0)
        steps = model[:-1]
        made.append((steps.fit_transform(train[features]), train["arr_delay"], steps.transform(test[features]), test))
    return made


def error(parameters: Mapping[str, Any], part: tuple[Any, Any, Any, Any]) -> tuple[float, int]:
    """What a run of this package computes as rmse, without what it writes; and the size of the model, pickled."""
    from projects.flight_delays.project import project

    columns, delays, columns_of_test, test = part
    steps: Any = project.pipeline.build(project.contract.params(**parameters), 0)
    model = steps[-1].fit(columns, delays)
    results = test.assign(truth=test["arr_delay"], prediction=model.predict(columns_of_test))
    return float(project.pipeline.evaluate(results)["rmse"]), len(pickle.dumps(model))
