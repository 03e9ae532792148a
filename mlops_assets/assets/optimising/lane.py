"""One subproject on its way through an HPO run: its data, its trials, the choice, and the model where asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mlops_assets.assets.optimising.ending import Conclusion
from mlops_assets.assets.optimising.preparing import Start
from mlops_assets.assets.optimising.study import Study
from mlops_assets.assets.optimising.trial import Ticket
from mlops_assets.assets.recording import keep
from mlops_assets.assets.way import Arrived, Origin, RunPlan, Way
from mlops_assets.tracking.hpo_run import HPORun
from mlops_assets.tracking.record import RunError, RunRecord, new_run_id
from partitions.errors import MlopsError
from partitions.run_configuration import RunConfiguration

What = Literal["data", "started", "run", "ended", "model", "stopped"]


@dataclass(frozen=True)
class Standing:
    """How an HPO run stands: for whoever shows its progress."""

    trials: int
    done: int
    running: int
    pruned: int
    failed: int
    best: float | None


@dataclass(frozen=True)
class News:
    """Something that happened to a subproject. Of the fields, those that belong to ``what`` are there.

    ``goes_on``: it has ended, and its model is trained now.
    """

    subproject: str
    what: What
    run: HPORun | None = None
    arrived: Arrived | None = None
    record: RunRecord | None = None
    conclusion: Conclusion | None = None
    error: RunError | None = None
    standing: Standing | None = None
    goes_on: bool = False


@dataclass
class Lane:
    """What is next for a subproject. ``study``: makes its study, once the data version is known.

    ``template``: what the ways of its group share. ``train``: the best configuration is trained at the end.
    """

    start: Start
    template: Way
    study: Callable[[HPORun, Start], Study]
    weigh: Callable[[Study], Conclusion]
    train: bool = False
    in_flight: int = 0
    over: bool = False
    _run: HPORun | None = None
    _study: Study | None = None
    _asked_data: bool = False
    _asked_model: bool = False
    _conclusion: Conclusion | None = None
    _tickets: dict[str, Ticket] = field(default_factory=dict)
    _news: list[News] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.start.registered.key

    @property
    def left(self) -> int:
        """How many runs there are still to do, about."""
        return self._study.left if self._study is not None else self.start.run.configuration.trials

    def take_news(self) -> list[News]:
        news, self._news = self._news, []
        return news

    def next(self) -> Way | None:
        """What a worker is to do next; None where there is nothing now."""
        if self.over:
            return None
        try:
            return self._next()
        except MlopsError as error:
            self._stop(RunError(message=f"{self.start.run.where}: {error}"))
            return None

    def _next(self) -> Way | None:
        if self.start.fresh and self._run is None:
            if self._asked_data:
                return None
            self._asked_data = True
            return replace(self.template, subproject=self.start.registered, fresh=True)
        study = self._study or self._begin(self._run or self.start.run)
        if self._conclusion is None:
            ticket = study.next()
            if ticket is not None:
                self._tickets[ticket.plan.run_id] = ticket
                return self._way(study.run, ticket)
            if not study.over:
                return None
            self._end(study)
        return self._model()

    def _begin(self, run: HPORun) -> Study:
        self._run = run
        self._study = self.study(run, self.start)
        if not self.start.resumed:
            self._tell("started", run=run)
        return self._study

    def _way(self, run: HPORun, ticket: Ticket) -> Way:
        settings: dict[str, Any] = {"trial": ticket.asked.number}
        if ticket.asked.origin != "sampled":
            settings["origin"] = ticket.asked.origin
        origin = replace(
            self.template.origin,
            kind="trial",
            parent=run.hpo_run_id,
            hpo=run.configuration.digest,
            settings=settings,
            tags=dict(run.tags),
        )
        threads = max(self.template.threads, int(run.configuration.cpus))
        return replace(
            self.template,
            subproject=self._slim,
            origin=origin,
            runs=(ticket.plan,),
            data_version=run.data_version,
            threads=threads,
        )

    @property
    def _slim(self) -> Any:
        """The subproject without what no run needs, which would be sent thousands of times."""
        left_out: Mapping[str, Any] = {"hpo": None, "gates": (), "stages": (), "notifications": (), "origins": {}}
        return self.start.registered.model_copy(update=dict(left_out))

    def _model(self) -> Way | None:
        best = self._conclusion.best if self._conclusion is not None else None
        if not self.train or best is None or self._asked_model:
            self.over = self.over or not self._asked_model
            return None
        self._asked_model = True
        run = self._run or self.start.run
        configuration = RunConfiguration(data_version=run.data_version, params=best.parameters, seed=run.seed)
        origin: Origin = self.template.origin
        return replace(
            self.template,
            subproject=self.start.registered,
            origin=replace(origin, tags=dict(run.tags)),
            runs=(RunPlan(new_run_id(), configuration),),
            data_version=run.data_version,
        )

    # ---- what came back

    def arrived(self, way: Way, arrived: Arrived) -> None:
        """A worker has done what ``next`` gave."""
        if way.fresh:
            self._data(arrived)
        elif self._asked_model and way.runs[0].run_id not in self._tickets:
            self._tell("model", arrived=arrived, error=arrived.error)
            self.over = True
        else:
            self._run_done(way, arrived)

    def _data(self, arrived: Arrived) -> None:
        self._tell("data", arrived=arrived, error=arrived.error)
        if arrived.error is not None or arrived.snapshot is None:
            self.over = True
            return
        self._run = self.start.run.model_copy(update={"data_version": arrived.snapshot.data_version})

    def _run_done(self, way: Way, arrived: Arrived) -> None:
        study = self._study
        if study is None:
            raise RuntimeError("a run came back before its study began")
        ticket = self._tickets.pop(way.runs[0].run_id)
        record = arrived.records[0]
        tracked = study.returned(ticket, record)
        if tracked is not record:
            keep(way, tracked)
        self._tell("run", record=tracked, run=study.run)
        if study.over:
            self._end(study)

    def _end(self, study: Study) -> None:
        if self._conclusion is not None:
            return
        self._conclusion = self.weigh(study)
        failed = self._conclusion.error
        goes_on = self.train and self._conclusion.best is not None and failed is None
        self._tell("ended", run=study.run, conclusion=self._conclusion, error=failed, goes_on=goes_on)
        self.over = not goes_on

    def _stop(self, error: RunError) -> None:
        self._tell("stopped", error=error)
        self.over = True

    def _tell(self, what: What, **fields: Any) -> None:
        standing = standing_of(self._study) if self._study is not None else None
        self._news.append(News(self.key, what, standing=standing, **fields))


def standing_of(study: Study) -> Standing:
    best = study.search.best
    return Standing(
        trials=study.run.configuration.trials,
        done=len(study.done),
        running=study.running,
        pruned=study.ended["pruned"],
        failed=study.ended["failed"],
        best=best[0] if best is not None else None,
    )
