"""Processes that open, write, fork and die at any moment: nothing acknowledged is lost, nothing is half there."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.events import DagsterEventType
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from tests.resources.storages import made, of_step, open_instance, write_settings

RUN = "110e8400-e29b-41d4-a716-446655440000"
WRITER = """
import sys
import dagster as dg
from tests.resources.storages import judged, made, of_step, seen

folder, name, batches, own_run = sys.argv[1:]
run_id = name.ljust(36, "0") if own_run == "own" else "110e8400-e29b-41d4-a716-446655440000"
with dg.DagsterInstance.from_config(folder) as instance:
    print("open", flush=True)
    for number in range(int(batches)):
        partition = f"{name}-{number}"
        events = [made("x", f"{partition}-{part}", "1") for part in range(3)]
        checks = [judged("x", "c", True, f"{partition}-{part}") for part in range(3)]
        instance.event_log_storage.store_event_batch(of_step(run_id, *events, *checks, seen("y", f"{partition}-0")))
        print(number, flush=True)
"""
KINDS = {"ASSET_MATERIALIZATION": 3, "ASSET_CHECK_EVALUATION": 3, "ASSET_OBSERVATION": 1}


class Place:
    """Where a deployment is kept, and processes that write there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url

    def open(self, ours: bool = True) -> dg.DagsterInstance:
        return open_instance(self.folder, ours, self.url)

    def writer(self, name: str, batches: int, run: str = "same") -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", WRITER, str(self.folder), name, str(batches), run]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path / "home", request.getfixturevalue("postgres_url") if request.param == "postgres" else "")


def stored(instance: dg.DagsterInstance) -> Counter[tuple[str, str]]:
    """How often each kind of event of each batch is in the index."""
    log = instance.event_log_storage
    assert isinstance(log, SqlEventLogStorage)
    column = SqlEventLogStorageTable.c
    query = db.select(column.partition, column.dagster_event_type).where(column.asset_key.is_not(None))
    checks = db.select(AssetCheckExecutionsTable.c.partition, db.literal("ASSET_CHECK_EVALUATION"))
    with log.index_connection() as connection:
        rows = [*connection.execute(query), *connection.execute(checks)]
    return Counter((partition.rsplit("-", 1)[0], kind) for partition, kind in rows)


def whole(name: str, numbers: Any) -> dict[tuple[str, str], int]:
    return {(f"{name}-{number}", kind): count for number in numbers for kind, count in KINDS.items()}


def test_processes_that_open_a_new_place_at_once_and_write(place: Place) -> None:
    write_settings(place.folder, True, place.url)
    writers = {f"w{number}": place.writer(f"w{number}", 10, "own" if number else "same") for number in range(4)}
    said = {name: writer.communicate()[0].split() for name, writer in writers.items()}
    assert said == {name: ["open", *map(str, range(10))] for name in writers}
    with place.open() as instance:
        expected: Counter[tuple[str, str]] = Counter()
        for name in writers:
            expected.update(whole(name, range(10)))
        assert stored(instance) == expected
        ids = instance.event_log_storage.get_latest_storage_id_by_partition(
            dg.AssetKey("x"), DagsterEventType.ASSET_MATERIALIZATION
        )
        assert len(ids) == len(set(ids.values())) == 120
        assert len(instance.all_logs(RUN)) == 70
    assert not list(place.folder.glob(".opening-*"))


def test_a_place_made_by_ours_is_what_dagster_makes(place: Place, tmp_path: Path, new_postgres_url: Any) -> None:
    stock = Place(tmp_path / "stock", new_postgres_url() if place.url else "")
    with place.open() as ours, stock.open(ours=False) as theirs:
        assert inventory(ours) == inventory(theirs)


