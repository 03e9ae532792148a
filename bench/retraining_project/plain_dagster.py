"""The same lifecycle as plain Dagster assets of one partition each: a run per subproject, as one would write it first.

BENCH_FOLDER holds the first month's models, named as the bare floor names them.
"""

import os
from typing import Any

import dagster as dg
import joblib
import pandas as pd
from sklearn.metrics import r2_score, root_mean_squared_error

from retraining_project.work import FEATURES, TRAIN_ROWS, model_file, month_frame, new_model

partitions = dg.DynamicPartitionsDefinition(name="subprojects")


@dg.asset(partitions_def=partitions)
def dataset(context: dg.AssetExecutionContext) -> pd.DataFrame:
    return month_frame(int(context.partition_key), 2)


@dg.asset(partitions_def=partitions)
def model(dataset: pd.DataFrame) -> Any:
    return new_model().fit(dataset[list(FEATURES)].iloc[:TRAIN_ROWS], dataset.y[:TRAIN_ROWS])


@dg.asset(
    partitions_def=partitions,
    check_specs=[dg.AssetCheckSpec("threshold", asset="metrics"), dg.AssetCheckSpec("champion", asset="metrics")],
)
def metrics(context: dg.AssetExecutionContext, dataset: pd.DataFrame, model: Any) -> Any:
    test = dataset.iloc[TRAIN_ROWS:]
    predicted = model.predict(test[list(FEATURES)])
    r2, rmse = float(r2_score(test.y, predicted)), float(root_mean_squared_error(test.y, predicted))
    champion = joblib.load(model_file(os.environ["BENCH_FOLDER"], int(context.partition_key), 1))
    before = float(root_mean_squared_error(test.y, champion.predict(test[list(FEATURES)])))
    yield dg.Output({"r2": r2, "rmse": rmse}, metadata={"r2": r2, "rmse": rmse})
    yield dg.AssetCheckResult(check_name="threshold", passed=r2 > -10)
    yield dg.AssetCheckResult(check_name="champion", passed=rmse < before * 101)


@dg.asset(partitions_def=partitions)
def deployment(metrics: Any) -> Any:
    return metrics


defs = dg.Definitions(assets=[dataset, model, metrics, deployment], executor=dg.in_process_executor)
