"""The fits of bench/hpo.py as a bare script does them: the floors, and what its pipeline calls."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold

FEATURES = tuple(f"x{k}" for k in range(10))
ROWS, FOLDS = int(os.environ.get("HPO_ROWS", "2000")), 5
ITERATIONS = int(os.environ.get("HPO_ITERATIONS", "30"))


def make_frame(number: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(number)
    frame = pd.DataFrame(random.normal(size=(ROWS, len(FEATURES))), columns=list(FEATURES))
    frame["y"] = frame.to_numpy() @ random.normal(size=len(FEATURES)) + frame.x0**2 + random.normal(size=ROWS)
    frame.insert(0, "row", range(ROWS))
    return frame


def new_model(rate: float, leaves: int, leaf: int, seed: int = 0) -> Any:
    return HistGradientBoostingRegressor(
        max_iter=ITERATIONS, learning_rate=rate, max_leaf_nodes=leaves, min_samples_leaf=leaf, random_state=seed
    )


def folds(frame: pd.DataFrame) -> list[tuple[Any, Any]]:
    """Three quarters of the rows, in five folds: the rows that a trial sees."""
    rows = np.random.default_rng(0).permutation(len(frame))[: len(frame) * 3 // 4]
    return [(rows[a], rows[b]) for a, b in KFold(FOLDS, shuffle=True, random_state=0).split(rows)]


def bare_fit(frame: pd.DataFrame, parameters: tuple[float, int, int], fold: int) -> float:
    """One fit, judged on its fold: the floor."""
    train, test = folds(frame)[fold]
    names = list(FEATURES)
    model = new_model(*parameters).fit(frame[names].iloc[train], frame.y.iloc[train])
    return float(root_mean_squared_error(frame.y.iloc[test], model.predict(frame[names].iloc[test])))


def full_fit(frame: pd.DataFrame, parameters: tuple[float, int, int], fold: int, folder: str) -> float:
    """The same, that also predicts the train rows and writes what is written of a run: results, model, its record."""
    train, test = folds(frame)[fold]
    names = list(FEATURES)
    model = new_model(*parameters).fit(frame[names].iloc[train], frame.y.iloc[train])
    parts = []
    for split, rows in (("train", train), ("test", test)):
        part = frame[["row", "y"]].iloc[rows].assign(split=split, prediction=model.predict(frame[names].iloc[rows]))
        parts.append(part)
    value = float(root_mean_squared_error(parts[1].y, parts[1].prediction))
    mark = hashlib.sha256(f"{parameters} {fold}".encode()).hexdigest()
    place = Path(folder) / mark
    place.mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_parquet(place / "results.parquet")
    (place / "model.pickle").write_bytes(pickle.dumps(model))
    (place / "record.json").write_text(json.dumps({"parameters": parameters, "fold": fold, "rmse": value}))
    return value
