"""As many subprojects as BACKFILL_SUBPROJECTS says."""

import os

from backfill_project.pipeline import Lines, Slope
from mlops_assets import Project, Subproject

project = Project(
    name="backfill",
    pipeline=Lines(),
    subprojects=[
        Subproject(f"s{number:05d}", Slope(slope=float(number)))
        for number in range(int(os.environ.get("BACKFILL_SUBPROJECTS", "50")))
    ],
)
