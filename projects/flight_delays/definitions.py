"""What Dagster loads."""

from mlops_assets import build_definitions
from projects.flight_delays.project import project

defs = build_definitions(project)
