-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How often each item was seen, carted, bought … in each hour: what trending reads.
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table if not exists shop.item_hours_local on cluster 'shards' (
    hour DateTime('UTC'),
    event_type LowCardinality(String),
    item_key UInt64,
    category String,
    events Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/item_hours_local', '{replica}', (events))
order by (hour, event_type, item_key, category)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.item_hours on cluster 'shards' as shop.item_hours_local
engine = Distributed('shards', 'shop', 'item_hours_local', rand())
;
