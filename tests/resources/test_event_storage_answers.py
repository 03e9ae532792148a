"""The same events through our storage in batches and through Dagster's own one by one: every answer is the same."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.test_utils import create_run_for_test
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from resources.event_storage.entries import entries
from tests.resources.answers import answers
from tests.resources.storages import (
    check_planned,
    judged,
    made,
    message,
    of_run,
    of_step,
    open_instance,
    planned,
    seen,
)

RUNS = [f"{number}{number}0e8400-e29b-41d4-a716-446655440000" for number in (1, 2, 3)]
ONE, TWO, THREE = RUNS


@dataclass
class Pair:
    """A deployment on our storage and one on Dagster's own. ``fresh`` empties both, and makes the runs."""

    ours: dg.DagsterInstance
    stock: dg.DagsterInstance

    def fresh(self) -> None:
        for instance in (self.ours, self.stock):
            instance.wipe()
            _count_from_one(instance)
            for run_id in RUNS:
                create_run_for_test(instance, run_id=run_id, job_name="a_job")

    def store(self, batch: Sequence[EventLogEntry]) -> None:
        self.ours.event_log_storage.store_event_batch(batch)
        for entry in batch:
            self.stock.event_log_storage.store_event(entry)

    def both(self, act: Callable[[dg.DagsterInstance], Any]) -> None:
        assert repr(act(self.ours)) == repr(act(self.stock))

    def agree(self) -> None:
        stock, ours = answers(self.stock, RUNS), answers(self.ours, RUNS)
        differing = {
            question: (stock[question], ours[question]) for question in stock if ours[question] != stock[question]
        }
        assert differing == {}
        assert len(stock) > 80


