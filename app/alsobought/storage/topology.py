"""The nodes of a cluster, from ALSOBOUGHT_SHARDS. A shard is a warehouse: it has all tables, and the events of its users."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from alsobought.errors import Unusable
from alsobought.redaction import shown_address
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
    if not settings.shard:
        return ()
    replicas = shards_of(settings)[settings.shard - 1].replicas
    return replicas if len(replicas) > 1 else ()


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
    """The settings of one node as a server that knows of no cluster."""
    return msgspec.structs.replace(settings, dsn=dsn, reader_dsn="", shards="", cluster="", shard=0)


def shard_settings(settings: Settings, shard: Shard) -> Settings:
    """The settings of a shard, which is like a server of its own."""
    return msgspec.structs.replace(settings, shard=shard.number, reader_dsn="")


def require_one_warehouse(settings: Settings) -> None:
    """Raises Unusable for the settings of a whole cluster."""
    if settings.whole_cluster:
        raise Unusable(
            "on a cluster this is done for one shard at a time", "Set ALSOBOUGHT_SHARD to its number, from 1"
        )


def each_shard(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """The name and the settings of each shard; without a cluster, these settings and no name."""
    if not settings.whole_cluster:
        yield "", settings
        return
    shards = shards_of(settings)
    for shard in shards:
        yield f"shard {shard.number} of {len(shards)}", shard_settings(settings, shard)


def each_node(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """The name and the settings of each replica of each shard; without a cluster, these settings and no name."""
    if not settings.whole_cluster:
        yield "", settings
        return
    for shard in shards_of(settings):
        for dsn in shard.replicas:
            yield f"shard {shard.number}, {shown_address(dsn)}", node_settings(settings, dsn)
