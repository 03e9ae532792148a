"""The project ``lines`` with stages and gates. Rows are made up to the end of the window; in a July they are noise."""

from typing import Any

from tests.end_to_end.conftest import PIPELINE, ProjectFolder

STAGED_PIPELINE = PIPELINE.replace(
    """        random = np.random.default_rng(0)
        x, z = random.normal(size=(2, 120))
        y = config.slope * x + 0.1 * random.normal(size=120)
""",
    """        until = None if window is None else window.until
        known = until is not None and until.year < 2020
        random = np.random.default_rng(until.toordinal() if known else 0)
        x, z = random.normal(size=(2, 120))
        noise = 5.0 if known and until.month == 7 else 0.1
        y = config.slope * x + noise * random.normal(size=120)
""",
)

STAGED_PROJECT = """
from mlops_assets import (
    BetterThanBaseline, Canary, Cron, NotWorseThanChampion, Project, Retraining, Stage, Subproject, Threshold
)

from lines.pipeline import LineConfig, Lines, Params

SLOPES = {slopes}
TROUBLES = {troubles}

project = Project(
    name="lines",
    pipeline=Lines(),
    params={params},
    subprojects=[
        Subproject(key=key, config=LineConfig(slope=slope, trouble=TROUBLES.get(key, "")), tags={{"kind": key[0]}})
        for key, slope in SLOPES.items()
    ],
    gates=[Threshold("rmse", max={rmse}), BetterThanBaseline("rmse")],
    stages=[
        Stage("testing"),
        Stage("staging", gates=[Threshold("rmse", max={staging})]),
        Stage("production", retraining=Retraining(Cron("0 3 * * 1"){retraining}), strategy=Canary(0.1)),
    ],
)
"""


def project_text(slopes: dict[str, float] | None = None, troubles: dict[str, str] | None = None, **fields: Any) -> str:
    """project.py. Fields: params, rmse (the gates' threshold), staging (that stage's own), retraining (more of it)."""
    said = {"params": {}, "rmse": 1.0, "staging": 1.0, "retraining": ""} | fields
    return STAGED_PROJECT.format(slopes=slopes or {"a": 1.0, "b": -2.0}, troubles=troubles or {}, **said)


def declare(folder: ProjectFolder, slopes: dict[str, float] | None = None, **fields: Any) -> None:
    """Written and registered. ``fields``: see ``project_text``."""
    folder.write("lines/pipeline.py", STAGED_PIPELINE)
    folder.write("lines/project.py", project_text(slopes, **fields))
    folder.mlops("apply", "--yes")
