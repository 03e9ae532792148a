"""Tracked runs as an Optuna journal file, which optuna-dashboard opens."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops_assets.learning.evaluation import Evaluation
from mlops_assets.learning.exploring.journal import Exported, Studied, journal
from mlops_assets.tracking.evaluations import evaluations
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from partitions.catalogue import SubprojectConfiguration
from partitions.errors import MlopsError, UnknownName


def export_journal(
    tracker: Tracker, configurations: Mapping[str, SubprojectConfiguration], file: Path
) -> list[Exported]:
    """Write a study for every code and data version of these subprojects that has runs; return what was written.

    Rebuilt from the tracked runs each time, HPO or not: nothing is ever read back from it. The file is replaced at
    once, or stays as it was. Raises MlopsError where there is nothing to write, or the file cannot be written.
    """
    by_metric: dict[str, list[str]] = {}
    for key, configuration in configurations.items():
        if configuration.hpo is None:
            raise MlopsError(f"{configuration.project}/{key} declares no HPO: nothing says what is to be optimised")
        by_metric.setdefault(configuration.hpo.metric, []).append(key)
    judged = {key: one for metric, keys in by_metric.items() for key, one in _judged(tracker, metric, keys).items()}
    studied = [
        Studied(c.project, key, c.search_space, c.hpo.metric, c.hpo.direction, judged[key])
        for key, c in configurations.items()
        if c.hpo is not None and judged[key]
    ]
    if not studied:
        some = ", ".join(list(configurations)[:3])
        raise MlopsError(f"project {tracker.project!r}: no run of {some} has what is optimised; `mlops hpo` makes some")
    text, exported = journal(studied)
    _replace(file, text)
    return exported


def _judged(tracker: Tracker, metric: str, keys: Sequence[str]) -> dict[str, list[Evaluation]]:
    judged: dict[str, list[Evaluation]] = {key: [] for key in keys}
    try:
        found = evaluations(tracker, metric, RunQuery(subprojects=tuple(keys)))
    except UnknownName:
        # No run of any subproject has the metric yet. Whoever asked says so, with the command that makes some.
        return judged
    for one in found:
        judged[one.subproject].append(one)
    return judged


def _replace(file: Path, text: str) -> None:
    """All of the text under the file's name, or what was there before."""
    try:
        handle, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    except OSError as error:
        raise MlopsError(f"--export {file}: {error.strerror}; name a file in a folder you may write to") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as open_file:
            open_file.write(text)
            open_file.flush()
            os.fsync(open_file.fileno())
        os.chmod(made, 0o644)
        os.replace(made, file)
    except OSError as error:
        os.unlink(made)
        raise MlopsError(f"--export {file}: {error.strerror}; name a file that can be written") from error
