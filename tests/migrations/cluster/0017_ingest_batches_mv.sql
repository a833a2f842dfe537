-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds ingest_batches.
create materialized view if not exists shop.ingest_batches_mv on cluster 'shards' to shop.ingest_batches_local as
select
    batch,
    epoch,
    source,
    partition,
    min(offset) as first_offset,
    max(offset) as last_offset,
    count() as events,
    max(ingested_at) as ingested_at
from shop.events_local
group by batch, epoch, source, partition
;
