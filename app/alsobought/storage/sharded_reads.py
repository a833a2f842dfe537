"""A warehouse of all shards: reads of `<database>_all` over one node. Nothing is written through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from alsobought.errors import NotStored, WarehouseFault
from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, limits_of, tls_files
from alsobought.storage.distributed import local_dictionaries
from alsobought.storage.engine_settings import DISTRIBUTED_SETTINGS
from alsobought.storage.topology import all_shards
from alsobought.storage.warehouse import lines_of

TEXTS = 1_000  # of pipes, whose names of dictionaries are known to be replaced
READ_ONLY = "a warehouse of all shards is for reads alone", "Write to the nodes"


class ShardedReads(ClickHouseWarehouse):
    """`database` has the tables of all shards, `local_database` those of the node, and the dictionaries."""

    def __init__(self, settings: Settings) -> None:
        self._local_database = settings.database
        self._with_dictionaries = lru_cache(TEXTS)(local_dictionaries)
        dsn, together = settings.warehouse_dsn, all_shards(settings.database)
        super().__init__(dsn, together, limits_of(settings), 0, settings.reader_dsn, tls_files(settings))

    @property
    def local_database(self) -> str:
        return self._local_database

    def raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        return super().raw(self._with_dictionaries(sql, self._local_database), parameters, fmt)

    def trusted_raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        return super().trusted_raw(local_dictionaries(sql, self._local_database), parameters, fmt)

    def syntax_tree(self, select: str, parameters: Mapping[str, Any]) -> list[str]:
        """Of the text as it is."""
        return lines_of(super().raw(f"explain ast\n{select}", parameters, "TabSeparated"))

    def another(self) -> NoReturn:
        raise NotImplementedError

    def command(self, sql: str) -> NoReturn:
        raise WarehouseFault(*READ_ONLY)

    def insert(self, table: str, lines: bytes, token: str = "", columns: Sequence[str] = ()) -> NoReturn:
        raise NotStored(*READ_ONLY)

    def insert_select(self, table: str, select: str, token: str) -> NoReturn:
        raise NotStored(*READ_ONLY)

    def run_insert(self, sql: str, settings: Mapping[str, int]) -> NoReturn:
        raise NotStored(*READ_ONLY)

    def _connect(self, settings: Mapping[str, Any], dsn: str = "") -> Any:
        return super()._connect({**DISTRIBUTED_SETTINGS, **settings}, dsn)
