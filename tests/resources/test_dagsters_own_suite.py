"""Dagster's own tests of event logs, over our storage. Its wheel has none; its source archive has them.

Two minutes, so only on request: put the archive of the installed version where DAGSTER_SDIST says,
``pip download --no-deps --no-binary :all: dagster==VERSION``.
"""

import importlib.util
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from tests.resources.storages import OURS

ARCHIVE = os.environ.get("DAGSTER_SDIST", "")
SUITE = "dagster_tests/storage_tests/utils/event_log_storage.py"

if not ARCHIVE:
    pytest.skip("DAGSTER_SDIST does not name the source archive of Dagster", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")


def _suite() -> ModuleType:
    """The one file of the archive that holds the suite; the package around it needs what Dagster does not publish."""
    name = f"dagster-{dg.__version__}/{SUITE}"
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(ARCHIVE) as archive:
            archive.extract(name, folder, filter="data")
        spec = importlib.util.spec_from_file_location("dagster_event_log_suite", Path(folder) / name)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module


Suite: Any = _suite().TestEventLogStorage


def ours(**place: str) -> Any:
    return {"storage": {"custom": {"module": OURS[0], "class": OURS[1], "config": place}}}


class OnOurs(Suite):  # type: ignore[misc]
    """Nothing is left out. What Dagster declares for its own SQLite and Postgres storages is declared for ours."""

    @pytest.fixture(name="storage")
    def event_log_storage(self, instance: dg.DagsterInstance) -> Any:
        return instance.event_log_storage

    def can_wipe_asset_partitions(self) -> bool:
        return False


class TestSqlite(OnOurs):
    __test__ = True

    @pytest.fixture(name="instance")
    def instance(self, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
        from dagster._core.instance_for_test import instance_for_test

        with instance_for_test(temp_dir=str(tmp_path), overrides=ours(base_dir=str(tmp_path))) as instance:
            yield instance

    def supports_multiple_event_type_queries(self) -> bool:
        return False


class TestPostgres(OnOurs):
    __test__ = True

    @pytest.fixture(name="instance")
    def instance(self, new_postgres_url: Any) -> Iterator[dg.DagsterInstance]:
        from dagster._core.instance_for_test import instance_for_test

        with instance_for_test(overrides=ours(postgres_url=new_postgres_url())) as instance:
            yield instance


def test_the_suite_is_that_of_the_installed_version() -> None:
    names = {name for name in dir(TestSqlite) if name.startswith("test_")}
    assert len(names) > 140
