"""What a search knows before its first trial: earlier runs of its subproject, and the best of its siblings.

A value is told to the sampler only where it means the same as a new one would: same subproject configuration, code
version, data version, parameters that are not sampled, seeds, folds and rows in each of them. Of every other run only
the configuration is tried. Results of siblings are not even read into the search.

============  =====================================================  ===============================================
reuse         told                                                   tried first (fitted into the space)
============  =====================================================  ===============================================
``same``      what means the same                                    the best of other code and data
``same-data`` also other code on the same data and folds             the best of other data
``all``       also other data, with the same folds and seeds         the best of other folds and seeds
``none``      nothing but this HPO run's own                         nothing; siblings, unless ``transfer`` is none
============  =====================================================  ===============================================

Values of other code or data are told as what they are: ``Told.circumstance`` names the code (and data) they were
measured with, one more categorical dimension for the sampler, which asks only for its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlops_assets.learning.evaluation import Evaluation
from mlops_assets.learning.transfer import (
    BEST_OF_EACH,
    Goal,
    Sibling,
    best_configurations,
    fitted,
    offered_by,
    similarity,
    to_try,
    within,
)
from mlops_assets.tracking.best import BestConfiguration, BestConfigurations
from mlops_assets.tracking.evaluations import configuration_digest, evaluations
from mlops_assets.tracking.record import Digests, fingerprint
from mlops_assets.tracking.run_query import RunQuery
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import UnknownName
from partitions.hpo import HPO
from partitions.search_space import SearchSpace

OWN = "earlier"
MOST_SIBLINGS = 20
MOST_REMEMBERED = 2000
HERE = ""


@dataclass(frozen=True)
class Asked:
    """What a search is over: what its own runs will have in common.

    base: complete parameters; those that ``space`` does not sample stay so. seed: of the first run of a trial; with
    several seeds the next ones. subproject_digest: ``config_digest`` of what is registered; None trusts the data
    version to tell of a change.
    """

    subproject: str
    hpo: HPO
    space: SearchSpace
    base: Mapping[str, Any]
    code_version: str
    data_version: str
    seed: int
    hpo_run_id: str | None = None
    subproject_digest: str | None = None

    @property
    def pairs(self) -> set[tuple[int, int | None]]:
        """Seed and fold of each run of a trial."""
        folds: Iterable[int | None] = range(self.hpo.folds) if self.hpo.folds else (None,)
        return {(self.seed + number, fold) for number in range(self.hpo.seeds) for fold in folds}


@dataclass(frozen=True)
class Told:
    """One configuration and its value. circumstance: empty where it means the same as here."""

    evaluation: Evaluation
    parameters: dict[str, Any]
    circumstance: str = HERE

    @property
    def value(self) -> float:
        return self.evaluation.mean


@dataclass(frozen=True)
class Earlier:
    """told: configurations with values, oldest first. tried: complete parameters to begin with, in this order, each
    with its origin ("earlier", "sibling:KEY"). results: runs that need not be run again, as rows by fingerprint.
    """

    told: tuple[Told, ...] = ()
    tried: tuple[tuple[dict[str, Any], str], ...] = ()
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def circumstances(self) -> tuple[str, ...]:
        """Those of the values told, the search's own (empty) among them."""
        return tuple(dict.fromkeys([HERE, *(one.circumstance for one in self.told)]))


# What siblings have judged, by metric and subproject.
Remembered = dict[tuple[str, str], list[Evaluation]]


def earlier(
    tracker: Tracker,
    best: BestConfigurations,
    asked: Asked,
    siblings: Mapping[str, Mapping[str, str]],
    remembered: Remembered | None = None,
) -> Earlier:
    """What is known for ``asked``. ``siblings``: the tags of the project's subprojects by key, its own included.

    ``remembered``: what was found of siblings before, for a launch of many subprojects that are each other's siblings;
    it is filled, and what it holds is not looked up again.
    """
    hpo = asked.hpo
    own = _evaluations(tracker, hpo.metric, (asked.subproject,))
    if hpo.reuse == "none":
        own = [one for one in own if asked.hpo_run_id is not None and asked.hpo_run_id in one.parents]
    told = _told(asked, own)
    offers = _of_others(asked, own) if hpo.reuse != "none" else []
    if hpo.transfer == "siblings":
        goal = Goal(asked.space, asked.base, hpo.direction, siblings.get(asked.subproject, {}), own)
        found = _siblings(tracker, asked, siblings, {} if remembered is None else remembered)
        chosen = best.current(found) if found else {}
        offers += offered_by(goal, {key: replace(one, chosen=_chosen(chosen, key)) for key, one in found.items()})
    known = [one.parameters for one in told if one.circumstance == HERE]
    return Earlier(tuple(told), tuple(to_try(offers, known, hpo.trials)), _results(tracker, asked))


