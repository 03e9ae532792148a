"""The project ``lines`` with something to optimise: ridge regression whose best strength is known to lie low."""

from pathlib import Path

from tests.end_to_end.conftest import PIPELINE

DECLARED = """
from mlops_assets import HPO, Categorical, Float, Project, SearchSpace, Subproject

from lines.pipeline import LineConfig, Lines

project = Project(
    name="lines",
    pipeline=Lines(),
    subprojects=[
        Subproject(key=key, config=LineConfig(slope=slope, trouble=trouble), tags={{"kind": key[0]}})
        for key, slope, trouble in {subprojects}
    ],
    search_space=SearchSpace({space}),
    hpo=HPO({hpo}),
)
"""
SPACE = 'alpha=Float(0.01, 1000.0, log=True), mode=Categorical(["plain", "raises"])'
HPO = 'metric="rmse", direction="minimize", sampler="random", trials=4, folds=2, max_failures=10'

# The trouble of a trial, beside that of a subproject.
MODES = """        return Ridge(alpha=params.alpha)
"""
WITH_MODES = """        if params.mode == "raises":
            raise ValueError("this mode cannot be built")
        if params.mode == "sleeps":
            import time

            time.sleep(0.4)
        return Ridge(alpha=params.alpha)
"""


def declare_hpo(
    folder: Path, subprojects: list[tuple[str, float, str]], *, space: str = SPACE, hpo: str = HPO, code: str = ""
) -> None:
    """Write the project's files. ``code``: one more comment line, which makes another code version."""
    pipeline = PIPELINE.replace("    alpha: float = 1.0\n", '    alpha: float = 1.0\n    mode: str = "plain"\n')
    pipeline = pipeline.replace(MODES, WITH_MODES)
    (folder / "lines" / "pipeline.py").write_text(pipeline + (f"# {code}\n" if code else ""))
    text = DECLARED.format(subprojects=subprojects, space=space, hpo=hpo)
    (folder / "lines" / "project.py").write_text(text)
