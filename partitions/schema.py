"""The shape of a project's rows: which column is the key, the target, the time, a feature, private."""

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from partitions.values import Value

if TYPE_CHECKING:
    import pandas as pd

Treatment = Literal["drop", "hash"]


class DataSchema(Value):
    """The columns of the rows that ``Pipeline.ingest`` returns.

    key: one column that identifies a row for ever; runs are compared row by row on it.
    target: the column to predict.
    time: when the row became known; windows ("data until") and splits by time use it.
    features: the columns the estimator is given; empty means every column that is not key, target or private.
    private: columns that never leave ingest in clear. A list lets the schema decide: keyed-hashed where the column
        is also the key or a feature, dropped otherwise. A mapping says it per column: ``{"tailnum": "hash"}``.
    task: regression predicts a number; classification predicts a class and may give probabilities.
    """

    key: str
    target: str
    time: str | None = None
    features: tuple[str, ...] = ()
    private: tuple[str, ...] | dict[str, Treatment] = ()
    task: Literal["regression", "classification"] = "regression"

    @model_validator(mode="after")
    def _consistent(self) -> "DataSchema":
        roles = {"key": self.key, "target": self.target, "time": self.time}
        named = [column for column in roles.values() if column is not None]
        if any(not column for column in (*named, *self.features, *self.private)):
            raise ValueError("a column name may not be empty")
        if len(set(named)) != len(named):
            raise ValueError(f"key, target and time must be three different columns, not {named}")
        if len(set(self.features)) != len(self.features):
            raise ValueError("features names a column twice")
        if self.target in self.features:
            raise ValueError(f"the target {self.target!r} may not be a feature")
        for role in ("target", "time"):
            if roles[role] is not None and roles[role] in self.private:
                raise ValueError(f"the {role} {roles[role]!r} may not be private: results are stored with it")
        for column, treatment in self.treatments.items():
            if treatment == "drop" and column in (self.key, *self.features):
                raise ValueError(f"private column {column!r} is used as key or feature: hash it instead of dropping it")
        return self

    @property
    def treatments(self) -> dict[str, Treatment]:
        """For every private column, whether its values are dropped or replaced by a keyed hash."""
        if isinstance(self.private, dict):
            return dict(self.private)
        kept = {self.key, *self.features}
        return {column: "hash" if column in kept else "drop" for column in self.private}

    def feature_columns(self, columns: list[str]) -> list[str]:
        """The feature columns among ``columns``, in declared order; with none declared, all without a role."""
        if self.features:
            return list(self.features)
        return [c for c in columns if c not in (self.key, self.target, self.time) and c not in self.private]

    def features_of(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The feature columns of ``rows``, in declared order. Raises KeyError where one is missing."""
        columns = list(rows.columns)
        names = self.feature_columns(columns)
        first = columns.index(names[0]) if names and names[0] in columns else 0
        if columns[first : first + len(names)] == names:
            return rows.iloc[:, first : first + len(names)]  # side by side: nothing is copied
        return rows[names]
