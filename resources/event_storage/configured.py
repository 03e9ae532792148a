"""The class that dagster.yaml of a home names: storage of runs, events and schedules, on SQLite or Postgres.

This module imports nothing that an upgrade of Dagster could take away from the storages beside it, so that
``MLOPS_EVENT_LOG=stock`` always leads to Dagster's own storage, over the same files and tables.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml
from dagster import Field, StringSource
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs.base import RunStorage
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from partitions.errors import MlopsError

SETTING = "MLOPS_EVENT_LOG"
STOCK = "stock"
HOME = "DAGSTER_HOME"


class Storages(NamedTuple):
    """What a Dagster instance stores in."""

    runs: RunStorage
    events: EventLogStorage
    schedules: ScheduleStorage


class HomeStorage(DagsterStorage, ConfigurableClass):
    """Runs, events and schedules in one place: the SQLite files of a folder, or a Postgres database.

    base_dir: the folder, laid out as Dagster's own SQLite storage does it.
    postgres_url: the database, with the tables of Dagster's own Postgres storage.
    """

    def __init__(self, storages: Storages, inst_data: ConfigurableClassData | None = None) -> None:
        self._storages = storages
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return {
            "base_dir": Field(StringSource, is_required=False),
            "postgres_url": Field(StringSource, is_required=False),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "HomeStorage":
        if len(config_value) != 1:
            given = " and ".join(sorted(config_value)) or "no place"
            raise MlopsError(
                f"the storage in dagster.yaml names {given}: name one, a folder (base_dir) or a database (postgres_url)"
            )
        return cls(_opened(config_value), inst_data)

    @property
    def run_storage(self) -> RunStorage:
        return self._storages.runs

    @property
    def event_log_storage(self) -> EventLogStorage:
        return self._storages.events

    @property
    def schedule_storage(self) -> ScheduleStorage:
        return self._storages.schedules


def placed(ref: InstanceRef, folder: str) -> InstanceRef:
    """``ref`` with its storage fixed to ``folder``, where it says "wherever DAGSTER_HOME points".

    DAGSTER_HOME belongs to the process: with two homes open, it names one of them, and a child is started with that.
    """
    data = ref.storage_data
    if data is None or data.class_name != HomeStorage.__name__ or data.config_dict != {"base_dir": {"env": HOME}}:
        return ref
    return ref._replace(storage_data=data._replace(config_yaml=yaml.safe_dump({"base_dir": folder})))


def _opened(config: Mapping[str, Any]) -> Storages:
    chosen = os.environ.get(SETTING, "")
    if chosen == STOCK:
        return _stock(config)
    if chosen:
        raise MlopsError(f"{SETTING} is {chosen!r}: set it to {STOCK!r} for Dagster's own storage, or unset it")
    try:
        return _fast(config)
    except (ImportError, AttributeError, TypeError) as error:
        raise MlopsError(
            f"the event log cannot be opened with this version of Dagster ({type(error).__name__}: {error}); "
            f"set {SETTING}={STOCK} to use Dagster's own, slower storage: it reads and writes the same events"
        ) from error


def _fast(config: Mapping[str, Any]) -> Storages:
    if "base_dir" in config:
        from resources.event_storage.sqlite import open_folder

        return Storages(*open_folder(config["base_dir"]))
    from resources.event_storage.postgres import open_database

    return Storages(*open_database(config["postgres_url"]))


def _stock(config: Mapping[str, Any]) -> Storages:
    stock: DagsterStorage
    if "base_dir" in config:
        from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

        stock = DagsterSqliteStorage.from_local(config["base_dir"])
    else:
        from dagster_postgres import DagsterPostgresStorage

        stock = DagsterPostgresStorage(config["postgres_url"])
    return Storages(stock.run_storage, stock.event_log_storage, stock.schedule_storage)
