"""What an explanation says beside its numbers: what differs in each cause, and what limits how the parts are read."""

from collections.abc import Mapping, Sequence

from mlops_assets.assets.combining import Grid
from mlops_assets.assets.launch import Ports
from mlops_assets.tracking.differences import (
    code_differs,
    configuration_differs,
    data_differs,
    environment_differs,
    judged_on_other_rows,
    rows_differ,
    seed_differs,
)
from mlops_assets.tracking.explanation import Part
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.shapley import Combination, Group
from mlops_assets.tracking.stored_run import stored_results
from partitions.project import Project
from partitions.reference import PipelineReference
from resources.artifacts import ArtifactStore
from resources.code_versions import CodeVersions
from resources.datasets import DatasetStore


def differences(ports: Ports, project: Project, grid: Grid) -> dict[str, list[str]]:
    """What differs in each cause, in words."""
    a, b = grid.a, grid.b
    artifacts = ArtifactStore(ports.home.artifacts_url)
    said: dict[str, list[str]] = {}
    if "code" in grid.causes:
        before, after = (side.ready.environment.archive_dir for side in (a, b))
        reference = PipelineReference.of(project.pipeline)
        files = CodeVersions(artifacts).changed_files(before, after, reference, project.not_code)
        said["code"] = code_differs(a.record.code_version, b.record.code_version, files)
    if "data" in grid.causes:
        store = DatasetStore(artifacts, ports.home.secret())
        frames = [store.read(side.record.where, side.snapshot.data_version) for side in (a, b)]
        same_key = a.snapshot.key == b.snapshot.key
        rows = rows_differ(frames[0], frames[1], a.snapshot.key) if same_key else None
        said["data"] = data_differs(a.snapshot, b.snapshot, rows)
    if "configuration" in grid.causes:
        said["configuration"] = configuration_differs(a.record, b.record)
    if "seed" in grid.causes:
        said["seed"] = seed_differs(a.record, b.record)
    return said


def cause_notes(
    grid: Grid,
    groups: Sequence[Group],
    failed: Mapping[Combination, str],
    records: Mapping[Combination, RunRecord] | None = None,
    ports: Ports | None = None,
) -> list[str]:
    """What was put together and why, what was left out, and which cause changed the rows that are judged."""
    notes = []
    reasons = list(dict.fromkeys([*grid.impossible.values(), *failed.values()]))
    for group in (group for group in groups if len(group) > 1):
        notes.append(f"{' + '.join(group)} cannot be told apart and are one part: {'; '.join(reasons)}")
    notes += _unknown(grid)
    if grid.a.record.environment.threads != grid.b.record.environment.threads:
        one, other = (side.record.environment.threads for side in (grid.a, grid.b))
        notes.append(f"the runs had {one} and {other} threads; the combinations were run with {one}")
    if records is not None and ports is not None:
        notes += _other_rows(groups, records, ArtifactStore(ports.home.artifacts_url))
    return notes


def environment_part(parts: Sequence[Part], rest: float, whole: float, grid: Grid) -> tuple[list[Part], str]:
    """The parts with that of the environment: what the runs gave then, against what the same gives today."""
    differs = tuple(environment_differs(grid.a.record, grid.b.record))
    own = Part(
        cause="environment",
        part=rest,
        share=rest / whole if whole else None,
        alone=None,
        noise=0.0,
        verdict="real" if rest else "none",
        differs=differs,
    )
    shares = [part.model_copy(update={"share": part.part / whole if whole else None}) for part in parts]
    told = (
        "a run was made in another environment (lock file, framework) than today's, which cannot be had for the "
        "combinations: all were run today, and what the two runs themselves give otherwise is the environment's part"
        if grid.causes
        else "both runs have the same code, data, configuration and seed, and should predict the same: `mlops replay` "
        "says what has changed since"
    )
    return sorted([*shares, own], key=lambda part: -abs(part.part)), told


def _unknown(grid: Grid) -> list[str]:
    notes = []
    for side, other in ((grid.a, grid.b), (grid.b, grid.a)):
        answer = grid.answers.get(side.name)
        if answer is None or answer.refused is not None:
            continue
        if answer.unknown:
            names = ", ".join(answer.unknown)
            notes.append(f"the code of {side.said} does not know {names} of {other.said}: left out with that code")
        if answer.defaults:
            names = ", ".join(answer.defaults)
            notes.append(f"{names}: {other.said} has none, so the code of {side.said} takes its default for it")
    return notes


def _other_rows(
    groups: Sequence[Group], records: Mapping[Combination, RunRecord], artifacts: ArtifactStore
) -> list[str]:
    """Each run is judged on its own test rows: where a cause changes them, that is in its part, and said."""
    base = records[frozenset()]
    notes = []
    for group in groups:
        changed = records[frozenset(group)]
        if changed.settings.get("split") == base.settings.get("split"):
            continue
        before, after = (stored_results(record, artifacts) for record in (base, changed))
        rows = judged_on_other_rows(before, after) if before is not None and after is not None else None
        if rows is not None:
            name = " + ".join(group)
            notes.append(f"{name}: each run is judged on its own test rows, and {rows}: that is in the part of {name}")
    return notes