def _count_from_one(instance: dg.DagsterInstance) -> None:
    """As SQLite does when its tables are empty."""
    log = instance.event_log_storage
    assert isinstance(log, SqlEventLogStorage)
    with log.index_connection() as connection:
        if connection.dialect.name == "postgresql":
            for table in ("event_logs", "asset_check_executions"):
                connection.execute(db.text(f"ALTER SEQUENCE {table}_id_seq RESTART"))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def deployments(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    make_url = request.getfixturevalue("new_postgres_url") if request.param == "postgres" else str
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        ours = stack.enter_context(open_instance(folder / "ours", True, make_url()))
        stock = stack.enter_context(open_instance(folder / "stock", False, make_url()))
        yield Pair(ours, stock)


@pytest.fixture
def pair(deployments: Pair) -> Pair:
    deployments.fresh()
    return deployments


def test_a_life_of_two_assets(pair: Pair) -> None:
    start, success = DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS
    pair.both(lambda one: one.add_dynamic_partitions("lines", ["a", "b", "c"]))
    pair.store([of_run(ONE, start), planned(ONE, "x", subset=["a", "b"]), planned(ONE, "y", "a"), planned(ONE, "y")])
    pair.store([check_planned(ONE, "x", "c"), check_planned(ONE, "x", "d", subset=["a", "b"])])
    pair.store([of_run(ONE, DagsterEventType.STEP_START, "lifecycle"), message(ONE, "on its way")])
    pair.store(
        of_step(
            ONE,
            made("x", "a", "1", record="text", rmse=1.5),
            judged("x", "c", True),
            judged("x", "d", False, "a"),
            made("y", "a", "1"),
            seen("x", "b", "2"),
            made("x", "b", "2"),
            judged("x", "d", True, "b"),
            made("y"),
        )
    )
    pair.store([of_run(ONE, DagsterEventType.STEP_SUCCESS, "lifecycle"), of_run(ONE, success)])
    pair.agree()
    pair.store([of_run(TWO, start), planned(TWO, "x", "c"), planned(TWO, "y", "b"), check_planned(TWO, "x", "c")])
    pair.store(
        of_step(TWO, made("x", "c", "3"), judged("x", "c", False), judged("x", "d", True, "c"), made("x", "a", "4"))
    )
    pair.store([of_run(TWO, DagsterEventType.STEP_FAILURE, "lifecycle"), of_run(TWO, DagsterEventType.RUN_FAILURE)])
    pair.agree()
    pair.store(
        entries([made("y", "c", "9"), seen("y", "c"), judged("x", "c", True), judged("x", "c", True, "a")], None)
    )
    pair.both(lambda one: one.delete_dynamic_partition("lines", "b"))
    pair.agree()


def test_wiped_and_stored_again(pair: Pair) -> None:
    first = of_step(ONE, made("x", "a", "1"), made("x"), seen("x", "b"), judged("x", "c", True), made("y", "a"))
    pair.store(first)
    pair.both(lambda one: one.wipe_assets([dg.AssetKey("x")]))
    pair.agree()
    pair.store(of_step(TWO, made("x", "b", "2"), judged("x", "c", True)))
    pair.agree()
    pair.store(first)
    pair.both(lambda one: one.delete_run(TWO))
    pair.agree()
    pair.fresh()
    pair.agree()
    pair.store(first)
    pair.agree()


def test_events_one_by_one_are_batches_of_one(pair: Pair) -> None:
    for entry in [planned(ONE, "x", "a"), *of_step(ONE, made("x", "a", "1"), judged("x", "c", True), seen("y"))]:
        for instance in (pair.ours, pair.stock):
            instance.event_log_storage.store_event(entry)
    pair.agree()


def test_a_check_planned_twice_is_refused_alike(pair: Pair) -> None:
    pair.store([check_planned(ONE, "x", "c"), check_planned(ONE, "x", "c")])
    twice = of_step(ONE, judged("x", "c", True))
    for instance in (pair.ours, pair.stock):
        with pytest.raises(dg.DagsterInvariantViolationError, match="Updated 2 rows for asset check evaluation"):
            instance.event_log_storage.store_event(twice[0])


def test_a_batch_that_is_refused_leaves_nothing(pair: Pair) -> None:
    log = pair.ours.event_log_storage
    log.store_event_batch([check_planned(ONE, "x", "d", subset=["a"])])
    before = answers(pair.ours, RUNS)
    with pytest.raises(Exception, match=r"(?i)unique"):
        log.store_event_batch([*of_step(ONE, made("x", "a")), check_planned(ONE, "x", "d", subset=["b", "a"])])
    assert answers(pair.ours, RUNS) == before


def test_a_batch_of_more_than_a_statement_takes(pair: Pair) -> None:
    many = [made("x", f"p{number}", str(number)) for number in range(5000)]
    checks = [judged("x", "d", True, f"p{number}") for number in range(1000)]
    pair.ours.event_log_storage.store_event_batch(of_step(ONE, *many, *checks))
    ids = pair.ours.event_log_storage.get_latest_storage_id_by_partition(
        dg.AssetKey("x"), DagsterEventType.ASSET_MATERIALIZATION
    )
    assert sorted(ids, key=ids.__getitem__) == [f"p{number}" for number in range(5000)]
    versions = pair.ours.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey("x"), DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    assert versions["p4999"] == {"dagster/data_version": "4999"}
    assert len(pair.ours.all_logs(ONE)) == 6000


ASSET = st.sampled_from(["x", "y"])
PARTITION = st.sampled_from([None, "a", "b"])
VERSION = st.sampled_from([None, "1", "2"])
RUN = st.sampled_from([ONE, TWO, ""])
EVENT = st.one_of(
    st.tuples(st.just("made"), RUN, ASSET, PARTITION, VERSION),
    st.tuples(st.just("seen"), RUN, ASSET, PARTITION, VERSION),
    st.tuples(st.just("planned"), st.sampled_from([ONE, TWO]), ASSET, PARTITION),
    st.tuples(st.just("judged"), RUN, st.sampled_from("cd"), st.booleans(), PARTITION),
    st.tuples(st.just("check planned"), st.sampled_from([ONE, TWO]), st.sampled_from("cd"), st.booleans()),
    st.tuples(st.just("run"), st.sampled_from([ONE, TWO]), st.sampled_from(["RUN_START", "RUN_SUCCESS", "STEP_START"])),
)
HISTORY = st.lists(st.lists(EVENT, min_size=1, max_size=8), min_size=1, max_size=4)


@settings(
    max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=HISTORY)
def test_any_history_in_any_batches(pair: Pair, history: list[list[tuple[Any, ...]]]) -> None:
    pair.fresh()
    known_checks: set[tuple[str, str, str | None]] = set()
    for batch in history:
        pair.store([entry for event in batch for entry in _entries(event, known_checks)])
    pair.agree()


def _entries(event: tuple[Any, ...], known_checks: set[tuple[str, str, str | None]]) -> list[EventLogEntry]:
    kind, run_id, *rest = event
    if kind == "planned":
        return [planned(run_id, *rest)]
    if kind == "run":
        return [of_run(run_id, DagsterEventType[rest[0]], "lifecycle" if rest[0].startswith("STEP") else None)]
    if kind == "check planned":
        check, partitioned = rest
        if any(known[:2] == (run_id, check) for known in known_checks):
            return []  # Dagster plans a check once in a run, and first
        known_checks.add((run_id, check, None))
        return [check_planned(run_id, "x", check, subset=["a", "b"] if partitioned else ())]
    if kind == "judged":
        known = (run_id, rest[0], rest[2])
        if known in known_checks and not run_id and rest[2]:
            return []  # which Dagster refuses: outside runs, a check of a partition is evaluated once
        known_checks.add(known)
    said = made(*rest) if kind == "made" else seen(*rest) if kind == "seen" else judged("x", *rest)
    return of_step(run_id, said) if run_id else entries([said], None)


def test_a_home_of_either_is_read_and_continued_by_the_other(pair: Pair) -> None:
    pair.store(of_step(ONE, made("x", "a", "1"), judged("x", "d", True, "a"), seen("x", "b"), made("y")))
    ours, stock = (Path(instance.root_directory) for instance in (pair.ours, pair.stock))
    urls = [getattr(instance.event_log_storage, "postgres_url", "") for instance in (pair.ours, pair.stock)]
    # Each opened by the other, while it is still in use: what was ours is now stock, and the other way round.
    with open_instance(stock, True, urls[1]) as now_ours, open_instance(ours, False, urls[0]) as now_stock:
        swapped = Pair(now_ours, now_stock)
        swapped.agree()
        swapped.store(of_step(TWO, made("x", "b", "2"), judged("x", "c", False), made("y", "a")))
        swapped.agree()
