-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How often each item was seen, carted, bought … on each day, in what quantity, and the revenue: quantity times price.
-- orders counts an order once per item, on the day of its first line with the item. item_key 0 stands for all items.
-- Signed sums that merge in the background: read with sum(...) ... group by.
create table if not exists shop.daily_popularity_local on cluster 'shards' (
    day Date,
    event_type LowCardinality(String),
    item_key UInt64,
    events Int64,
    orders Int64,
    quantity Int64,
    revenue Decimal(38, 4)
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/daily_popularity_local', '{replica}', (events, orders, quantity, revenue))
order by (day, event_type, item_key)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.daily_popularity on cluster 'shards' as shop.daily_popularity_local
engine = Distributed('shards', 'shop', 'daily_popularity_local', rand())
;
