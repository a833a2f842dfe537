"""A warehouse of all shards: reads of `<database>_all` over one node. Nothing is written through it (`storage.cluster`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, limits_of, tls_files
from alsobought.storage.distributed import local_dictionaries
from alsobought.storage.engine_settings import DISTRIBUTED_SETTINGS
from alsobought.storage.topology import all_shards, shards_of
from alsobought.storage.warehouse import lines_of

TEXTS = 1_000  # of pipes, whose names of dictionaries are known to be replaced


class ShardedReads(ClickHouseWarehouse):
    """`database` has the tables of all shards, `local_database` those of the node, and the dictionaries."""

    def __init__(self, settings: Settings) -> None:
        self._local_database = settings.database
        self._with_dictionaries = lru_cache(TEXTS)(local_dictionaries)
        dsn, together = settings.warehouse_dsn, all_shards(settings.database)
        nodes = [node for shard in shards_of(settings) for node in shard.replicas]
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

    def _connect(self, settings: Mapping[str, Any], dsn: str = "", **options: Any) -> Any:
        """Answers go on without a shard that is down. What we compute from reads of our own would be wrong without it."""
        for_answers = {"skip_unavailable_shards": 1} if "readonly" in settings else {}
        return super()._connect({**DISTRIBUTED_SETTINGS, **for_answers, **settings}, dsn, **options)