def inventory(instance: dg.DagsterInstance) -> list[Any]:
    """Tables, indexes, version stamps and marks of migrations of all databases."""
    log: Any = instance.event_log_storage
    if hasattr(log, "postgres_url"):
        urls = [log.postgres_url]
    else:
        urls = [f"sqlite:///{path}" for path in sorted(Path(instance.root_directory).rglob("*.db"))]
        assert len(urls) == 3
    found = []
    for url in urls:
        engine = db.create_engine(url, poolclass=db.NullPool)
        inspector = db.inspect(engine)
        tables = {table: sorted(map(repr, inspector.get_indexes(table))) for table in inspector.get_table_names()}
        with engine.connect() as connection:
            stamps = connection.execute(db.text("SELECT version_num FROM alembic_version")).all()
            marks = connection.execute(db.text("SELECT name FROM secondary_indexes ORDER BY name")).all()
            journal = "" if len(urls) == 1 else connection.execute(db.text("PRAGMA journal_mode")).all()
        assert len(stamps) == 1
        found.append((tables, stamps, marks, journal))
    return found


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_killed_writer_leaves_whole_batches(place: Place, attempt: int) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    place.open().dispose()
    writer = place.writer("w", 100_000)
    assert writer.stdout is not None
    for _ in range(5):
        writer.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.3))
    writer.send_signal(signal.SIGKILL)
    acknowledged = [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()
    last = max(acknowledged, default=3)
    with place.open() as instance:
        found = stored(instance)
        assert found in (Counter(whole("w", range(last + 1))), Counter(whole("w", range(last + 2))))
        log = [entry for entry in instance.all_logs(RUN) if entry.dagster_event_type is not None]
        assert len(log) >= 7 * (last + 1) and len(log) % 7 == 0
        instance.event_log_storage.store_event_batch(of_step(RUN, made("x", "after-0")))
        assert stored(instance)["after", "ASSET_MATERIALIZATION"] == 1


def test_a_forked_child_uses_no_connection_of_its_parent(place: Place) -> None:
    with place.open() as instance:
        instance.event_log_storage.store_event_batch(of_step(RUN, made("x", "parent-0")))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for number in range(20):
                    instance.event_log_storage.store_event_batch(of_step(RUN, made("x", f"child-{number}")))
                status = 0
            finally:
                os._exit(status)
        for number in range(1, 20):
            instance.event_log_storage.store_event_batch(of_step(RUN, made("x", f"parent-{number}")))
        assert os.waitpid(child, 0)[1] == 0
        found = stored(instance)
        assert found["parent", "ASSET_MATERIALIZATION"] == found["child", "ASSET_MATERIALIZATION"] == 20
        assert len(instance.all_logs(RUN)) == 40


def test_a_restarted_server_is_survived(postgres_server: Any, postgres_url: str, tmp_path: Path) -> None:
    with open_instance(tmp_path, True, postgres_url) as instance:
        instance.event_log_storage.store_event_batch(of_step(RUN, made("x", "before-0")))
        assert instance.get_runs_count() == 0
        postgres_server.stop()
        postgres_server.start()
        instance.event_log_storage.store_event_batch(of_step(RUN, made("x", "after-0")))
        assert instance.get_runs_count() == 0
        assert set(stored(instance)) == {("before", "ASSET_MATERIALIZATION"), ("after", "ASSET_MATERIALIZATION")}


def test_a_process_holds_one_connection_and_the_server_ends_it_when_idle(postgres_url: str, tmp_path: Path) -> None:
    with open_instance(tmp_path, True, postgres_url) as instance:
        instance.event_log_storage.store_event_batch(of_step(RUN, made("x", "a-0")))
        instance.get_runs()
        instance.all_instigator_state()
        log: Any = instance.event_log_storage
        with log.index_connection() as connection:
            others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            assert connection.execute(db.text(others)).scalar_one() == 1
            assert connection.execute(db.text("SHOW idle_session_timeout")).scalar_one() == "1min"
        instance.optimize_for_webserver(statement_timeout=5000, pool_recycle=600, max_overflow=2)
        with log.index_connection() as connection:
            assert connection.execute(db.text("SHOW statement_timeout")).scalar_one() == "5s"
        assert stored(instance)["a", "ASSET_MATERIALIZATION"] == 1


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(tmp_path, True) as instance:
        yield instance


def test_few_files_of_runs_stay_open(folder: dg.DagsterInstance) -> None:
    log: Any = folder.event_log_storage
    runs = [f"{number:02}0e8400-e29b-41d4-a716-446655440000" for number in range(22)]
    for run_id in runs:
        log.store_event_batch(of_step(run_id, made("x", "a-0")))
    opened = {os.path.realpath(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd")}
    assert 10 < len([path for path in opened if path.startswith(folder.root_directory) and path.endswith(".db")]) <= 17
    assert [len(folder.all_logs(run_id)) for run_id in runs] == [1] * 22


def test_a_file_that_somebody_deleted_is_made_anew(folder: dg.DagsterInstance) -> None:
    log: Any = folder.event_log_storage
    log.store_event_batch(of_step(RUN, made("x", "before-0")))
    for suffix in ("", "-wal", "-shm"):
        Path(log.path_for_shard(RUN) + suffix).unlink(missing_ok=True)
    log.store_event_batch(of_step(RUN, made("x", "after-0")))
    assert [entry.asset_materialization.partition for entry in folder.all_logs(RUN)] == ["after-0"]  # type: ignore[union-attr]


def test_writes_survive_the_process_and_not_by_chance(folder: dg.DagsterInstance) -> None:
    log: Any = folder.event_log_storage
    for shard in (log.index_connection, lambda: log.run_connection(RUN)):
        with shard() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 1


def test_what_another_process_writes_is_seen_as_it_comes(place: Place) -> None:
    """The live log of a run in the web UI, whose server is not the process that runs."""
    seen: list[str] = []
    with place.open() as instance:
        instance.event_log_storage.watch(RUN, None, lambda entry, _cursor: seen.append(entry.user_message))
        assert place.writer("w", 3).communicate()[0].split() == ["open", "0", "1", "2"]
        until = time.monotonic() + 60
        while len(seen) < 21 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(seen) == 21
