"""Answers about tables that Dagster asks for with every event, asked of the database once."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from dagster._core.storage.event_log import SqlEventLogStorage


class SchemaMemory(SqlEventLogStorage):
    """Remembers that a table, a column or a finished migration is there; that it is absent, it asks again each time."""

    @cached_property
    def _there(self) -> set[tuple[str, str]]:
        return set()

    def has_table(self, table_name: str) -> bool:
        asked = super().has_table  # type: ignore[safe-super]  # always mixed into a storage that has it
        return self._ask("table", table_name, lambda: asked(table_name))

    def has_secondary_index(self, name: str) -> bool:
        asked = super().has_secondary_index
        return self._ask("index", name, lambda: asked(name))

    def has_asset_key_col(self, column_name: str) -> bool:
        asked = super().has_asset_key_col
        return self._ask("column", column_name, lambda: asked(column_name))

    def _has_asset_key_col_on_connection(self, conn: Any, column_name: str) -> bool:
        asked = super()._has_asset_key_col_on_connection
        return self._ask("column", column_name, lambda: asked(conn, column_name))

    def _ask(self, kind: str, name: str, asked: Callable[[], bool]) -> bool:
        if (kind, name) not in self._there:
            if not asked():
                return False
            self._there.add((kind, name))
        return True
