"""The nodes of a cluster, from ALSOBOUGHT_SHARDS. A shard is a warehouse: it has all tables, and the events of its users."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import msgspec

from alsobought.settings import Settings, node_addresses


@dataclass(frozen=True)
class Shard:
    """Its number, from 1 as in `system.clusters`, and the DSNs of its replicas, in the order in which a writer prefers them."""

    number: int
    replicas: tuple[str, ...]


def shards_of(settings: Settings) -> list[Shard]:
    """The shards of the cluster; of a server without one, itself as the only shard."""
    nodes = node_addresses(settings.shards) if settings.shards else [[settings.warehouse_dsn]]
    return [Shard(number, tuple(replicas)) for number, replicas in enumerate(nodes, 1)]


def replicas_of(settings: Settings) -> tuple[str, ...]:
    """The DSNs of the replicas, where the settings are those of one shard that has several; else none."""
    shards = shards_of(settings)
    return shards[0].replicas if len(shards) == 1 and len(shards[0].replicas) > 1 else ()


def shard_settings(settings: Settings, shard: Shard) -> Settings:
    """The settings of one shard as a warehouse of its own, with all its replicas."""
    return msgspec.structs.replace(settings, dsn="", reader_dsn="", shards="|".join(shard.replicas))


def shard_index(user: str, shards: int) -> int:
    """The index of the shard that has a user's events, by the account; ClickHouse computes the same as `CRC32(user_id) % shards`.

    >>> shard_index("ann", 2), shard_index("bob", 2)
    (1, 0)
    """
    return zlib.crc32(user.encode()) % shards


def all_shards(database: str) -> str:
    """The name of the database with the tables of all shards together, for reads alone."""
    return f"{database}_all"


def node_settings(settings: Settings, dsn: str) -> Settings:
    """The settings of one node as a server of its own."""
    return msgspec.structs.replace(settings, dsn=dsn, reader_dsn="", shards="", cluster="")
