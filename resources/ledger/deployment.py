"""Deployments as values: what was decided about one stage of one subproject, and by whom."""

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from partitions.errors import DeclarationError, MlopsError
from partitions.plain import Plain
from partitions.values import Value

Action = Literal["deploy", "retrain", "promote", "rollback", "undeploy", "archive"]


def _new_id() -> str:
    return str(uuid.uuid4())


class ModelFile(Value):
    """The file of a deployed model: its address in the artifact store, sha256 digest and size."""

    uri: str
    digest: str
    bytes: int


class NewDeployment(Value):
    """A decision, to be appended to the ledger.

    replaces: the sequence of the deployment that was current in the stage when this was decided; 0 where there was
        none. Somebody else may have been faster: then it is refused.
    restores: for a rollback, the sequence of the deployment that is brought back.
    run_id, model: what serves from now on; neither for "undeploy".
    revision: what a person asked for (a tag, branch or commit); ``code``: what the code version is made of again.
    configuration: the deployment configuration, resolved. metrics: of the model's test rows. evidence: verdicts, the
        proof of parity, plain data.
    """

    deployment_id: str = Field(default_factory=_new_id)
    project: str
    subproject: str
    stage: str
    action: Action
    replaces: int = Field(ge=0)
    restores: int | None = None
    run_id: str | None = None
    model: ModelFile | None = None
    code_version: str | None = None
    revision: str | None = None
    data_version: str | None = None
    code: dict[str, Plain] = Field(default_factory=dict)
    configuration: dict[str, Plain] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    strategy: dict[str, Plain] = Field(default_factory=dict)
    evidence: dict[str, Plain] = Field(default_factory=dict)
    why: str
    by: str
    dagster_run_id: str | None = None

    @field_validator("why")
    @classmethod
    def _a_reason(cls, why: str) -> str:
        if not why.strip():
            raise DeclarationError("", "say why, for those who ask later")
        return why

    @model_validator(mode="after")
    def _a_model_or_none(self) -> "NewDeployment":
        nothing = self.action == "undeploy"
        if (self.run_id is None) != nothing or (self.model is None) != nothing:
            raise DeclarationError("", "a deployment names a run and its model; only undeploy names neither")
        return self

    @property
    def where(self) -> str:
        return f"{self.project}/{self.subproject}"

    @property
    def place(self) -> tuple[str, str, str]:
        """What has one current deployment at a time: project, subproject and stage."""
        return self.project, self.subproject, self.stage


class Deployment(NewDeployment):
    """A decision as it stands in the ledger. ``sequence`` grows by one with each; ``at`` is the ledger's own clock."""

    sequence: int = Field(ge=1)
    at: datetime

    @property
    def serves(self) -> bool:
        """Whether there is a model: not after "undeploy"."""
        return self.run_id is not None

    @property
    def origin(self) -> int:
        """The sequence under which this model came to this stage by a decision of its own, not by a rollback."""
        return self.restores or self.sequence

    def row(self) -> dict[str, Any]:
        """The deployment as a flat row, for tables and ``--json``."""
        whole = self.model_dump(mode="json", exclude={"deployment_id", "model", "code", "metrics"})
        model = self.model.model_dump() if self.model else {}
        whole |= {f"model.{name}": model.get(name) for name in ModelFile.model_fields}
        return whole | {f"metrics.{name}": value for name, value in self.metrics.items()}


class LedgerConflict(MlopsError):
    """Somebody else was faster. ``wanted``: what was not appended; ``winner``: what stands in the ledger instead."""

    def __init__(self, wanted: NewDeployment, winner: Deployment | None) -> None:
        self.wanted = wanted
        self.winner = winner
        super().__init__(f"{wanted.where}: {_said(wanted, winner)}")

    def __reduce__(self) -> "tuple[type[LedgerConflict], tuple[NewDeployment, Deployment | None]]":
        return type(self), (self.wanted, self.winner)


def _said(wanted: NewDeployment, winner: Deployment | None) -> str:
    if winner is None:
        return f"stage {wanted.stage!r} has no deployment {wanted.replaces} that could be replaced"
    what = f"run {winner.run_id}" if winner.run_id else "no model"
    return (
        f"{winner.by} was faster: since {winner.at:%Y-%m-%d %H:%M:%S} UTC stage {winner.stage!r} has {what} "
        f"({winner.action}, sequence {winner.sequence}: {winner.why}); nothing was changed here"
    )
