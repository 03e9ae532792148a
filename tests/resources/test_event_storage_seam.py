"""What our storage relies on inside Dagster, and the way out when an upgrade takes it away: MLOPS_EVENT_LOG=stock."""

import importlib
import inspect
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from partitions.errors import MlopsError
from tests.resources.storages import OURS, made, of_step, open_instance

RUN = "110e8400-e29b-41d4-a716-446655440000"
LOG = "dagster._core.storage.event_log"
SQL = f"{LOG}.sql_event_log.SqlEventLogStorage"
SQLITE = f"{LOG}.sqlite.sqlite_event_log"
RELIED_ON = {
    f"{SQL}._event_to_row": "self, event",
    f"{SQL}._tags_for_asset_event": "self, event",
    f"{SQL}._get_asset_entry_values": "self, event, event_id, has_asset_key_index_cols",
    f"{SQL}._has_asset_key_index_cols_on_connection": "self, conn",
    f"{SQL}._has_asset_key_col_on_connection": "self, conn, column_name",
    f"{SQL}.has_asset_key_col": "self, column_name",
    f"{SQL}.has_secondary_index": "self, name",
    f"{SQL}.index_transaction": "self",
    f"{SQL}.reindex_events": "self, print_fn, force",
    f"{SQL}.reindex_assets": "self, print_fn, force",
    f"{SQLITE}.SqliteEventLogStorage._connect": "self, shard",
    f"{SQLITE}.SqliteEventLogStorage.path_for_shard": "self, run_id",
    f"{SQLITE}.SqliteEventLogStorage.has_table": "self, table_name",
    f"{SQLITE}.SqliteEventLogStorage.wipe": "self",
    f"{SQLITE}.SqliteEventLogStorage.watch": "self, run_id, cursor, callback",
    f"{SQLITE}.SqliteEventLogStorageWatchdog._process_log": "self",
    "dagster._core.storage.runs.SqliteRunStorage.__init__": "self, conn_string, inst_data",
    "dagster._core.storage.schedules.SqliteScheduleStorage.__init__": "self, conn_string, inst_data",
    "dagster_postgres.utils.create_pg_engine": "postgres_url, token_provider, engine_kwargs",
    "dagster_postgres.utils.set_pg_statement_timeout": "conn, millis",
    "dagster_postgres.PostgresEventLogStorage.__init__": (
        "self, postgres_url, should_autocreate_tables, inst_data, token_provider"
    ),
    "dagster_postgres.PostgresRunStorage.__init__": (
        "self, postgres_url, should_autocreate_tables, inst_data, token_provider"
    ),
    "dagster_postgres.PostgresScheduleStorage.__init__": (
        "self, postgres_url, should_autocreate_tables, inst_data, token_provider"
    ),
}


def found(name: str) -> str:
    """The parameters of what is named, or what is missing."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(thing, part):
                return f"no {part}"
            thing = getattr(thing, part)
        return ", ".join(inspect.signature(thing).parameters)  # type: ignore[arg-type]
    return "no such module"


def test_dagster_still_has_what_our_storage_is_built_on() -> None:
    changed = {name: found(name) for name, wanted in RELIED_ON.items() if found(name) != wanted}
    assert changed == {}, (
        f"Dagster {dg.__version__} has changed what resources.event_storage is built on: adapt it. "
        f"Until then, MLOPS_EVENT_LOG=stock uses Dagster's own storage over the same data. Changed: {changed}"
    )


def test_the_search_for_changes_finds_them() -> None:
    assert found(f"{SQL}._gone") == "no _gone"
    assert found("dagster._core.nowhere.Thing") == "no nowhere"


def test_what_is_gone_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_instance(tmp_path, True) as instance:
        instance.event_log_storage.store_event_batch(of_step(RUN, made("x", "a", "1")))
    monkeypatch.delitem(sys.modules, "resources.event_storage.sqlite", raising=False)
    monkeypatch.delitem(sys.modules, "resources.event_storage.batch", raising=False)
    monkeypatch.delattr("dagster._core.events.ASSET_CHECK_EVENTS")
    with pytest.raises(MlopsError, match=r"ASSET_CHECK_EVENTS.*set MLOPS_EVENT_LOG=stock"):
        dg.DagsterInstance.from_config(str(tmp_path))
    monkeypatch.setenv("MLOPS_EVENT_LOG", "stock")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        assert len(instance.all_logs(RUN)) == 1


def test_an_unknown_setting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_EVENT_LOG", "fast")
    with pytest.raises(MlopsError, match="MLOPS_EVENT_LOG is 'fast': set it to 'stock'"):
        open_instance(tmp_path, True)


@pytest.mark.parametrize("config", [{}, {"base_dir": "here", "postgres_url": "postgresql://there"}])
def test_a_storage_has_one_place(config: dict[str, str], tmp_path: Path) -> None:
    custom = {"storage": {"custom": {"module": OURS[0], "class": OURS[1], "config": config}}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(custom))
    with pytest.raises(MlopsError, match="name one, a folder"):
        dg.DagsterInstance.from_config(str(tmp_path))
