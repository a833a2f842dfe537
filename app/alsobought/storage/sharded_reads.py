"""A warehouse of all shards: reads of `<database>_all` over one node. It refuses to write (`storage.cluster`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from alsobought.errors import NotOverShards, WarehouseFault
from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, limits_of, tls_files
from alsobought.storage.distributed import local_dictionaries
from alsobought.storage.engine_settings import DISTRIBUTED_SETTINGS
from alsobought.storage.results import Column
from alsobought.storage.topology import all_shards, shards_of
from alsobought.storage.warehouse import lines_of

TEXTS = 1_000  # of pipes, whose names of dictionaries are known to be replaced


class ShardedReads(ClickHouseWarehouse):
    """`database` has the tables of all shards, `local_database` those of the node, and the dictionaries."""

    def __init__(self, settings: Settings) -> None:
        self._local_database = settings.database
        self._with_dictionaries = lru_cache(TEXTS)(local_dictionaries)
        dsn, together = settings.warehouse_dsn, all_shards(settings.database)
        shards = shards_of(settings)
        nodes = [node for shard in shards for node in shard.replicas]
        self._settings_of_shards = DISTRIBUTED_SETTINGS | {
            # An only replica reads itself without a connection. One of several is no better than the one that is written to.
            "prefer_localhost_replica": int(len(nodes) == len(shards)),
        }
        super().__init__(
            dsn,
            together,
            limits_of(settings),
            0,
            settings.reader_dsn,
            tls_files(settings),
            replicas=[dsn, *(node for node in nodes if node != dsn)],  # every node reads all shards
        )

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

    def describe(self, select: str, parameters: Mapping[str, Any]) -> list[Column]:
        """Raises NotOverShards for a correlated sub-query, and for FINAL that leaves a row of each shard."""
        for table in self._shared_keys:
            if re.search(rf"\b{table}(?:\s+as\s+\w+)?\s+final\b", select, re.IGNORECASE):
                raise NotOverShards(
                    f"on a cluster, {table} final may have a row of each shard for a key",
                    f"Leave out FINAL, and aggregate the rows of {table} with GROUP BY",
                )
        try:
            return super().describe(select, parameters)
        except WarehouseFault as error:
            if "Correlated" in error.message:
                hint = "Write it as a sub-query with GROUP BY, and join it"
                raise NotOverShards(
                    "a sub-query that names a column of the outer one does not work on a cluster", hint
                ) from error
            raise

    @cached_property
    def _shared_keys(self) -> list[str]:
        """The sharded tables of whose rows several shards may have the same key: those without a user_id."""
        sql = (
            "select name from system.tables where database = {database:String} and engine = 'Distributed'"
            " and name not in (select table from system.columns where database = {database:String} and name = 'user_id')"
        )
        return [str(name) for (name,) in self.rows(sql, {"database": self.database}).data]

    def _connect(self, settings: Mapping[str, Any], dsn: str = "", **options: Any) -> Any:
        """Answers go on without a shard that is down. What we compute from reads of our own would be wrong without it."""
        connection = {**self._settings_of_shards, **settings}
        if "readonly" in settings:
            connection["skip_unavailable_shards"] = 1
        connection.setdefault("readonly", 2)  # of the connection that others write over
        return super()._connect(connection, dsn, **options)
