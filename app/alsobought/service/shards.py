"""Commands that work on one shard after the other: count tables, for example, are compared and rebuilt on each."""

from __future__ import annotations

from collections.abc import Iterator

from alsobought.settings import Settings
from alsobought.storage.topology import shard_settings, shards_of


def each_shard(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """The name and the settings of each shard; without a cluster, these settings and no name."""
    if not settings.whole_cluster:
        yield "", settings
        return
    shards = shards_of(settings)
    for shard in shards:
        yield f"shard {shard.number} of {len(shards)}", shard_settings(settings, shard)
