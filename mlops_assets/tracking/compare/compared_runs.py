"""The runs under comparison, and what is read of them: every file once, private columns treated alike in all."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from mlops_assets.tracking.record import RunRecord
from partitions.errors import ArtifactError, MlopsError, UnknownName
from partitions.pipeline import Better
from partitions.project import Project
from partitions.reference import PipelineReference
from partitions.schema import Treatment
from resources.artifacts import ArtifactStore
from resources.code_versions import CodeVersions
from resources.datasets import DatasetStore, Snapshot
from resources.home import Home
from resources.parquet import decode
from resources.private import treated_as

if TYPE_CHECKING:
    import pandas as pd

    from partitions.parameters import AnyPipeline

LABELS = string.ascii_lowercase


class NotComparable(MlopsError):
    """These runs cannot be put beside each other; the message says why, and what would be right."""


class Frames(NamedTuple):
    """The rows that could be read, by the label of the run, and why others could not."""

    frames: "dict[str, pd.DataFrame]"
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Sources:
    """Where results, data and code of a project's runs are read from. ``pipeline`` is the code at hand."""

    pipeline: "AnyPipeline"
    reference: PipelineReference
    datasets: DatasetStore
    code_versions: CodeVersions
    not_code: tuple[str, ...]

    @classmethod
    def of(cls, home: Home, project: Project) -> "Sources":
        artifacts = ArtifactStore(home.artifacts_url)
        return cls(
            pipeline=project.pipeline,
            reference=PipelineReference.of(project.pipeline),
            datasets=DatasetStore(artifacts, home.secret()),
            code_versions=CodeVersions(artifacts),
            not_code=project.not_code,
        )

    @property
    def artifacts(self) -> ArtifactStore:
        return self.datasets.artifacts

    @property
    def better(self) -> dict[str, Better]:
        return dict(self.pipeline.metrics)


@dataclass(frozen=True, eq=False)
class ComparedRuns:
    """Two or more different runs, the first of which is the base. In tables they are called a, b, c ..."""

    records: tuple[RunRecord, ...]
    sources: Sources

    @classmethod
    def of(cls, records: Sequence[RunRecord], sources: Sources, *, across_subprojects: bool = False) -> "ComparedRuns":
        """Raises NotComparable for fewer than two runs, one run twice, and several subprojects unless asked for."""
        ids = [record.run_id for record in records]
        if len(set(ids)) != len(ids):
            twice = next(run_id for run_id in ids if ids.count(run_id) > 1)
            raise NotComparable(f"run {twice} is named twice; compare different runs (`mlops runs` lists them)")
        if not 2 <= len(records) <= len(LABELS):
            raise NotComparable(f"{len(records)} runs to compare: name at least 2 and at most {len(LABELS)}")
        first = records[0]
        other = next((record for record in records if record.where != first.where), None)
        if other is not None and not across_subprojects:
            raise NotComparable(
                f"run {first.run_id} is of {first.where} and run {other.run_id} of {other.where}: each subproject has "
                "rows of its own, so a better metric says nothing about the model; to see what differs all the same, "
                "ask for it: across_subprojects=True, or --across-subprojects"
            )
        return cls(tuple(records), sources)

    @cached_property
    def by_label(self) -> dict[str, RunRecord]:
        return dict(zip(LABELS, self.records, strict=False))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.by_label)

    @property
    def base(self) -> str:
        return self.labels[0]

    @property
    def others(self) -> tuple[str, ...]:
        return self.labels[1:]

    @property
    def across(self) -> bool:
        """Whether the runs are of several subprojects."""
        return len({record.where for record in self.records}) > 1

    @cached_property
    def snapshots(self) -> dict[str, Snapshot]:
        """The manifest of each run's data version, where there is one."""
        return self._manifests[0]

    @property
    def snapshot_gaps(self) -> tuple[str, ...]:
        return self._manifests[1]

    @cached_property
    def data(self) -> Frames:
        """The rows of each run's data version. Equal versions are one frame, read once."""
        read: dict[str, pd.DataFrame | str] = {}
        frames: dict[str, pd.DataFrame] = {}
        gaps = list(self.snapshot_gaps)
        for label, snapshot in self.snapshots.items():
            version = snapshot.data_version
            if version not in read:
                read[version] = _frame_or_reason(lambda s=snapshot: self._treated(s))  # type: ignore[misc]
            found = read[version]
            if isinstance(found, str):
                gaps.append(f"the data of {label}: {found}")
            else:
                frames[label] = found
        return Frames(frames, tuple(gaps))

    @cached_property
    def results(self) -> Frames:
        """The results of each run that has them: key, split, fold, truth, prediction (and probabilities)."""
        frames: dict[str, pd.DataFrame] = {}
        gaps = []
        for label, record in self.by_label.items():
            if "results" not in record.artifacts:
                gaps.append(f"{label} ({record.status}) has no results, so none of its rows are compared")
                continue
            found = _frame_or_reason(lambda r=record: self._results(r))  # type: ignore[misc]
            if isinstance(found, str):
                gaps.append(f"the results of {label}: {found}")
            else:
                frames[label] = found
        return Frames(frames, tuple(gaps))

    @cached_property
    def private(self) -> dict[str, Treatment]:
        """The columns that are private now or were in one of the data versions, and how they are treated."""
        found: dict[str, Treatment] = {}
        for snapshot in self.snapshots.values():
            found |= snapshot.private
        return found | self.sources.pipeline.schema.treatments

    def withheld(self, snapshot: Snapshot) -> dict[str, Treatment]:
        """The columns that this data version holds in clear although they are private, and what becomes of them."""
        clear = {c: how for c, how in self.private.items() if c in snapshot.columns and c not in snapshot.private}
        # Dropping the row key would leave rows that cannot be told apart.
        return {column: "hash" if column == snapshot.key else how for column, how in clear.items()}

    def _treated(self, snapshot: Snapshot) -> "pd.DataFrame":
        rows = self.sources.datasets.read(snapshot.owner, snapshot.data_version)
        treatments = self.withheld(snapshot)
        return treated_as(rows, treatments, self.sources.datasets.secret) if treatments else rows

    def _results(self, record: RunRecord) -> "pd.DataFrame":
        results = decode(self.sources.artifacts.get(record.artifacts["results"].uri))
        label = next(label for label, one in self.by_label.items() if one is record)
        snapshot = self.snapshots.get(label)
        schema = self.sources.pipeline.schema
        clear = self.withheld(snapshot) if snapshot is not None else schema.treatments
        if (snapshot.key if snapshot is not None else schema.key) in clear:
            return treated_as(results, {"key": "hash"}, self.sources.datasets.secret)
        return results

    @cached_property
    def _manifests(self) -> tuple[dict[str, Snapshot], tuple[str, ...]]:
        found: dict[str, Snapshot] = {}
        gaps = []
        for label, record in self.by_label.items():
            if record.data_version is None:
                gaps.append(f"{label} ({record.status}) has no data version: it stopped before there was data")
                continue
            try:
                found[label] = self.sources.datasets.find(record.where, record.data_version)
            except (ArtifactError, UnknownName) as error:
                gaps.append(f"the data of {label}: {error}")
        return found, tuple(gaps)


def _frame_or_reason(read: "Callable[[], pd.DataFrame]") -> "pd.DataFrame | str":
    """What is read, or why it cannot be: an artifact that is gone must not hide what is still there."""
    try:
        return read()
    except ArtifactError as error:
        return str(error)
