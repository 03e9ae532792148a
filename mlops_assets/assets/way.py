"""One subproject's way through a launch, as values: what is to be done for it, and how far it came."""

from dataclasses import dataclass, field
from typing import Any

from mlops_assets.assets.decision import Decision
from mlops_assets.quality.expectations import DataVerdict
from mlops_assets.quality.verdicts import GateVerdict
from mlops_assets.tracking.record import CodeIdentity, Kind, RunError, RunRecord
from partitions.catalogue import SubprojectConfiguration
from partitions.gates import Gate
from partitions.pipeline import Window
from partitions.reference import PipelineReference
from partitions.run_configuration import RunConfiguration
from resources.datasets import Snapshot
from resources.home import Home


@dataclass(frozen=True)
class RunPlan:
    """One run to do: its id, and its configuration with the seed; parameters not given take the code's defaults."""

    run_id: str
    configuration: RunConfiguration

    @property
    def seed(self) -> int:
        return self.configuration.seed or 0


@dataclass(frozen=True)
class Origin:
    """What a run's record says of where it comes from. ``hpo``: the digest of the HPO configuration of a trial."""

    code: CodeIdentity
    lock: str
    kind: Kind = "dev"
    parent: str | None = None
    stage: str | None = None
    dagster_run_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    hpo: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Aim:
    """The stage that a way's model is meant for, and what it must pass to get there.

    champion: the id of the run whose model serves there now; None where none does.
    known: ids of runs that need not be done again where data, code and configuration are the same.
    family: the Dagster run that this one does again, or itself.
    """

    stage: str
    gates: tuple[Gate, ...]
    champion: str | None = None
    known: tuple[str, ...] = ()
    family: str | None = None


@dataclass(frozen=True)
class Way:
    """What is to be done for one subproject.

    ``fresh``: ingest and take a snapshot; otherwise ``data_version`` is read. ``runs`` may be empty (dataset only).
    ``aim``: where the model is to serve, if anywhere.
    """

    home: Home
    subproject: SubprojectConfiguration
    reference: PipelineReference
    origin: Origin
    fresh: bool
    runs: tuple[RunPlan, ...]
    data_version: str | None = None
    window: Window | None = None
    aim: Aim | None = None
    draw: bool = False
    threads: int = 1

    @property
    def where(self) -> str:
        return f"{self.subproject.project}/{self.subproject.key}"


@dataclass(frozen=True)
class Arrived:
    """How far a subproject came: its data, the records of its runs, and what stopped it, if anything.

    ``data_seconds``: what taking the snapshot, or reading it, took. Of a way with an aim: ``verdicts`` of the gates;
    ``same_as``, the run that already is what this one would be; ``reused``: the run is one that was done before and
    never deployed. ``decision``: what became of it, once that is decided.
    """

    subproject: str
    data_seconds: float = 0.0
    snapshot: Snapshot | None = None
    verdict: DataVerdict | None = None
    records: tuple[RunRecord, ...] = ()
    figures: dict[str, bytes] = field(default_factory=dict)
    table: str = ""
    error: RunError | None = None
    verdicts: tuple[GateVerdict, ...] = ()
    same_as: str | None = None
    reused: bool = False
    decision: Decision | None = None
