"""As many subprojects as RETRAINING_SUBPROJECTS says, with a threshold and a comparison with the champion as gates."""

import os

from mlops_assets import NotWorseThanChampion, Project, Stage, Subproject, Threshold
from retraining_project.pipeline import Number, Retrained

project = Project(
    name="retrained",
    pipeline=Retrained(),
    subprojects=[
        Subproject(key=f"s{number:05d}", config=Number(number=number))
        for number in range(int(os.environ.get("RETRAINING_SUBPROJECTS", "100")))
    ],
    gates=[Threshold("r2", min=-10.0), NotWorseThanChampion("rmse", tolerance=100.0)],
    stages=[Stage("testing"), Stage("production")],
)
