"""The work on one subproject in one month as a bare script does it: the floor of bench/retraining.py.

It is what bench/fleet_project does, in the project's own package: a deployed model has nothing else.
"""

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score, root_mean_squared_error

FEATURES = tuple(f"x{k}" for k in range(8))
TRAIN_ROWS = 1500
# So far apart are the seeds of two months.
APART = 1_000_000


def month_frame(number: int, month: int, rows: int = 2000) -> pd.DataFrame:
    random = np.random.default_rng(number + month * APART)
    frame = pd.DataFrame(random.normal(size=(rows, 8)), columns=list(FEATURES))
    frame["y"] = frame.to_numpy() @ random.normal(size=8) + frame.x0**2 + random.normal(size=rows) * 0.1
    return frame


def new_model() -> Any:
    return HistGradientBoostingRegressor(max_iter=20, random_state=0)


def bare_month(folder: str, number: int, month: int) -> float:
    """Frame, fit, R2 and RMSE on a 25 % holdout; Parquet of the data, joblib of the model, JSON of the metrics."""
    frame = month_frame(number, month)
    model = new_model().fit(frame.iloc[:TRAIN_ROWS, :8], frame.y[:TRAIN_ROWS])
    predicted = model.predict(frame.iloc[TRAIN_ROWS:, :8])
    truth = frame.y[TRAIN_ROWS:]
    metrics = {"r2": float(r2_score(truth, predicted)), "rmse": float(root_mean_squared_error(truth, predicted))}
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(target / f"{number}-{month}.parquet")
    joblib.dump(model, model_file(folder, number, month))
    (target / f"{number}-{month}.json").write_text(json.dumps(metrics))
    return metrics["r2"]


def bare_with_champion(folder: str, number: int, month: int) -> tuple[float, float]:
    """The same, and the model of the month before on the same holdout."""
    score = bare_month(folder, number, month)
    champion = joblib.load(model_file(folder, number, month - 1))
    frame = month_frame(number, month).iloc[TRAIN_ROWS:]
    return score, float(root_mean_squared_error(frame.y, champion.predict(frame[list(FEATURES)])))


def model_file(folder: str, number: int, month: int) -> Path:
    return Path(folder) / f"{number}-{month}.joblib"
