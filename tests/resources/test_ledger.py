"""The ledger on SQLite and on Postgres: appended to, asked, never changed."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as db
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partitions.errors import DeclarationError, MlopsError
from resources.home import Home
from resources.ledger.database import Database
from resources.ledger.deployment import Deployment, LedgerConflict
from resources.ledger.ledger import Ledger
from resources.ledger.patience import LedgerUnavailable, Patience
from resources.ledger.tables import VERSIONS
from tests.resources.ledgers import appended, decision


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres_url")
        return address
    return f"sqlite:///{tmp_path}/a folder with %25/ledger.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger.open(url, patience=3)
    yield opened
    opened._database.engine.dispose()


def test_what_is_appended_is_current_and_numbered_without_gaps(ledger: Ledger) -> None:
    assert ledger.position() == 0 and ledger.current("delays") == {}
    first, other = appended(ledger, decision("AA", evidence={"rmse": 12.5}, code={"tree": "x"}), decision("B6"))
    second = appended(ledger, decision("AA", replaces=first.sequence, run_id="r2"))[0]
    assert [first.sequence, other.sequence, second.sequence] == [1, 2, 3] and ledger.position() == 3
    assert ledger.current("delays") == {("AA", "production"): second, ("B6", "production"): other}
    assert ledger.current("delays", "production", ["AA"]) == {("AA", "production"): second}
    assert ledger.current("delays", "testing") == {} and ledger.current("other") == {}
    assert ledger.history("delays", "AA") == [first, second] and ledger.history("delays", after=1) == [other, second]
    assert first.evidence == {"rmse": 12.5} and ledger.current("delays", evidence=False)["AA", "production"].serves


def test_of_two_who_decide_on_the_same_grounds_one_is_told_who_was_faster(ledger: Ledger) -> None:
    (first,) = appended(ledger, decision(by="ada@here", why="spring"))
    (lost,) = ledger.append([decision(by="bob@there")])
    assert isinstance(lost, LedgerConflict) and lost.winner == first
    assert "delays/AA: ada@here was faster" in str(lost) and "spring" in str(lost)
    assert ledger.position() == 1
    (invented,) = ledger.append([decision("B6", replaces=7)])
    assert isinstance(invented, LedgerConflict) and "has no deployment 7" in str(invented)


def test_of_one_subproject_all_is_appended_or_nothing_and_others_go_their_way(ledger: Ledger) -> None:
    (before,) = appended(ledger, decision("AA"))
    answers = ledger.append(
        [decision("AA", "archive"), decision("B6"), decision("AA", replaces=99), decision("B6", "archive")]
    )
    assert [isinstance(answer, LedgerConflict) for answer in answers] == [True, False, True, False]
    assert ledger.current("delays").keys() == {("AA", "production"), ("B6", "production"), ("B6", "archive")}
    assert ledger.current("delays")["AA", "production"] == before


def test_the_same_decision_is_appended_once_however_often_it_is_sent(ledger: Ledger) -> None:
    once = decision()
    first, again = ledger.append([once])[0], ledger.append([once])[0]
    assert first == again and ledger.position() == 1


def test_nothing_serves_after_undeploy_and_the_next_one_replaces_that(ledger: Ledger) -> None:
    (first,) = appended(ledger, decision())
    (gone,) = appended(ledger, decision(action="undeploy", replaces=first.sequence))
    assert not gone.serves and gone.model is None
    (back,) = appended(ledger, decision(replaces=gone.sequence))
    assert ledger.current("delays")["AA", "production"] == back


def test_who_served_at_a_moment(ledger: Ledger) -> None:
    (first,) = appended(ledger, decision())
    time.sleep(0.01)
    (second,) = appended(ledger, decision(replaces=first.sequence, run_id="r2"))
    assert ledger.at("delays", first.at - timedelta(seconds=1)) == {}
    assert ledger.at("delays", first.at)["AA", "production"] == first
    assert ledger.at("delays", second.at.replace(tzinfo=None))["AA", "production"] == second
    assert abs(second.at - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("change", ["UPDATE mlops_deployments SET why = 'x'", "DELETE FROM mlops_deployments"])
def test_the_database_refuses_to_change_what_was_deployed(ledger: Ledger, change: str) -> None:
    (first,) = appended(ledger, decision())
    with pytest.raises(db.exc.DBAPIError, match="only ever added"), ledger._database.writing() as connection:
        connection.execute(db.text(change))
    assert ledger.history("delays") == [first]


def test_a_decision_says_why_and_what(ledger: Ledger) -> None:
    with pytest.raises(DeclarationError, match="say why"):
        decision(why=" ")
    with pytest.raises(DeclarationError, match="only undeploy names neither"):
        decision().__class__(**(dict(decision()) | {"run_id": None}))


moves = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["testing", "production"]), st.integers(0, 2)), max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves)
def test_whatever_is_decided_each_place_has_one_chain(ledger: Ledger, wanted: list[tuple[str, str, int]]) -> None:
    """``behind``: how many deployments ago the decision was made; only one over the current deployment gets in."""
    chains: dict[tuple[str, str], list[int]] = {}
    for place, current in ledger.current("delays").items():
        chains[place] = [current.sequence]
    for subproject, stage, behind in wanted:
        chain = chains.setdefault((subproject, stage), [0])
        replaces = chain[-1 - behind] if behind < len(chain) else 10**6
        (answer,) = ledger.append([decision(subproject, stage, replaces=replaces)])
        assert isinstance(answer, Deployment) == (replaces == chain[-1])
        if isinstance(answer, Deployment):
            chain.append(answer.sequence)
    rows = ledger.history("delays")
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    for place, chain in chains.items():
        if chain != [0]:
            assert ledger.current("delays")[place].sequence == chain[-1]


def test_an_older_ledger_is_brought_up_to_date_with_all_that_is_in_it(url: str) -> None:
    older = _at_version(url, VERSIONS[0])
    with older.writing() as connection:
        connection.execute(db.text(_OLD_ROW))
    opened = Ledger.open(url)
    assert [row.why for row in opened.history("delays")] == ["it was there before"]
    with pytest.raises(db.exc.DBAPIError, match="only ever added"), opened._database.writing() as connection:
        connection.execute(db.text("DELETE FROM mlops_deployments"))
    opened._database.engine.dispose()


def test_many_that_open_a_new_ledger_at_once_find_one(url: str) -> None:
    failed: list[BaseException] = []

    def open_it() -> None:
        try:
            assert Ledger.open(url).position() == 0
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_ledger_of_a_newer_version_is_refused(url: str) -> None:
    opened = Ledger.open(url)
    with opened._database.writing() as connection:
        connection.execute(db.text("UPDATE mlops_ledger_version SET version_num = '0999'"))
    with pytest.raises(MlopsError, match=f"is of version 0999, and this program knows {VERSIONS[-1]} at most"):
        Ledger.open(url)
    opened._database.engine.dispose()


def test_the_versions_are_those_that_alembic_finds() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    import resources.ledger

    settings = Config()
    settings.set_main_option("script_location", f"{resources.ledger.__path__[0]}/migrations")
    settings.set_main_option("path_separator", "os")
    found = [script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()]
    assert tuple(reversed(found)) == VERSIONS


def test_a_locked_ledger_is_waited_for(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", patience=20)
    locked = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    locked.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(1.0, lambda: locked.execute("COMMIT"))
    timer.start()
    assert len(appended(ledger, decision())) == 1
    timer.join()
    locked.close()


def test_a_ledger_locked_for_too_long_is_a_clear_error_and_nothing_was_changed(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", patience=0.3)
    locked = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerUnavailable, match="could not be used for 0.3 seconds: database is locked"):
        ledger.append([decision()])
    locked.execute("ROLLBACK")
    locked.close()
    assert ledger.position() == 0


def test_a_ledger_that_is_gone_is_missed_and_not_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{file}", patience=10)
    appended(ledger, decision())
    away = file.rename(tmp_path / "away.db")
    timer = threading.Timer(0.5, lambda: away.rename(file))
    timer.start()
    assert ledger.position() == 1
    timer.join()
    file.unlink()
    impatient = Ledger(Database(ledger._database.address, ledger._database.engine, _Hurry))
    with pytest.raises(LedgerUnavailable, match="unable to open database file"):
        impatient.position()
    assert not file.exists()


def test_a_postgres_that_restarts_is_waited_for(postgres_url: str, postgres_server: object) -> None:
    ledger = Ledger.open(postgres_url, patience=30)
    (first,) = appended(ledger, decision())
    with db.create_engine(postgres_url, poolclass=db.NullPool, isolation_level="AUTOCOMMIT").connect() as other:
        other.execute(db.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
    assert ledger.position() == 1
    server: object = postgres_server
    server.stop()  # type: ignore[attr-defined]
    timer = threading.Timer(1.0, server.start)  # type: ignore[attr-defined]
    timer.start()
    assert len(appended(ledger, decision(replaces=first.sequence))) == 1
    timer.join()
    ledger._database.engine.dispose()


def test_where_the_ledger_of_a_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLOPS_LEDGER_URL", "MLOPS_DATABASE_URL", "DAGSTER_HOME", "MLOPS_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert Home(tmp_path).ledger_url == f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://here/events")
    assert Home(tmp_path).ledger_url == "postgresql://here/events"
    Home(tmp_path).prepare()
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://moved/events")
    assert Home(tmp_path).ledger_url == "postgresql://moved/events"
    monkeypatch.setenv("MLOPS_LEDGER_URL", "postgresql://there/ledger")
    assert Home(tmp_path).ledger_url == "postgresql://there/ledger"


@pytest.mark.parametrize("wrong", ["mysql://u:secret@here/x", "sqlite://", "nonsense"])
def test_an_address_that_is_none_is_refused_without_its_password(wrong: str) -> None:
    with pytest.raises(MlopsError, match="MLOPS_LEDGER_URL") as refused:
        Ledger.open(wrong)
    assert "secret" not in str(refused.value)


def _at_version(url: str, version: str) -> Database:
    """A ledger as an older version of the program left it."""
    from alembic import command
    from alembic.config import Config

    import resources.ledger
    import resources.ledger.database as module

    address = module._address(url)
    database = Database(address, module._engine(address, 1.0), _Hurry)
    if address.get_backend_name() == "sqlite":
        module._make_file(module._file(address))
    with database.writing() as connection:
        settings = Config(attributes={"connection": connection})
        settings.set_main_option("script_location", f"{resources.ledger.__path__[0]}/migrations")
        settings.set_main_option("path_separator", "os")
        command.upgrade(settings, version)
    return database


_Hurry = Patience(0.2, "here")

_OLD_ROW = """
INSERT INTO mlops_deployments (sequence, deployment_id, project, subproject, stage, action, replaces, run_id, model_uri,
  model_digest, model_bytes, code, configuration, metrics, strategy, evidence, why, "by", at)
VALUES (1, 'one', 'delays', 'AA', 'production', 'deploy', 0, 'r0', 'sha256/x', 'abc', 1, '{}', '{}', '{}', '{}', '{}',
  'it was there before', 'ada', '2026-01-01 00:00:00')
"""
