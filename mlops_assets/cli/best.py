"""``mlops best``: what is considered best, chosen by a person or a rule, now and before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text
from typer.core import TyperGroup

from mlops_assets.cli.options import JsonOption, ProjectOption, SubprojectsArgument, TagOption, opened, parsed_tags
from mlops_assets.cli.printing import SHORT_ID, console, print_json, print_table, shown

if TYPE_CHECKING:
    from mlops_assets.tracking.best import BestConfiguration

SHOWN = 200
EXPLAINED = 20


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
        hint = "the others train what is declared: `mlops hpo` chooses, or `mlops best set SUBPROJECT RUN --why ...`"
        console.print(hint, highlight=False, soft_wrap=True)


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


def _print(choices: "Sequence[BestConfiguration]", title: str, metric: str) -> None:
    """A choice alone with everything about it; of several, the parameters that are not the same everywhere."""
    if len(choices) == 1:
        _print_one(choices[0], title)
        return
    names = list(dict.fromkeys(name for choice in choices for name in choice.parameters))
    differing = [name for name in names if len({str(choice.parameters.get(name)) for choice in choices}) > 1]
    rows: list[list[Any]] = []
    for choice in choices:
        parameters = ", ".join(f"{n} {shown(choice.parameters[n])}" for n in differing if n in choice.parameters)
        judged = [len(choice.run_ids) or 1, choice.run_id[-SHORT_ID:]]
        rows.append([choice.subproject, choice.metrics.get(metric), choice.since, choice.by, *judged, parameters])
    columns = ["subproject", metric, "since", "by", "runs", "first run", "parameters"]
    print_table(title, columns, [[_cell(value) for value in row] for row in rows], numbers=[metric, "runs"])
    for choice in choices[:EXPLAINED]:
        console.print(Text(f"{choice.subproject}: {choice.why}"), soft_wrap=True)


def _print_one(choice: "BestConfiguration", title: str) -> None:
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(Text(f"{choice.why} ({choice.by}, {choice.since:%Y-%m-%d %H:%M})"), soft_wrap=True)
    facts: list[tuple[str, Any]] = [(name, value) for name, value in choice.metrics.items()]
    facts += [(f"run {number}", run_id) for number, run_id in enumerate(choice.run_ids or (choice.run_id,), 1)]
    facts += [("instead of run", choice.replaces)] if choice.replaces else []
    facts += [
        ("code version", choice.code_version[:SHORT_ID]),
        ("data version", (choice.data_version or "-")[:SHORT_ID]),
    ]
    facts += list(choice.parameters.items())
    print_table("", ["subproject", choice.subproject], [(name, _cell(value)) for name, value in facts])


def _cell(value: Any) -> str:
    return escape(shown(value))
