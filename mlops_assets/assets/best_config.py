"""``best_config``: the configuration that is considered best, each choice a materialisation.

An HPO run ends with one. Materialised alone, it is chosen again, from all runs on today's code and the latest data.
"""

from collections.abc import Iterable

from mlops_assets.assets.launch import Ports, code_to_run, latest_data_versions
from mlops_assets.tracking.best import BestConfiguration, BestConfigurations, chosen_by_rule
from mlops_assets.tracking.evaluations import chosen, evaluations
from mlops_assets.tracking.registry import Registry
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker, index_folder
from partitions.errors import MlopsError, UnknownName
from partitions.hpo import HPO
from partitions.project import Project
from partitions.reference import PipelineReference


def choose_again(
    ports: Ports, project: Project, keys: Iterable[str], revision: str | None = None
) -> dict[str, BestConfiguration | str]:
    """The best configuration of each subproject by its declared rule, not logged yet; or why there is none."""
    wanted = list(keys)
    registered = Registry(ports.event_log, project.name).configurations(wanted)
    before = BestConfigurations(ports.event_log, project.name).current(wanted)
    tracker = Tracker(ports.event_log, project.name, index_folder(ports.home, project.name))
    data = latest_data_versions(ports.event_log, project.name, wanted)
    code, _ = code_to_run(ports, project, PipelineReference.of(project.pipeline), revision)
    made: dict[str, BestConfiguration | str] = {}
    for key in wanted:
        where, hpo = f"{project.name}/{key}", registered[key].hpo
        if hpo is None:
            made[key] = f"{where}: declares no hpo, and with it no metric and no rule to choose by"
            continue
        try:
            made[key] = _choice(tracker, (project.name, key), hpo, (code.digest, data.get(key)), before.get(key))
        except (MlopsError, UnknownName) as error:
            made[key] = f"{where}: no run to choose from on today's code and the latest data ({error}); mlops hpo {key}"
    return made


def _choice(
    tracker: Tracker,
    subproject: tuple[str, str],
    hpo: HPO,
    made_with: tuple[str, str | None],
    before: BestConfiguration | None,
) -> BestConfiguration:
    project, key = subproject
    code, data = made_with
    where = f"code_version = '{code}' and data_version = '{data or ''}'"
    some = evaluations(tracker, hpo.metric, RunQuery(subprojects=(key,), where=where))
    return chosen_by_rule(project, chosen(tracker, some, hpo.direction, hpo.rule), {}, before)
