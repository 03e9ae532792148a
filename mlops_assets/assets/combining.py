"""The combinations of what two runs were made of: which are possible, and the recipe and fingerprint of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mlops_assets.assets.launch import Ports
from mlops_assets.assets.probing import Answer, Question, ask
from mlops_assets.assets.replaying import ReadyCode, Recipe, ready_code
from mlops_assets.tracking.record import Digests, RunRecord, fingerprint
from mlops_assets.tracking.shapley import Combination, Group, combinations, merged
from mlops_assets.tracking.stored_run import stored_configuration
from partitions.project import Project
from partitions.reference import PipelineReference
from partitions.run_configuration import RunConfiguration
from partitions.values import digest_of
from resources.artifacts import ArtifactStore
from resources.datasets import DatasetStore, Snapshot

CAUSES = ("code", "data", "configuration", "seed")


@dataclass(frozen=True)
class Side:
    """One of the two runs, with all that it takes to do it again."""

    name: str
    record: RunRecord
    configuration: RunConfiguration
    ready: ReadyCode
    snapshot: Snapshot

    @classmethod
    def of(cls, ports: Ports, project: Project, name: str, record: RunRecord) -> "Side":
        """Raises MlopsError where code, data or configuration cannot be had any more."""
        artifacts = ArtifactStore(ports.home.artifacts_url)
        store = DatasetStore(artifacts, ports.home.secret())
        return cls(
            name=name,
            record=record,
            configuration=stored_configuration(record, artifacts),
            ready=ready_code(ports, project, record.code_version, record.environment.lock),
            snapshot=store.find(record.where, record.data_version or ""),
        )

    @property
    def said(self) -> str:
        return f"run {self.record.run_id[-12:]}"


@dataclass(frozen=True)
class Cell:
    """One combination: its recipe, the code to run it with, and the fingerprint its run has."""

    recipe: Recipe
    ready: ReadyCode
    fingerprint: str


@dataclass(frozen=True)
class Grid:
    """All combinations of two runs, a and b. ``answers``: what each one's code makes of the other's configuration."""

    a: Side
    b: Side
    causes: tuple[str, ...]
    answers: Mapping[str, Answer]

    @cached_property
    def impossible(self) -> dict[Combination, str]:
        """The combinations that are known to be impossible before anything is run, with the reason."""
        found = ((some, self._reason(some)) for some in combinations(self.causes))
        return {some: reason for some, reason in found if reason is not None}

    def groups(self, failed: Mapping[Combination, str]) -> list[Group]:
        """The causes, those put together that cannot be told apart; ``failed``: what was tried and cannot be run."""
        return merged(self.causes, {**self.impossible, **failed})

    def cell(self, some: Combination, seed: int | None = None) -> Cell:
        """One combination, possibly with another seed."""
        code, config, data = self.side("code", some), self._configured(some), self.side("data", some)
        seed = self.side("seed", some).record.seed if seed is None else seed
        values, params = config.record.configuration, config.configuration.params
        if code is not config and "code" in self.causes:
            values, params = self.answers[code.name].config, self.answers[code.name].params
        configuration = config.configuration.model_copy(
            update={"params": params, "data_version": data.record.data_version, "seed": seed}
        )
        digests = Digests(subproject=digest_of(values), run=configuration.digest)
        version, fold = code.ready.identity.digest, configuration.fold
        recipe = Recipe(
            subproject=self.a.record.subproject,
            config=values,
            code=code.record.code_version,
            lock=code.record.environment.lock,
            configuration=configuration,
            threads=self.a.record.environment.threads,
            parent=self.b.record.run_id,
            tags=tuple(pair for pair in self.a.record.tags.items() if pair in self.b.record.tags.items()),
        )
        return Cell(recipe, code.ready, fingerprint(version, data.record.data_version, digests, seed, fold))

    def side(self, cause: str, some: Combination) -> Side:
        return self.b if cause in some else self.a

    def _configured(self, some: Combination) -> Side:
        # Where configurations are equal but for what only one code version knows, each code has its own.
        return self.side("configuration" if "configuration" in self.causes else "code", some)

    def _reason(self, some: Combination) -> str | None:
        code, config, data = self.side("code", some), self._configured(some), self.side("data", some)
        mine = self.answers.get(code.name)
        if mine is None:
            return None
        if code is not config and mine.refused is not None:
            return f"the code of {code.said} does not take the configuration of {config.said}: {mine.refused}"
        lacking = mine.lacking[0 if data is self.a else 1]
        if code is not data and lacking is not None:
            return f"the code of {code.said} cannot use the data of {data.said}: {lacking}"
        return None


def grid(ports: Ports, project: Project, one: RunRecord, other: RunRecord) -> Grid:
    """What differs between two runs. Raises MlopsError where code, data or configuration cannot be had any more."""
    a, b = Side.of(ports, project, "a", one), Side.of(ports, project, "b", other)
    differ = {
        "code": a.ready.identity.tree != b.ready.identity.tree,
        "data": one.data_version != other.data_version,
        "configuration": _configured(a) != _configured(b),
        "seed": one.seed != other.seed,
    }
    answers: dict[str, Answer] = {}
    if differ["code"] and (differ["configuration"] or differ["data"]):
        columns = tuple(tuple(side.snapshot.columns) for side in (a, b))
        reference = PipelineReference.of(project.pipeline)
        for own, another in ((a, b), (b, a)):
            given = another.record.configuration, another.configuration.params
            question = Question(reference, own.record.where, *given, columns)
            answers[own.name] = ask(ports, own.ready, question)
        differ["configuration"] = differ["configuration"] and not _equal_to_both(a, b, answers)
    return Grid(a, b, tuple(cause for cause in CAUSES if differ[cause]), answers)


def _configured(side: Side) -> tuple[str, str]:
    return digest_of(side.record.configuration), side.configuration.digest


def _equal_to_both(a: Side, b: Side, answers: Mapping[str, Answer]) -> bool:
    """Whether each code version makes of the other run's configuration just what its own run had."""
    folds = [(side.configuration.folds, side.configuration.fold) for side in (a, b)]
    return folds[0] == folds[1] and all(
        answers[side.name].refused is None
        and answers[side.name].params == side.configuration.params
        and answers[side.name].config == side.record.configuration
        for side in (a, b)
    )
