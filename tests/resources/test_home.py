"""MLOPS_HOME: where it lies, what it sets, and that processes that start at once agree."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from partitions.errors import MlopsError
from resources.home import DAGSTER_SETTINGS, Home

NAMES = (
    "MLOPS_HOME",
    "MLOPS_ARTIFACTS",
    "MLOPS_SECRET",
    "MLOPS_DATABASE_URL",
    "MLOPS_EVENT_LOG",
    "DAGSTER_HOME",
    *DAGSTER_SETTINGS,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and none of a test's stays."""
    for name in NAMES:
        # Set first, so that monkeypatch also takes away what prepare() adds.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_default_is_a_folder_below_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home.default()
    assert home == Home(tmp_path / ".mlops")
    assert home.dagster_home == tmp_path / ".mlops" / "dagster"
    assert home.artifacts_url == str(tmp_path / ".mlops" / "artifacts")


def test_the_environment_moves_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("MLOPS_ARTIFACTS", "s3://bucket/artifacts")
    home = Home.default()
    assert home.path == tmp_path / "home"
    assert home.dagster_home == tmp_path / "elsewhere"
    assert home.artifacts_url == "s3://bucket/artifacts"


def test_prepare_makes_a_home_that_dagster_opens(tmp_path: Path) -> None:
    import dagster as dg

    home = Home(tmp_path / "home")
    home.prepare()
    assert os.environ["DAGSTER_HOME"] == str(home.dagster_home)
    assert {name: os.environ[name] for name in DAGSTER_SETTINGS} == DAGSTER_SETTINGS
    with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4  # type: ignore[union-attr]
        assert instance.get_settings("sensors")["use_threads"] is True
        assert instance.run_monitoring_enabled


def test_prepare_keeps_settings_that_a_person_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.dagster_home.mkdir()
    settings = home.dagster_home / "dagster.yaml"
    settings.write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "10")
    home.prepare()
    home.prepare()
    assert settings.read_text() == "telemetry:\n  enabled: false\n"
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "10"


def test_two_homes_in_one_process_do_not_share_a_dagster_home(tmp_path: Path) -> None:
    one, two = Home(tmp_path / "one"), Home(tmp_path / "two")
    one.prepare()
    assert two.dagster_home == tmp_path / "two" / "dagster"
    two.prepare()
    assert one.dagster_home == tmp_path / "one" / "dagster"
    assert Home.default() == two


def test_a_chosen_dagster_home_outlives_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "chosen"))
    home = Home(tmp_path / "home")
    home.prepare()
    home.prepare()
    assert home.dagster_home == tmp_path / "chosen"
    assert (tmp_path / "chosen" / "dagster.yaml").exists()


def test_a_new_home_takes_the_database_that_is_named_and_does_not_write_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://me:hush@there/events")
    home.prepare()
    settings = (home.dagster_home / "dagster.yaml").read_text()
    assert "postgres_url: {env: MLOPS_DATABASE_URL}" in settings and "hush" not in settings
    monkeypatch.delenv("MLOPS_DATABASE_URL")
    with pytest.raises(MlopsError, match="keeps its events in Postgres: set MLOPS_DATABASE_URL"):
        home.prepare()


def test_a_home_keeps_the_storage_that_it_was_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    before = (home.dagster_home / "dagster.yaml").read_text()
    assert "base_dir: {env: DAGSTER_HOME}" in before
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://me:hush@there/events")
    home.prepare()
    assert (home.dagster_home / "dagster.yaml").read_text() == before


def test_a_database_of_another_kind_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", "mysql://there/events")
    with pytest.raises(MlopsError, match="starts with 'mysql': give postgresql://"):
        Home(tmp_path / "home").prepare()
    assert not (tmp_path / "home").exists()


def test_git_ignores_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    assert (home.path / ".gitignore").read_text() == "*\n"


def test_a_home_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MlopsError, match="set MLOPS_HOME to a folder you may write to"):
        Home(tmp_path / "file").prepare()


def test_the_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    secret = home.secret()
    assert len(secret) == 32
    assert Home(tmp_path / "home").secret() == secret
    assert (home.path / "secret").stat().st_mode & 0o777 == 0o600
    assert Home(tmp_path / "other").secret() != secret


def test_the_secret_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SECRET", "correct horse battery staple")
    secret = Home(tmp_path).secret()
    assert len(secret) == 32
    assert not (tmp_path / "secret").exists()
    monkeypatch.setenv("MLOPS_SECRET", "short")
    with pytest.raises(MlopsError, match="MLOPS_SECRET has 5 characters: give at least 16"):
        Home(tmp_path).secret()


def test_a_broken_secret_is_not_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"half")
    with pytest.raises(MlopsError, match="holds 4 bytes instead of 32"):
        Home(tmp_path).secret()


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for number in range(10):
            home = Home(tmp_path / str(number))
            seen = list(pool.map(prepare_and_read, [home] * 4))
            assert len(set(seen)) == 1
            assert len(seen[0]) == 32
            assert not list(home.path.rglob("*.tmp"))


def prepare_and_read(home: Home) -> bytes:
    """What a process does first."""
    home.prepare()
    return home.secret()
