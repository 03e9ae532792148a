"""``trials``: the runs of HPO, one materialisation each, and one for every HPO run that ended: its summary.

The walk of one execution: everything that happens is logged in batches as it happens, told of once it is on disk.
"""

import getpass
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import dagster as dg

from mlops_assets.assets.events import dataset_made, metrics_made, model_made, not_made, trial_event, unmade
from mlops_assets.assets.following import raise_if_any
from mlops_assets.assets.launch import Ports
from mlops_assets.assets.optimising.beginning import Begin
from mlops_assets.assets.optimising.board import Board, OnNews, unheard
from mlops_assets.assets.optimising.conducting import Conductor
from mlops_assets.assets.optimising.lane import Lane, News
from mlops_assets.assets.optimising.preparing import Group, HPORequest, Start, prepare_hpo
from mlops_assets.assets.request import LifecycleFields, ListedHPOFields
from mlops_assets.assets.stream import Stream, moment_for
from mlops_assets.quality.expectations import DataVerdict
from mlops_assets.tracking.best import chosen_event
from mlops_assets.tracking.exploring.hpo_report import shown_metadata
from mlops_assets.tracking.hpo_run import HPORuns, ended_events, started_event
from mlops_assets.tracking.registry import Registry
from partitions.errors import MlopsError
from partitions.project import Project
from resources.artifacts import ArtifactStore
from resources.configured import MlopsResource
from resources.event_log import EventLog
from resources.event_storage.entries import AssetEvent, NotMade, RunStep
from resources.registration_lock import Busy

SECONDS_BETWEEN_LINES = 5.0
# Pictures take half a second each time, while the cores are wanted by others; later, `p.explore` draws any of them.
MOST_DRAWN = 1
Evaluate = Callable[[DataVerdict, str], dg.AssetCheckEvaluation]


