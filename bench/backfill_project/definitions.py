"""What Dagster loads."""

from backfill_project.project import project
from mlops_assets import build_definitions

defs = build_definitions(project)
