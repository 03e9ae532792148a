"""As many subprojects as FLEET_SUBPROJECTS says, with FLEET_EXPECTATIONS expectations each."""

import os

from fleet_project.pipeline import Fleet, Number
from mlops_assets import Project, Subproject

EXPECTATIONS = int(os.environ.get("FLEET_EXPECTATIONS", "0"))

project = Project(
    name="fleet",
    pipeline=Fleet(),
    subprojects=[
        Subproject(key=f"s{number:05d}", config=Number(number=number, expectations=EXPECTATIONS))
        for number in range(int(os.environ.get("FLEET_SUBPROJECTS", "100")))
    ],
)