@dataclass
class TrialsWalk:
    """One execution: HPO runs of many subprojects. ``steps``: the assets that are selected.

    ``evaluation``: the verdict on a dataset as an event. ``on_news`` hears of what happened once it is logged.
    ``pages``: where reports with plots are stored; None draws none.
    """

    project: Project
    steps: frozenset[str]
    evaluation: Evaluate
    on_news: OnNews = unheard
    pages: ArtifactStore | None = None
    told_at: float = field(default_factory=monotonic)

    def go(self, context: Any, ports: Ports, keys: list[str], request: HPORequest) -> Board:
        """Returns how it ended, with the error of each subproject that failed. Interrupted, it can be resumed."""
        groups = prepare_hpo(ports, self.project, keys, request)
        starts = [start for group in groups for start in group.starts]
        asked = [start.run.configuration for start in starts]
        trials, runs = sum(hpo.trials for hpo in asked), sum(hpo.trials * hpo.runs_per_trial for hpo in asked)
        board = Board(len(starts), trials, asked[0].metric if asked else "")
        log, step = EventLog(context.instance), RunStep.of(context)
        self.pages = ArtifactStore(ports.home.artifacts_url) if len(starts) <= MOST_DRAWN else None

        def handle(batch: list[News]) -> None:
            log.store((event for news in batch for event in self._events(news)), step)
            for news in batch:
                board.hear(news)
                self._say(context, news, board)
                self.on_news(news, board)

        with self._alone(ports, context.run.run_id, starts), Stream(handle, moment_for(runs)) as stream:

            def tell(news: News) -> None:
                if news.what == "started" and news.run is not None:
                    # Not in a batch: before its first run, it must be known that the HPO run began.
                    log.store([started_event(news.run)], step)
                stream.put(news)

            for group in groups:
                self._conduct(ports, group, request, tell)
        return board

    @contextmanager
    def _alone(self, ports: Ports, dagster_run_id: str, starts: Iterable[Start]) -> Iterator[None]:
        """Nobody else resumes these HPO runs meanwhile, and none of them is under way elsewhere.

        A lock ends with its process: those of a process that was killed are free.
        """
        registry = Registry(ports.event_log, self.project.name)
        holder = f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"
        begun_by = {start.run.dagster_run_id or "" for start in starts if start.resumed}
        with ExitStack() as held:
            for run_id in sorted({dagster_run_id} | begun_by):
                try:
                    held.enter_context(registry.hpo_lock(run_id, holder))
                except Busy as busy:
                    raise MlopsError(
                        f"project {self.project.name!r}: an HPO run to resume is under way in another process: let it "
                        "finish, or stop it first"
                    ) from busy
            # Whoever had the lock until now may have brought some of them to their end.
            resumed = {start.run.subproject: start.run for start in starts if start.resumed}
            still_open = HPORuns(ports.event_log, self.project.name).open(resumed)
            gone = [run for key, run in resumed.items() if still_open.get(key) != run]
            if gone:
                raise MlopsError(f"{gone[0].where}: HPO run {gone[0].hpo_run_id} has ended meanwhile; try again")
            yield

    def _conduct(self, ports: Ports, group: Group, request: HPORequest, tell: Callable[[News], None]) -> None:
        begin = Begin(ports, self.project, group)

        def lane(start: Start) -> Lane:
            return Lane(start, group.template, begin.study, begin.conclude, request.train)

        Conductor(ports, group, lane, tell).go()

    def _events(self, news: News) -> Iterator[AssetEvent | NotMade]:
        """All events of one piece of news: they are logged together or not at all."""
        name = self.project.name
        if news.what == "run" and news.record is not None:
            yield trial_event(name, news.record)
        elif news.what == "data" and news.arrived is not None:
            dataset = dataset_made(name, news.arrived)
            if dataset is not None:
                yield dataset.as_event()
            if news.arrived.verdict is not None:
                yield self.evaluation(news.arrived.verdict, news.subproject)
        elif news.what == "ended" and news.conclusion is not None and news.run is not None:
            yield from ended_events(news.run, news.conclusion.summary, self._shown(news))
            if news.conclusion.best is not None and "best_config" in self.steps:
                yield chosen_event(news.conclusion.best)
        elif news.what == "model" and news.arrived is not None:
            for record in news.arrived.records:
                if record.status == "succeeded":
                    yield model_made(name, record).as_event()
                    if "metrics" in self.steps:
                        yield metrics_made(name, news.arrived, record).as_event()
                else:
                    yield not_made(dg.AssetKey([name, "model"]), record)
        if news.error is not None:
            yield from unmade(name, self._not_reached(news), news.subproject)

    def _shown(self, news: News) -> Mapping[str, Any]:
        """What people see of an HPO run in the web UI, beside its figures."""
        if news.run is None or news.conclusion is None:
            return {}
        try:
            return shown_metadata(news.run, news.conclusion.summary, news.conclusion.evaluations, self.pages)
        except Exception as error:  # noqa: BLE001 - said where the pictures would be: the end is logged all the same
            return {"report": f"could not be made: {type(error).__name__}: {error}"}

    def _not_reached(self, news: News) -> Iterable[str]:
        reached = {"dataset"} if news.what != "data" or (news.arrived and news.arrived.snapshot) else set()
        if news.what == "model":
            reached |= {"trials", "best_config"}
        elif news.what == "ended" and news.conclusion is not None and news.conclusion.best is not None:
            reached |= {"best_config"}  # it has one, if not by its own trials
        return sorted(self.steps - reached)

    def _say(self, context: Any, news: News, board: Board) -> None:
        if news.error is not None:
            context.log.error(f"{news.error.message}\n{news.error.traceback}")
        elif news.what == "run" and news.record is not None and news.record.error is not None:
            context.log.warning(f"{news.record.error.message}\n{news.record.error.traceback}")
        if news.what == "ended" and news.conclusion is not None:
            best = news.conclusion.summary.best
            stopped_by = news.conclusion.summary.stopped_by
            said = f"best is run {best.run_id}: {best.reason}" if best is not None else "nothing to choose from"
            context.log.info(f"{news.subproject}: HPO ended by {stopped_by}; {said}")
        if monotonic() - self.told_at >= SECONDS_BETWEEN_LINES:
            self.told_at = monotonic()
            context.log.info(board.line())


