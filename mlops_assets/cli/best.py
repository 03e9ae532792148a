"""``mlops best``: what is considered best, chosen by a person or a rule, now and before."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.printing import console, print_json, print_table
from mlops_assets.tracking.best import BestConfiguration

SHOWN = 200


class ListsByDefault(TyperGroup):
    """``mlops best AA`` is ``mlops best list AA``: a first word that is no command names a subproject."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


best = typer.Typer(
    cls=ListsByDefault, help="Show the best configuration of each subproject; `set` one, or see its `history`."
)


@best.command("list")
def list_best(
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is considered best now. (`mlops best AA` is short for `mlops best list AA`.)"""
    p = opened(project)
    everything = not (subprojects or tag)
    keys = p.subprojects if everything else p.project.select(tuple(subprojects or ()), parsed_tags(tag), False)
    chosen = p.bests(keys)
    if as_json:
        print_json([best.row() for best in chosen.values()])
        return
    title = f"{p.project.name}: best configuration of {len(chosen)} of {len(keys)} subprojects"
    _print([chosen[key] for key in keys if key in chosen][:SHOWN], title, p.metric)
    if len(chosen) < len(keys):
        console.print("the others train what is declared: `mlops best set SUBPROJECT RUN --why ...`", highlight=False)


@best.command("set")
def set_best(
    subproject: Annotated[str, typer.Argument(help="Its key.", show_default=False)],
    run: Annotated[str, typer.Argument(help="A run id, or any unique beginning or end of it.", show_default=False)],
    why: Annotated[str, typer.Option(help="For those who ask later.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Consider the configuration of a run best from now on; `mlops train` trains it."""
    chosen = opened(project).set_best(subproject, run, why=why)
    if as_json:
        print_json(chosen.row())
    else:
        before = f", instead of run {chosen.replaces}" if chosen.replaces else ""
        console.print(f"{chosen.project}/{subproject}: best is run {chosen.run_id}{before}", highlight=False)


@best.command("history")
def history(
    subproject: Annotated[str, typer.Argument(help="Its key.", show_default=False)],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything that was considered best, newest first."""
    p = opened(project)
    choices = list(reversed(p.best_history(subproject)))
    if as_json:
        print_json([choice.row() for choice in choices])
    else:
        _print(choices, f"{p.project.name}/{subproject}: {len(choices)} choices, newest first", p.metric)


def _print(choices: Sequence[BestConfiguration], title: str, metric: str) -> None:
    """Of the parameters only those that are not the same everywhere, where there are several choices."""
    names = list(dict.fromkeys(name for choice in choices for name in choice.parameters))
    if len(choices) > 1:
        names = [name for name in names if len({str(choice.parameters.get(name)) for choice in choices}) > 1]
    rows: list[list[Any]] = []
    for choice in choices:
        parameters = ", ".join(f"{name} {choice.parameters[name]}" for name in names if name in choice.parameters)
        said = [choice.metrics.get(metric), choice.since, choice.by, choice.why]
        rows.append([choice.subproject, choice.run_id[-12:], *said, parameters])
    print_table(title, ["subproject", "run", metric, "since", "by", "why", "parameters"], rows, numbers=[metric])
