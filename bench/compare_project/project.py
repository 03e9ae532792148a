"""One subproject: what is measured is one comparison."""

from compare_project.pipeline import Compared
from mlops_assets import Project, Subproject

project = Project(name="compared", pipeline=Compared(), subprojects=[Subproject(key="all")])
