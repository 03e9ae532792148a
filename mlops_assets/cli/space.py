"""``mlops space``: the search space of a subproject and what was sampled of it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.drawing import EMPTY
from mlops_assets.cli.options import JsonOption, ProjectOption, opened
from mlops_assets.cli.printing import console, print_json, print_table, shown

if TYPE_CHECKING:
    from mlops_assets.tracking.space import SampledSpace

SHADES = "░▁▂▃▄▅▆▇█"


def space(
    subproject: Annotated[str, typer.Argument(help="Its key.", show_default=False)],
    metric: Annotated[str | None, typer.Option(help="What counts as best; default what is optimised.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the search space of a subproject, and how much of it was sampled, by any run of any code version."""
    found = opened(project).space(subproject, metric)
    if as_json:
        print_json(found.row())
        return
    _print(found)


def _print(found: "SampledSpace") -> None:
    code = len(found.code_versions)
    counts = f"{found.configurations:,} configurations in {found.runs:,} runs of {code} code version{'s' * (code != 1)}"
    title = f"{found.project}/{found.subproject}: {len(found.parameters)} parameters; {counts}"
    rows: list[list[Any]] = []
    for one in found.parameters:
        covered = f"{one.covered:.0%}" if one.configurations else "-"
        outside = one.outside or None
        sampled = [sparkline(one.parts), covered, one.configurations, one.values, one.code_versions, outside]
        rows.append([one.parameter, one.range, _value(one.default), *sampled, _value(one.best)])
    columns = ["parameter", "range", "default", "sampled", "covered", "configurations", "values", "code versions"]
    numbers = ["covered", "configurations", "values", "code versions", "outside"]
    print_table(title, [*columns, "outside", "best"], rows, numbers=numbers)
    best = found.best
    if best is None:
        hint = (
            f"nothing was sampled yet: `mlops hpo {found.subproject}`, or `mlops run {found.subproject} -P name=value`"
        )
        console.print(hint, highlight=False, soft_wrap=True)
        return
    noise = f" ± {best.standard_error:.2g}" if best.standard_error is not None else ""
    said = f"best: {found.metric} {best.mean:.5g}{noise} over {best.over()}, on the newest code version"
    console.print(f"{said}; first run {best.run_ids[0]}", highlight=False, soft_wrap=True)


def _value(value: Any) -> str:
    """As it stands in the range beside it."""
    return json.dumps(value) if isinstance(value, bool) else shown(value)


def sparkline(parts: tuple[int, ...]) -> str:
    """How many lie in each part of a range: a column for each, empty ones light."""
    most = max(parts, default=0)
    if not most:
        return EMPTY * len(parts)
    return "".join(EMPTY if count == 0 else SHADES[max(1, round(count / most * (len(SHADES) - 1)))] for count in parts)
