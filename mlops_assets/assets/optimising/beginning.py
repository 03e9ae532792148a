"""The beginning of an HPO run: what is known is told to its search; one that was begun before is taken up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from mlops_assets.assets.events import trial_event
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.optimising.ending import Before, Conclusion, conclude
from mlops_assets.assets.optimising.preparing import Group, Start
from mlops_assets.assets.optimising.study import Study
from mlops_assets.assets.optimising.trial import Result
from mlops_assets.learning.search.search import Known, Question, Search
from mlops_assets.tracking.best import BestConfigurations
from mlops_assets.tracking.earlier import Asked, Earlier, Remembered, earlier
from mlops_assets.tracking.hpo_run import HPORun
from mlops_assets.tracking.record import RunRecord
from mlops_assets.tracking.tracker import Tracker, index_folder
from partitions.parameters import bind_params, params_type, plain_params
from partitions.project import Project
from resources.artifacts import ArtifactStore


@dataclass
class Begin:
    """Makes the studies of a group, and concludes them with what it knew when they began."""

    ports: Ports
    project: Project
    group: Group
    _before: dict[str, Before] = field(default_factory=dict)
    _siblings: Remembered = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = index_folder(self.ports.home, self.project.name)
        self.tracker = Tracker(self.ports.event_log, self.project.name, folder)
        self.choices = BestConfigurations(self.ports.event_log, self.project.name)
        self.tags: dict[str, Mapping[str, str]] = {one.key: one.tags for one in self.project.subprojects}

    def study(self, run: HPORun, start: Start) -> Study:
        """The study of an HPO run whose data version is known."""
        done = self._done(run) if start.resumed else []
        known = self._known(run, start)
        # Trials of this HPO run itself are restored, with their numbers, and not told.
        told = [one for one in known.told if run.hpo_run_id not in one.evaluation.parents]
        values = [Known(one.parameters, one.evaluation.values, one.circumstance) for one in told]
        question = Question(run.space, run.configuration, run.base, run.sampler_seed)
        search = Search(question, values, known.tried)
        results = {mark: _result(row) for mark, row in known.results.items()}
        study = Study(run, search, results, self._bind, start.registered.config_digest)
        if done:
            study.resume(done)
        self._before[run.hpo_run_id] = Before(
            told=tuple(one.evaluation for one in told if not one.circumstance),
            values=search.told,
            tried=len(known.tried),
            best=self.choices.current([run.subproject]).get(run.subproject),
            began=monotonic(),
        )
        return study

    def conclude(self, study: Study) -> Conclusion:
        """The summary and the choice of a study that is over."""
        cores = self.ports.compute.cores()
        return conclude(study, self._before.pop(study.run.hpo_run_id), self.tracker, cores)

    def _known(self, run: HPORun, start: Start) -> Earlier:
        asked = Asked(
            subproject=run.subproject,
            hpo=run.configuration,
            space=run.space,
            base=run.base,
            code_version=run.code_version.digest,
            data_version=run.data_version,
            seed=run.seed,
            hpo_run_id=run.hpo_run_id,
            subproject_digest=start.registered.config_digest,
        )
        return earlier(self.tracker, self.choices, asked, self.tags, self._siblings)

    def _bind(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as records have them; of another code version, only that code can tell."""
        if self.group.environment is not None:
            return dict(parameters)
        return plain_params(bind_params(params_type(self.project.pipeline), parameters, ""), "")

    def _done(self, run: HPORun) -> list[RunRecord]:
        """The runs of before. Those that were kept, and not logged any more, are logged now: none is done twice."""
        tracked = self.tracker.of_parent(run.hpo_run_id)
        known = set(self.tracker.run_ids())
        artifacts, lost = ArtifactStore(self.ports.home.artifacts_url), []
        for path in artifacts.list_documents(f"runs/{run.project}/{run.subproject}"):
            if path.split("/")[-2] not in known:
                record = RunRecord.model_validate_json(artifacts.read_document(path))
                lost += [record] if record.parent == run.hpo_run_id else []
        self.ports.event_log.store(trial_event(run.project, record) for record in lost)
        return [*tracked, *sorted(lost, key=lambda record: record.created_at)]


def _result(row: Mapping[str, Any]) -> Result:
    """A run as the index has it."""
    prefix = "metrics."
    metrics = {name.removeprefix(prefix): v for name, v in row.items() if name.startswith(prefix) and v is not None}
    return Result(row["run_id"], metrics, row.get("parent"), row.get("split"))
