"""What people see of an HPO run that ended: tables and pictures for the metadata of ``trials``, and one page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.learning.canvas import Figure
from mlops_assets.learning.evaluation import Evaluation
from mlops_assets.learning.exploring.points import flat, points
from mlops_assets.tracking.compare.html import page, report
from mlops_assets.tracking.compare.sections import Section
from mlops_assets.tracking.evaluations import evaluations
from mlops_assets.tracking.exploring.exploration import Exploration, costs
from mlops_assets.tracking.hpo_run import HPORun, HPORuns, HPOSummary, TrialSummary
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.space import said
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import UnknownName
from partitions.values import canonical_json
from partitions.yaml_text import write_yaml
from resources.artifacts import ArtifactStore

SHOWN = 10
# Drawn while whoever asked for the HPO run waits; `mlops hpo --report` draws all kinds later.
IN_METADATA = ("history", "importance", "parallel", "slice")


def shown_metadata(
    run: HPORun, summary: HPOSummary, judged: Sequence[Evaluation], artifacts: ArtifactStore | None = None
) -> dict[str, Any]:
    """Metadata of the summary's event for people: what was asked, the best trials, pictures, and where the page is.

    judged: the complete trials. The page is stored in ``artifacts``, before the event that names it; without,
    there are only tables: of a thousand subprojects at once nobody looks at the pictures.
    """
    shown: dict[str, Any] = {
        "configuration": dg.MetadataValue.md(f"```yaml\n{configuration_file(run)}```"),
        "best_trials": dg.MetadataValue.md(_markdown(best_trials(summary))),
    }
    if artifacts is None:
        return shown
    exploration = exploration_of(run, judged)
    drawn = {kind: exploration.figure(kind) for kind in exploration.able() if kind in IN_METADATA}
    for name, figure in drawn.items():
        encoded = base64.b64encode(figure.png).decode()
        shown[name] = dg.MetadataValue.md(f"![{figure.title}](data:image/png;base64,{encoded})")
    path = page_path(run)
    held = HPOReport(run, summary, exploration)
    artifacts.write_document(path, page(held.title, held.body(list(drawn.values()))))
    shown["report"] = dg.MetadataValue.path(_place(artifacts, path))
    return shown


def exploration_of(run: HPORun, judged: Sequence[Evaluation]) -> Exploration:
    """The trials of an HPO run, explored."""
    hpo = run.configuration
    better = {hpo.metric: "max" if hpo.direction == "maximize" else "min"}
    held = points(judged, hpo.metric, hpo.direction, run.space)
    return Exploration(run.where, held, hpo.metric, better, costs)


@dataclass(frozen=True)
class HPOReport:
    """An HPO run that ended, with every picture, as a page; a report in a notebook."""

    run: HPORun
    summary: HPOSummary
    exploration: Exploration

    def page(self) -> str:
        """One HTML page that loads nothing from anywhere."""
        return page(self.title, self._repr_html_())

    @property
    def title(self) -> str:
        return f"HPO of {self.run.where}"

    def body(self, figures: list[Figure]) -> str:
        """The page without its head, with some pictures."""
        sections = _sections(self.run, self.summary)
        return report(_headline(self.run, self.summary), sections, figures, self.exploration.points.notes)

    def _repr_html_(self) -> str:
        return self.body(self.exploration.figures())


def hpo_report(tracker: Tracker, subproject: str, hpo_run_id: str | None = None) -> HPOReport:
    """The report of an HPO run, default the last one that ended. Raises UnknownName where there is none."""
    runs = HPORuns(tracker.event_log, tracker.project)
    ended = runs.ended([subproject])
    found = [run for run in runs.started([subproject]) if run.hpo_run_id in ended]
    chosen = [run for run in found if hpo_run_id is None or run.hpo_run_id.startswith(hpo_run_id)]
    summary = runs.summary(subproject, chosen[-1].hpo_run_id) if chosen else None
    if summary is None:
        some = (
            f"; there are {', '.join(run.hpo_run_id for run in found[-3:])}" if found else f": `mlops hpo {subproject}`"
        )
        named = f"HPO run {hpo_run_id!r}" if hpo_run_id is not None else "HPO run"
        raise UnknownName(f"{tracker.project}/{subproject}: no {named} has ended{some}")
    return HPOReport(chosen[-1], summary, exploration_of(chosen[-1], _complete(tracker, chosen[-1], summary)))


def _complete(tracker: Tracker, run: HPORun, summary: HPOSummary) -> list[Evaluation]:
    """The complete trials, by their runs as they are tracked."""
    ids = [run_id for trial in summary.trials if trial.state == "complete" for run_id in trial.run_ids]
    if not ids:
        return []
    listed = ", ".join(f"'{run_id}'" for run_id in ids)
    return evaluations(tracker, summary.metric, RunQuery((run.subproject,), where=f"run_id in ({listed})"))


def page_path(run: HPORun) -> str:
    """Where the page lies in the artifact store."""
    return f"hpo/{run.project}/{run.subproject}/{run.hpo_run_id}.html"


def configuration_file(run: HPORun) -> str:
    """The HPO configuration as a file for ``mlops hpo -c``: only what is not the default."""
    return write_yaml(run.configuration.model_dump(mode="json", exclude_defaults=True))


def best_trials(summary: HPOSummary, most: int = SHOWN) -> list[dict[str, Any]]:
    """The best complete trials: number, value, noise, origin, and the parameters that differ between trials."""
    complete = [trial for trial in summary.trials if trial.state == "complete" and trial.mean is not None]
    sign = -1.0 if summary.direction == "maximize" else 1.0
    ranked = sorted(complete, key=lambda trial: (sign * (trial.mean or 0.0), trial.number))
    parameters = {trial.number: flat(trial.parameters) for trial in summary.trials}
    names = list(dict.fromkeys(name for one in parameters.values() for name in one))
    differing = [n for n in names if len({canonical_json(one.get(n)) for one in parameters.values()}) > 1]
    return [
        {
            "trial": trial.number,
            summary.metric: trial.mean,
            "standard error": trial.standard_error,
            **{name: parameters[trial.number].get(name) for name in differing},
            "origin": trial.origin,
            "first run": trial.run_ids[0] if trial.run_ids else None,
        }
        for trial in ranked[:most]
    ]


def _headline(run: HPORun, summary: HPOSummary) -> str:
    states = [trial.state for trial in summary.trials]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed") if state in states
    )
    best = f"; best: {summary.best.reason}" if summary.best is not None else "; nothing to choose from"
    return f"{run.where}: {counts or 'no'} trials{best}"


def _sections(run: HPORun, summary: HPOSummary) -> list[Section]:
    import pandas as pd

    reused = sum(trial.reused for trial in summary.trials)
    runs = sum(len(trial.run_ids) for trial in summary.trials)
    facts = {
        "HPO run": run.hpo_run_id,
        "stopped by": summary.stopped_by + (f": {summary.reason}" if summary.reason else ""),
        "runs": f"{runs}, {reused} of them reused",
        "known before": f"{summary.told} values told, {summary.tried} configurations to try first",
        "time": f"{summary.seconds:.1f} s; {summary.cpu_seconds:.1f} s in runs, on {summary.cores} cores",
        "code version": run.code_version.digest[:12],
        "data version": run.data_version[:12],
        "began": run.created_at,
        "by": run.created_by,
    }
    space = [(name, said(dimension), _shown(run.base.get(name))) for name, dimension in run.space.dimensions.items()]
    asked = run.configuration.model_dump(mode="json", exclude_defaults=True)
    failed = [trial for trial in summary.trials if trial.error is not None]
    found = [
        Section("HPO run", pd.DataFrame(list(facts.items()), columns=["", "what"], dtype=object)),
        Section("Best trials", pd.DataFrame(best_trials(summary), dtype=object)),
        Section("Search space", pd.DataFrame(space, columns=["parameter", "range", "default"], dtype=object)),
        Section("Configuration", pd.DataFrame([(k, _shown(v)) for k, v in asked.items()], columns=["field", "value"])),
    ]
    return found if not failed else [*found, Section("Failed trials", pd.DataFrame(list(map(_failure, failed))))]


def _failure(trial: TrialSummary) -> dict[str, Any]:
    return {"trial": trial.number, "error": trial.error, "first run": trial.run_ids[0] if trial.run_ids else None}


def _markdown(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "no trial is complete"
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    return value if isinstance(value, str) else canonical_json(value)


def _place(artifacts: ArtifactStore, path: str) -> str:
    return str(Path(artifacts.place) / path) if "://" not in artifacts.place else f"{artifacts.place}/{path}"
