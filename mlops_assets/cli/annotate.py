"""``mlops note`` and ``mlops tag``: what a person adds to a run after the fact."""

from typing import Annotated

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import console, print_json
from partitions.errors import MlopsError

RunArgument = Annotated[str, typer.Argument(help="A run id, or any beginning or end of it that is unique.")]


def note(
    run: RunArgument,
    text: Annotated[str, typer.Argument(help="What to note; '' takes the note away.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note something about a run. The record stays as it was; the last note shows."""
    record = opened(project).note(run, text)
    if as_json:
        print_json(record.row())
    else:
        console.print(f"{record.where} {record.run_id}: {record.note or 'no note'}", highlight=False, markup=False)


def tag(
    run: RunArgument,
    tags: Annotated[list[str], typer.Argument(help="name=value, one or more; name= takes a tag away.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tag a run, so that `mlops runs --where "tags.name = 'value'"` finds it."""
    given: dict[str, str | None] = {}
    for written in tags:
        name, equals, value = written.partition("=")
        if not equals or not name.strip():
            raise MlopsError(f"tag {written!r} should read name=value (name= takes it away)")
        given[name.strip()] = value or None
    record = opened(project).tag(run, **given)
    if as_json:
        print_json(record.row())
    else:
        said = ", ".join(f"{name}={value}" for name, value in record.tags.items()) or "no tags"
        console.print(f"{record.where} {record.run_id}: {said}", highlight=False, markup=False)