def optimise(
    context: Any,
    project: Project,
    fields: ListedHPOFields,
    mlops: MlopsResource,
    to: tuple[Evaluate, OnNews],
) -> None:
    """One execution of the ``optimise`` job: HPO of the listed subprojects, on their latest snapshots.

    Executed again, it goes on with what the runs of its family began. Raises Failure at the end if some failed.
    """
    log = EventLog(context.instance)
    ports = Ports(mlops.open_home(), log, mlops.compute())
    keys = list(dict.fromkeys(fields.subprojects))
    family = family_before(log, context.run)
    ended = ended_in(log, project.name, keys, family)
    left = [key for key in keys if key not in ended]
    request = HPORequest(
        fields=fields.asked(),
        seed=fields.hpo_seed,
        revision=fields.code_version,
        resume=fields.resume,
        of_family=family,
        data_version=fields.data_version,
        dagster_run_id=context.run.run_id,
    )
    walk = TrialsWalk(project, frozenset({"trials", "best_config"}), *to)
    board = walk.go(context, ports, left, request) if left else Board(0, 0, "")
    raise_if_any(board.failed, len(keys))


@dataclass(frozen=True)
class Searched:
    """What became of the subprojects with ``trials`` selected. ``before``: ended in a run that this one re-executes.

    ``without_hpo``: nothing is declared for them that could be optimised; the other steps are still to be done.
    """

    ended: set[str]
    failed: dict[str, str]
    before: list[str]
    without_hpo: list[str]


def optimised(context: Any, ports: Ports, walk: TrialsWalk, asked: tuple[list[str], LifecycleFields]) -> Searched:
    """HPO as a part of the lifecycle: from the data to the model of the best configuration, as far as selected.

    Raises MlopsError where nothing could be optimised and nothing else is selected.
    """
    keys, fields = asked
    name = walk.project.name
    configured = Registry(ports.event_log, name).configurations(keys)
    given = {"metric", "direction"} <= fields.asked().keys()
    searchable = [key for key in keys if (given or configured[key].hpo) and configured[key].search_space.dimensions]
    without = [key for key in keys if key not in set(searchable)]
    if without and not walk.steps & {"dataset", "model"}:
        raise MlopsError(f"{name}/{without[0]}: declares no hpo or no search space: there is nothing to optimise")
    if without:
        context.log.warning(f"{len(without)} subprojects declare no hpo or no search space: trained without trials")
    family = family_before(ports.event_log, context.run)
    before = ended_in(ports.event_log, name, searchable, family)
    run = fields.request()
    request = HPORequest(
        fields=fields.asked(),
        params=run.configuration.params,
        seed=fields.hpo_seed,
        revision=fields.code_version,
        resume=fields.resume,
        of_family=family,
        ingest="always" if "dataset" in walk.steps else "missing",
        window=run.window,
        data_version=fields.data_version,
        train="model" in walk.steps,
        dagster_run_id=context.run.run_id,
    )
    left = [key for key in searchable if key not in before]
    board = walk.go(context, ports, left, request) if left else Board(0, 0, "")
    return Searched(board.ended, board.failed, [key for key in searchable if key in before], without)


def family_before(log: EventLog, run: dg.DagsterRun) -> tuple[str, ...]:
    """The Dagster runs that this one re-executes."""
    if run.root_run_id is None:
        return ()
    return tuple(run_id for run_id in log.family(run.run_id) if run_id != run.run_id)


def ended_in(log: EventLog, project: str, keys: list[str], family: tuple[str, ...]) -> set[str]:
    """The subprojects of which an HPO run that one of these Dagster runs began has ended well."""
    if not family:
        return set()
    runs = HPORuns(log, project)
    ended = {one.hpo_run_id for one in runs.ended(keys).values() if one.well}
    return {r.subproject for r in runs.started(keys) if r.hpo_run_id in ended and r.dagster_run_id in family}
