"""The project ``lines`` with stages and gates, what serves in them, and what was decided and shown."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.assets.decision import Decision
from mlops_assets.opened_project import OpenedProject
from tests.end_to_end.staged_lines import STAGED_PIPELINE, project_text
from tests.public.conftest import opened

JUNE, JULY, AUGUST = (datetime(2013, month, 1, tzinfo=UTC) for month in (6, 7, 8))


def staged(folder: Path, slopes: dict[str, float] | None = None, retire: bool = False, **fields: Any) -> OpenedProject:
    (folder / "lines" / "pipeline.py").write_text(STAGED_PIPELINE)
    (folder / "lines" / "project.py").write_text(project_text(slopes, **fields))
    p = opened(folder)
    p.apply(allow_retire=retire)
    return p


@pytest.fixture
def p(folder: Path) -> OpenedProject:
    return staged(folder)


def served(p: OpenedProject) -> dict[tuple[str, str], str]:
    """The run that serves, by subproject and stage."""
    return {(row.subproject, row.stage): str(row.run_id) for row in p.serving()}


def results(decisions: list[Decision]) -> dict[str, str]:
    return {decision.subproject: decision.result for decision in decisions}


def shown(p: OpenedProject, key: str, stage: str) -> list[int]:
    """The sequences that the materialisations of a stage tell of."""
    events = p.event_log.events(("lines", "deployment", stage), [key])
    return [int(event.metadata["sequence"]) for event in events]
