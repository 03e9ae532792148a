"""``mlops deploy``, ``retrain``, ``promote``, ``rollback`` and ``undeploy``: models get into stages and out of them."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mlops_assets.cli.options import (
    AllOption,
    JsonOption,
    ProjectOption,
    SubprojectsArgument,
    TagOption,
    opened,
    parsed_tags,
)
from mlops_assets.cli.printing import console, filled, print_json, print_table
from partitions.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.assets.decision import Decision
    from mlops_assets.assets.following import OnArrival
    from mlops_assets.opened_project import OpenedProject

READABLE = 50
StageOption = Annotated[str, typer.Option("--stage", help="The stage, such as testing or production.")]
WhyOption = Annotated[str, typer.Option("--why", help="For those who ask later.")]
NowOption = Annotated[
    str | None, typer.Option("--now", help="Take data up to this moment (ISO 8601) instead of the newest.")
]
ToOption = Annotated[
    int | None, typer.Option("--to", help="The sequence of an earlier deployment; default the one before.")
]
SeedOption = Annotated[int | None, typer.Option(help="Default: drawn, and stored with the run.")]


def deploy(
    stage: StageOption,
    why: WhyOption,
    subprojects: SubprojectsArgument = None,
    code_version: Annotated[str | None, typer.Option(help="A commit, branch or tag; default the code at hand.")] = None,
    now: NowOption = None,
    seed: SeedOption = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a stage's code version, retrain with it, and deploy what passes the gates."""
    p = opened(project)
    keys = with_stage(p, subprojects, tag, everything, stage)

    def make(arrive: "OnArrival") -> "list[Decision]":
        return p.deploy(keys, stage=stage, why=why, code_version=code_version, on_arrival=arrive, now=now, seed=seed)

    _go(p, make, len(keys), f"deploying to {stage}", as_json)


def retrain(
    stage: StageOption,
    subprojects: SubprojectsArgument = None,
    why: WhyOption = "retrained by hand",
    now: NowOption = None,
    seed: SeedOption = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train anew with the code version that a stage has, and deploy what passes the gates."""
    p = opened(project)
    keys = with_stage(p, subprojects, tag, everything, stage)

    def make(arrive: "OnArrival") -> "list[Decision]":
        return p.retrain(keys, stage=stage, why=why, on_arrival=arrive, now=now, seed=seed)

    _go(p, make, len(keys), f"retraining {stage}", as_json)


def promote(
    source: Annotated[str, typer.Option("--from", help="The stage whose model is promoted.")],
    target: Annotated[str, typer.Option("--to", help="A later stage, where it is to serve, too.")],
    why: WhyOption,
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the model of one stage serve in a later one, too, if it passes the gates there. Nothing is trained."""
    p = opened(project)
    keys = with_stage(p, subprojects, tag, everything, target)

    def make(arrive: "OnArrival") -> "list[Decision]":
        return p.promote(keys, source=source, target=target, why=why, on_arrival=arrive)

    _go(p, make, len(keys), f"promoting to {target}", as_json)


def rollback(
    stage: StageOption,
    why: WhyOption,
    subprojects: SubprojectsArgument = None,
    to: ToOption = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let an earlier deployment of a stage serve again, at once."""
    p = opened(project)
    keys = with_stage(p, subprojects, tag, everything, stage)
    _report(p.rollback(keys, stage=stage, why=why, to=to), as_json)


def undeploy(
    stage: StageOption,
    why: WhyOption,
    subprojects: SubprojectsArgument = None,
    tag: TagOption = None,
    everything: AllOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a stage's model off, at once: nothing serves there any more."""
    p = opened(project)
    # A subproject that is declared no more may still serve: it is named by its key.
    plain = not (tag or everything) and not any(wild in key for key in subprojects or () for wild in "*?[")
    keys = subprojects if plain and subprojects else with_stage(p, subprojects, tag, everything, stage)
    _report(p.undeploy(keys, stage=stage, why=why), as_json)


def with_stage(
    p: "OpenedProject", subprojects: list[str] | None, tags: list[str] | None, everything: bool, stage: str
) -> list[str]:
    """The subprojects that a command line names; of those that a pattern stands for, the ones that have the stage.

    Raises MlopsError where it names none.
    """
    if not (subprojects or tags or everything):
        raise MlopsError("name subprojects (keys or globs), or --tag name=value, or --all")
    keys = p.project.select(tuple(subprojects or ()), parsed_tags(tags), everything)
    named = set(subprojects or ())
    having = [key for key in keys if key in named or stage in _stages(p, key)]
    # With none left, the first one says which stages there are.
    return having or keys[:1]


def _stages(p: "OpenedProject", key: str) -> list[str]:
    own = p.project.subproject(key).stages
    return [stage.name for stage in (p.project.stages if own is None else own)] + ["archive"]


def _go(
    p: "OpenedProject", make: "Callable[[OnArrival], list[Decision]]", total: int, doing: str, as_json: bool
) -> None:
    from mlops_assets.cli.progress import arrivals
    from mlops_assets.opened_project import DeployFailed

    try:
        with arrivals(total, f"{doing} {p.project.name}") as arrive:
            decisions = make(arrive)
    except DeployFailed as error:
        decisions = error.decisions
    _report(decisions, as_json)


def _report(decisions: "Sequence[Decision]", as_json: bool) -> None:
    """What became of each; exit code 1 unless all of it is as it was asked for."""
    decisions = sorted(decisions, key=lambda decision: decision.subproject)
    if as_json:
        print_json([decision.row() for decision in decisions])
    else:
        print_decisions(decisions)
    if not all(decision.went_well for decision in decisions):
        raise typer.Exit(1)


def print_decisions(decisions: "Sequence[Decision]") -> None:
    """A row each, where a person can read them all; of more, all that did not go well, and how many went how."""
    shown = decisions
    if len(decisions) > READABLE:
        shown = [decision for decision in decisions if not decision.went_well][:READABLE]
    if shown:
        columns, rows = filled(["subproject", "stage", "result", "run", "sequence"], [_cells(d) for d in shown])
        print_table("", columns, rows, numbers=["sequence"])
    for decision in shown:
        if decision.deployment is None or decision.said.count(";"):
            # Errors name the subproject themselves.
            said = escape(re.sub(rf"^\w+/{re.escape(decision.subproject)}: ", "", decision.said))
            console.print(f"{decision.subproject}: {said}", highlight=False, soft_wrap=True)
    counts: dict[str, int] = {}
    for decision in decisions:
        counts[decision.result] = counts.get(decision.result, 0) + 1
    noun = "subproject" if len(decisions) == 1 else "subprojects"
    summary = ", ".join(f"{count:,} {result}" for result, count in counts.items())
    console.print(f"{len(decisions):,} {noun}: {summary}", highlight=False)


def _cells(decision: "Decision") -> list[Any]:
    run = decision.run_id[-12:] if decision.run_id else None
    sequence = decision.deployment.sequence if decision.deployment else None
    return [decision.subproject, decision.stage, coloured(decision.result), run, sequence]


def coloured(result: str) -> str:
    good = result in ("deployed", "undeployed", "unchanged")
    return f"[green]{result}[/green]" if good else f"[red]{result}[/red]"
