"""Commands that work on one shard, or one node, after the other: count tables are compared on each shard, for example."""

from __future__ import annotations

from collections.abc import Iterator

from alsobought.redaction import shown_address
from alsobought.settings import Settings
from alsobought.storage.topology import node_settings, shard_settings, shards_of


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
