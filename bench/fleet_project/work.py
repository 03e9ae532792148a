"""The work on one subproject as a bare script does it: the floor of bench/fleet.py, and what its pipeline calls."""

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


def make_frame(number: int, rows: int = 2000) -> pd.DataFrame:
    random = np.random.default_rng(number)
    frame = pd.DataFrame(random.normal(size=(rows, 8)), columns=list(FEATURES))
    frame["y"] = frame.to_numpy() @ random.normal(size=8) + frame.x0**2 + random.normal(size=rows) * 0.1
    return frame


def new_model() -> Any:
    return HistGradientBoostingRegressor(max_iter=20, random_state=0)


def bare(folder: str, number: int) -> float:
    """Frame, fit, R2 and RMSE on a 25 % holdout; Parquet of the data, joblib of the model, JSON of the metrics."""
    frame = make_frame(number)
    model = new_model().fit(frame.iloc[:TRAIN_ROWS, :8], frame.y[:TRAIN_ROWS])
    predicted = model.predict(frame.iloc[TRAIN_ROWS:, :8])
    truth = frame.y[TRAIN_ROWS:]
    metrics = {"r2": float(r2_score(truth, predicted)), "rmse": float(root_mean_squared_error(truth, predicted))}
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(target / f"{number}.parquet")
    joblib.dump(model, target / f"{number}.joblib")
    (target / f"{number}.json").write_text(json.dumps(metrics))
    return metrics["r2"]
