"""HPO_PIPELINE: Boosted or Trivial; HPO_SUBPROJECTS of it."""

import os

from hpo_project.pipeline import Boosted, Number, Trivial
from mlops_assets import HPO, Float, Int, Project, SearchSpace, Subproject

project = Project(
    name="hpo_bench",
    pipeline={"Boosted": Boosted, "Trivial": Trivial}[os.environ.get("HPO_PIPELINE", "Boosted")](),
    subprojects=[
        Subproject(key=f"s{number:02d}", config=Number(number=number))
        for number in range(int(os.environ.get("HPO_SUBPROJECTS", "1")))
    ],
    search_space=SearchSpace(rate=Float(0.01, 0.3, log=True), leaves=Int(4, 63), leaf=Int(5, 100, log=True)),
    hpo=HPO(metric="rmse", direction="minimize", trials=40, folds=5),
)