def _told(asked: Asked, own: Iterable[Evaluation]) -> list[Told]:
    told = []
    for one in own:
        judged, point = _as_judged_here(asked, one), within(asked.space, asked.base, one.parameters)
        if judged is None or point is None:
            continue
        circumstance = _circumstance(asked, judged)
        if circumstance is not None:
            told.append(Told(judged, point, circumstance))
    return told


def _as_judged_here(asked: Asked, one: Evaluation) -> Evaluation | None:
    """The evaluation on the seeds and folds of this search alone; None where it lacks one of them."""
    if (one.fold_count or None) != asked.hpo.folds:
        return None
    pairs = frozenset(pair for pair in one.pairs if pair[:2] in asked.pairs)
    return one.on(pairs) if len(pairs) == len(asked.pairs) else None


def _circumstance(asked: Asked, one: Evaluation) -> str | None:
    """The circumstance under which a value is told; None where it is not."""
    code, data = one.code_version == asked.code_version, one.data_version == asked.data_version
    reuse = asked.hpo.reuse
    if code and data:
        return HERE if _same_subproject(asked, one) else None
    if data and reuse in ("same-data", "all"):
        return f"code {one.code_version[:12]}"
    if reuse == "all":
        return f"code {one.code_version[:12]} on data {(one.data_version or 'unknown')[:12]}"
    return None


def _of_others(asked: Asked, own: Iterable[Evaluation]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The best configurations of the subproject's runs that are not told, by code and data, the newest first.

    A trial of the same folds that was pruned or stopped is not among them: it was bad, or is not judged yet.
    """
    groups: dict[tuple[str, str | None], list[Evaluation]] = {}
    for one in own:
        judged = _as_judged_here(asked, one)
        here = (one.code_version, one.data_version) == (asked.code_version, asked.data_version)
        begun = here and {pair[:2] for pair in one.pairs} < asked.pairs
        if (judged is None or _circumstance(asked, judged) is None) and not begun:
            groups.setdefault((one.code_version, one.data_version), []).append(one)
    newest_first = sorted(groups.values(), key=lambda group: max(max(one.run_ids) for one in group), reverse=True)
    return [(OWN, [fitted(asked.space, asked.base, c) for c in _best(group, asked.hpo)]) for group in newest_first]


def _same_subproject(asked: Asked, one: Evaluation) -> bool:
    """Whether the subproject was configured as it is: its digest is part of the fingerprint of every run."""
    if asked.subproject_digest is None:
        return True
    params, fold = one.key, one.folds[0]
    digests = Digests(subproject=asked.subproject_digest, run=configuration_digest(params, one.fold_count, fold))
    return one.fingerprints[0] == fingerprint(one.code_version, one.data_version, digests, one.seeds[0], fold)


def _chosen(chosen: Mapping[str, BestConfiguration], key: str) -> Mapping[str, Any] | None:
    return chosen[key].parameters if key in chosen else None


def _siblings(
    tracker: Tracker, asked: Asked, siblings: Mapping[str, Mapping[str, str]], remembered: Remembered
) -> dict[str, Sibling]:
    """The other subprojects with what they have judged; of thousands, those that have the most tags in common."""
    tags = siblings.get(asked.subproject, {})
    keys = [key for key in siblings if key != asked.subproject]
    keys = sorted(keys, key=lambda key: (-similarity((tags, siblings[key]), (), ()), key))[:MOST_SIBLINGS]
    metric = asked.hpo.metric
    new = [key for key in keys if (metric, key) not in remembered]
    if len(remembered) + len(new) > MOST_REMEMBERED:
        remembered.clear()
        new = keys
    remembered |= {(metric, key): [] for key in new}
    for one in _evaluations(tracker, metric, tuple(new)) if new else ():
        remembered[metric, one.subproject].append(one)
    return {key: Sibling(siblings[key], remembered[metric, key]) for key in keys}


def _best(some: Iterable[Evaluation], hpo: HPO) -> list[dict[str, Any]]:
    return best_configurations(some, hpo.direction, BEST_OF_EACH)


def _evaluations(tracker: Tracker, metric: str, keys: tuple[str, ...]) -> list[Evaluation]:
    try:
        return evaluations(tracker, metric, RunQuery(subprojects=keys))
    except UnknownName:
        return []  # no run has this metric yet: a new metric, or the first HPO run of all


def _results(tracker: Tracker, asked: Asked) -> dict[str, Mapping[str, Any]]:
    """The runs on this code and data that came to an end, by fingerprint, the first of each."""
    where = f"code_version = '{asked.code_version}' and data_version = '{asked.data_version}'"
    if asked.hpo.reuse == "none":
        where += f" and parent = '{asked.hpo_run_id or ''}'"
    rows = tracker.rows(RunQuery(subprojects=(asked.subproject,), where=where, sort="created_at, run_id")).as_dicts()
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["kind"] != "replay" and row["status"] != "failed" and row.get(f"metrics.{asked.hpo.metric}") is not None:
            found.setdefault(row["fingerprint"], row)
    return found
