-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How many people bought both items, both ways round, by the month of the later first purchase of the two.
-- A person's items are ranked by first purchase; a pair counts once per person if the ranks are at most 20 apart.
-- Signed sums that merge in the background: read with sum(buyers) ... group by, and having above 0.
create table if not exists shop.co_purchases_local on cluster 'shards' (
    item_key UInt64,
    other_item_key UInt64,
    month Date,
    buyers Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/co_purchases_local', '{replica}', (buyers))
order by (item_key, other_item_key, month)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.co_purchases on cluster 'shards' as shop.co_purchases_local
engine = Distributed('shards', 'shop', 'co_purchases_local', rand())
;
