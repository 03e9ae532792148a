"""What the model sees: columns computed from a row, and the idea that a flight arrives about as late as it left."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FLIGHT = ["distance", "weekday", "sched_dep_minute", "sched_minutes", "departures_this_hour", "dep_delay"]
PLANE = ["plane_seats", "plane_year"]
WEATHER = ["temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
CATEGORIES = ["origin", "dest", "plane_maker"]
COMPUTED = ["slack", "wind_to_east", "wind_to_north"]

CRUISE = 8.0  # miles a minute


def add_features(rows: "pd.DataFrame") -> "pd.DataFrame":
    """The categories, all numbers as floats (missing ones NaN) and three more columns, computed row by row.

    slack: minutes the schedule leaves beside flying the distance at cruising speed, for taxiing, queues and winds.
    wind_to_east, wind_to_north: where the wind blows to, in mph; where it comes from jumps from 360 to 0 degrees.
    """
    import numpy as np
    import pandas as pd

    # Arrays, not Series: a served request is one row, and for one row they take a third of the time.
    columns = {name: rows[name].to_numpy("float64", na_value=np.nan) for name in (*FLIGHT, *PLANE, *WEATHER)}
    direction = np.deg2rad(columns["wind_dir"])
    columns["slack"] = columns["sched_minutes"] - columns["distance"] / CRUISE
    columns["wind_to_east"] = -columns["wind_speed"] * np.sin(direction)
    columns["wind_to_north"] = -columns["wind_speed"] * np.cos(direction)
    return pd.DataFrame({**{name: rows[name] for name in CATEGORIES}, **columns}, index=rows.index)


def model_columns(*, weather: bool) -> list[str]:
    """The columns with numbers that the model is given."""
    observed = [name for name in WEATHER if name != "wind_dir"]
    computed = COMPUTED if weather else ["slack"]
    return [*FLIGHT, *PLANE, *(observed if weather else []), *computed]


class MinutesSinceDeparture:
    """A regressor that learns the minutes lost or made up on the way, and adds them to the delay at departure.

    Trees cannot go beyond the delays they were fitted on; the minutes on the way have a far shorter tail.
    """

    def __init__(self, regressor: Any) -> None:
        self.regressor = regressor

    def fit(self, X: "pd.DataFrame", y: "pd.Series[float]") -> "MinutesSinceDeparture":
        self.regressor.fit(X, y - X["dep_delay"])
        return self

    def predict(self, X: "pd.DataFrame") -> Any:
        return X["dep_delay"].to_numpy() + self.regressor.predict(X)

    # What scikit-learn asks of the last step of a pipeline. Its base class would answer, but importing scikit-learn
    # takes longer than loading everything else here; so it is imported where an estimator is built.
    def __sklearn_tags__(self) -> Any:
        return self.regressor.__sklearn_tags__()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self.regressor, "n_iter_")


class AsLateAsItLeft:
    """The baseline: no minute is lost or made up on the way."""

    def fit(self, X: "pd.DataFrame", y: "pd.Series[float]") -> "AsLateAsItLeft":
        return self

    def predict(self, X: "pd.DataFrame") -> Any:
        return X["dep_delay"].to_numpy(dtype="float64")
