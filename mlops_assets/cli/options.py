"""Arguments and options that several commands share, so that they read and behave alike."""

import gc
from typing import TYPE_CHECKING, Annotated

import typer

from partitions.errors import MlopsError
from partitions.memory import values_that_stay

if TYPE_CHECKING:
    from mlops_assets.opened_project import OpenedProject

ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        envvar="MLOPS_PROJECT",
        help="A name from workspace.yaml or the module that holds `project`; default the only one.",
    ),
]
SubprojectsArgument = Annotated[
    list[str] | None, typer.Argument(help="Keys or globs, such as AA or 'A*'.", show_default=False)
]
TagOption = Annotated[list[str] | None, typer.Option("--tag", help="Only subprojects with this tag: name=value.")]
AllOption = Annotated[bool, typer.Option("--all", help="All subprojects.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table.")]


def opened(project: str | None) -> "OpenedProject":
    with values_that_stay():
        from mlops_assets.opened_project import open_project

        ready = open_project(project)
    # What was imported and declared stays to the end: the garbage collector need not look through it any more.
    gc.freeze()
    return ready


def chosen(
    project: "OpenedProject", subprojects: list[str] | None, tags: list[str] | None, everything: bool
) -> list[str]:
    """The subprojects that a command line names. Raises MlopsError where it names none, or one that is unknown."""
    if not (subprojects or tags or everything):
        raise MlopsError("name subprojects (keys or globs), or --tag name=value, or --all")
    return project.project.select(tuple(subprojects or ()), parsed_tags(tags), everything)


def parsed_tags(tags: list[str] | None) -> dict[str, str]:
    pairs = {}
    for tag in tags or ():
        name, equals, value = tag.partition("=")
        if not equals or not name:
            raise MlopsError(f"--tag {tag!r} should read name=value")
        pairs[name] = value
    return pairs
