"""What became of one subproject in one stage: what `mlops deploy` and its like report, a line each."""

from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets.quality.verdicts import GateVerdict, stops
from resources.ledger.deployment import Deployment

Result = Literal["deployed", "undeployed", "rejected", "unchanged", "kept", "failed", "lost"]


@dataclass(frozen=True)
class Decision:
    """``said``: one line for people. ``run_id``: the run that was to serve. ``deployment``: the row it became, if any;
    ``moved``: what it moved to the archive.

    rejected: a required gate did not pass. unchanged: nothing new to deploy. kept: another stage was decided about.
    lost: another deployer was faster.
    """

    subproject: str
    stage: str
    result: Result
    said: str
    run_id: str | None = None
    deployment: Deployment | None = None
    moved: tuple[Deployment, ...] = ()
    verdicts: tuple[GateVerdict, ...] = ()

    @property
    def went_well(self) -> bool:
        """Whether what was asked for is so now."""
        return self.result in ("deployed", "undeployed", "unchanged", "kept")

    def row(self) -> dict[str, Any]:
        """The decision as a flat row, for tables and ``--json``."""
        return {
            "subproject": self.subproject,
            "stage": self.stage,
            "result": self.result,
            "said": self.said,
            "run_id": self.run_id,
            "sequence": self.deployment.sequence if self.deployment else None,
            "verdicts": [verdict.model_dump(mode="json") for verdict in self.verdicts],
        }


def said_of_gates(verdicts: tuple[GateVerdict, ...]) -> str:
    """Why a model is not deployed: ``gate threshold_rmse: rmse 45.1 is above 40``."""
    return "; ".join(
        f"gate {verdict.gate} {'could not look' if verdict.outcome == 'could_not_look' else 'failed'}: {verdict.reason}"
        for verdict in stops(verdicts)
    )
