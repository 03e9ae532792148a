"""Optimising: HPO of one or many subprojects, unchanged pipelines and all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlops_assets.assets.optimising.board import Board, OnNews, unheard
from mlops_assets.assets.optimising.lane import News
from mlops_assets.assets.optimising.preparing import HPORequest, prepare_hpo
from mlops_assets.automation.jobs import op_name, optimise_job
from mlops_assets.checks import checks_of
from mlops_assets.opened.launching import QUIET, Launching, interrupted_as_usual, new_dagster_run_id
from mlops_assets.tracking.best import BestConfiguration
from mlops_assets.tracking.hpo_run import HPOSummary
from partitions.errors import MlopsError


@dataclass(frozen=True)
class Optimised:
    """What came of an HPO run of one subproject."""

    subproject: str
    summary: HPOSummary
    best: BestConfiguration | None


class HPOFailed(MlopsError):
    """Some subprojects failed. ``failed``: error by subproject; ``done``: what came of all that got to an end."""

    def __init__(self, failed: dict[str, str], done: "list[Optimised]") -> None:
        self.failed = failed
        self.done = done
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        super().__init__(f"{next(iter(failed.values()))}{more}")


class Optimising(Launching):
    """HPO runs."""

    def hpo(
        self,
        subprojects: str | Sequence[str],
        *,
        configuration: Mapping[str, Any] | None = None,
        code_version: str | None = None,
        resume: bool = False,
        on_news: OnNews = unheard,
        **fields: Any,
    ) -> list[Optimised]:
        """Optimise one or many subprojects, interleaved on one cluster: ``p.hpo("AA", trials=20, sampler="gp")``.

        Fields of the HPO configuration that are given count before ``configuration`` and what is registered. ``seed=``
        seeds the sampler and the first run of each trial. ``resume=True`` goes on with HPO runs that did not end.
        Raises HPOFailed if some subproject failed; every run is tracked all the same.
        """
        keys = [subprojects] if isinstance(subprojects, str) else list(subprojects)
        others = {name: fields.pop(name) for name in ("seed", "data_version") if name in fields}
        asked = {**(configuration or {}), **fields}
        request = HPORequest(
            fields=asked, revision=code_version, resume=resume, data_version=others.get("data_version")
        )
        self._register_first(keys)
        prepare_hpo(self._ports(), self.project, keys, request)
        config = {
            "subprojects": keys,
            "hpo": {name: value for name, value in asked.items() if value is not None},
            "without": [name for name, value in asked.items() if value is None],
            "hpo_seed": others.get("seed"),
            "data_version": others.get("data_version"),
            "code_version": code_version,
            "resume": resume,
        }
        return self._optimise({name: value for name, value in config.items() if value is not None}, on_news)

    def _optimise(self, config: Mapping[str, Any], on_news: OnNews) -> list[Optimised]:
        done: list[Optimised] = []
        failed: dict[str, str] = {}

        def hear(news: News, board: Board) -> None:
            if news.what == "ended" and news.conclusion is not None:
                done.append(Optimised(news.subproject, news.conclusion.summary, news.conclusion.best))
            if news.error is not None:
                failed[news.subproject] = news.error.message
            on_news(news, board)

        definition = optimise_job(self.project, checks_of(self.project), self.mlops, hear)
        run_config = {"ops": {op_name("optimise"): {"config": dict(config)}}, **QUIET}
        try:
            with interrupted_as_usual():
                definition.execute_in_process(
                    run_config=run_config, instance=self.event_log.instance, run_id=new_dagster_run_id()
                )
        except dg.Failure:
            if not failed:
                raise
            raise HPOFailed(failed, done) from None
        return done
