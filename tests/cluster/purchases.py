"""Events to store on a cluster, what is stored of them, and the check of all counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from alsobought.counts.consistency import check
from alsobought.events import Event
from alsobought.service.ipc_client import reach_service
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.storage.cluster import ClusterWarehouse
from alsobought.storage.topology import each_shard


def purchases(count: int, prefix: str, seed: int = 1) -> list[Event]:
    """Orders of some items each by 40 users, whose ids begin with the prefix."""
    chosen, now = random.Random(seed), datetime.now(UTC)
    return [
        Event(
            event_type=chosen.choice(["view", "purchase", "purchase"]),
            user_id=f"{prefix}{chosen.randrange(40)}",
            item_id=f"i{chosen.randrange(30)}",
            order_id=f"{prefix}o{number // 5}",
            session_id=f"{prefix}s{number // 7}",
            event_id=f"{prefix}{number}",
            timestamp=now - timedelta(seconds=chosen.randrange(100_000)),
        )
        for number in range(count)
    ]


def shards_of_cluster(shop: Service) -> Sequence[ClusterWarehouse]:
    assert isinstance(shop.warehouse, ClusterWarehouse)
    return shop.warehouse.shards  # type: ignore[return-value]


def stored(shop: Service, prefix: str) -> list[Counter[str]]:
    """How often each event of these users is stored, for each shard."""
    sql = "select event_id from {database}.events where startsWith(user_id, {prefix:String})"
    return [
        Counter(
            event_id
            for (event_id,) in shard.trusted_rows(sql.replace("{database}", shard.database), {"prefix": prefix}).data
        )
        for shard in shards_of_cluster(shop)
    ]


def wrong_tables(settings: Settings) -> dict[str, list[str]]:
    """For each shard, the count tables that differ from a recompute of its events."""
    wrong = {}
    for name, one in each_shard(settings):
        service = reach_service(one, create=False)
        try:
            wrong[name] = check(service.warehouse, service.do, settings.home_folder / "sql" / "checks").wrong
        finally:
            service.close()
    return wrong
