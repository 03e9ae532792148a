"""``mlops plan`` and ``mlops apply``: what is declared against what is registered."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.plan_text import show_changes, summary
from mlops_assets.cli.printing import console, print_json
from partitions.changes import Plan
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.assets.configuration import OnProgress
    from mlops_assets.opened_project import OpenedProject

LimitOption = Annotated[int, typer.Option(min=0, help="At most so many rows and names of each kind; 0 is all.")]


def plan(
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Keep the plan, for apply --plan.")] = None,
    limit: LimitOption = 40,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `mlops apply` would register, change, bring back and retire. Changes nothing.

    Keys, globs and --tag show only some subprojects.
    """
    p = opened(project)
    planned = p.plan()
    if not (subprojects or tag):
        if out is not None:
            _keep(out, planned)
        if as_json:
            print_json(planned.model_dump(mode="json"))
        else:
            show_changes(planned, limit)
        return
    if out is not None:
        raise MlopsError("--out keeps the whole plan: leave out the subprojects and tags")
    some = planned.among(_matching(p, planned, subprojects or [], parsed_tags(tag)))
    if as_json:
        print_json(some.model_dump(mode="json", exclude={"unchanged"}))
    else:
        console.print(f"of {summary(planned)}:", highlight=False)
        show_changes(some, limit)


def apply(
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", exists=True, dir_okay=False, help="A plan kept by `mlops plan --out`: that or nothing."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    allow_retire: Annotated[bool, typer.Option(help="Retire subprojects that are no longer declared.")] = False,
    why: Annotated[str | None, typer.Option(help="The reason, kept in the history of each subproject.")] = None,
    limit: LimitOption = 40,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register the declared subprojects and their configuration."""
    from mlops_assets.assets.configuration import Terms, refuse_retiring

    p = opened(project)
    agreed = p.still_good(_read(plan_file)) if plan_file is not None else p.plan()
    if not as_json:
        show_changes(agreed, limit)
    if not agreed.nothing:
        refuse_retiring(agreed, Terms(retire="retire" if allow_retire else "refuse"))
        if not yes:
            _ask(agreed)
        with _progress() as on_progress:
            p.apply(agreed, allow_retire=allow_retire, why=why, on_progress=on_progress)
    if as_json:
        print_json(agreed.model_dump(mode="json"))
    elif not agreed.nothing:
        console.print(f"applied: {summary(agreed)}", highlight=False)


def _ask(agreed: Plan) -> None:
    try:
        answer = typer.confirm(f"Apply this to project {agreed.project}?", err=True)
    except typer.Abort:
        raise MlopsError("nothing was applied: nobody answered; --yes applies without asking") from None
    if not answer:
        raise MlopsError("nothing was applied")


def _keep(file: Path, planned: Plan) -> None:
    try:
        file.write_text(planned.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise MlopsError(f"cannot write {file}: {error.strerror}") from error


def _read(file: Path) -> Plan:
    try:
        return Plan.model_validate_json(file.read_bytes())
    except ValueError as error:
        raise MlopsError(
            f"{file} is not a plan: `mlops plan --out {file}` writes one, of all subprojects ({_first_line(error)})"
        ) from error


def _first_line(error: ValueError) -> str:
    return ", ".join(str(error).splitlines()[:2])


def _matching(p: "OpenedProject", planned: Plan, patterns: list[str], tags: dict[str, str]) -> list[str]:
    """The subprojects asked for, declared or about to be retired."""
    from fnmatch import fnmatchcase

    declared = p.declared()
    retired = p.registry.last_configurations(planned.retired) if tags else dict.fromkeys(planned.retired)
    known = {**{key: configuration.tags for key, configuration in declared.items()}}
    known |= {key: configuration.tags if configuration else {} for key, configuration in retired.items()}
    for pattern in patterns:
        if not any(fnmatchcase(key, pattern) for key in known):
            p.project.select([pattern])  # raises, with the nearest keys
    return [
        key
        for key, own in known.items()
        if (not patterns or any(fnmatchcase(key, pattern) for pattern in patterns)) and tags.items() <= own.items()
    ]


@contextmanager
def _progress() -> "Iterator[OnProgress]":
    """A bar on stderr, where a person looks and once it takes longer than a moment."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("registering", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
