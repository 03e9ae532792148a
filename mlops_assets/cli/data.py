"""``mlops data``: the data versions of a subproject."""

from typing import Annotated

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import print_json

LIMIT = 20


def data(
    subproject: Annotated[str, typer.Argument(help="A subproject's key, also of one that was retired.")],
    limit: Annotated[int | None, typer.Option(min=1, help=f"At most so many; default {LIMIT}, --json all.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the data versions of a subproject, the one taken last first."""
    p = opened(project)
    versions = p.data_versions(subproject)
    if as_json:
        print_json([version.row() for version in versions[:limit]])
        return
    from mlops_assets.cli.subproject_status import print_data_versions

    count = f"{len(versions)} data version{'s' if len(versions) > 1 else ''}"
    print_data_versions(f"{p.project.name}/{subproject}: {count}", versions, limit or LIMIT)
