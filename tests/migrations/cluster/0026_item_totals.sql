-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- In how many orders an item stands, how many people bought it, in how many sessions it was viewed: what pair counts are
-- divided by. Each order, person and session counts in the month of its first line with the item.
-- item_key 0 stands for all items: how many orders, buyers and sessions there are at all.
-- Signed sums that merge in the background: read with sum(...) ... group by item_key.
create table if not exists shop.item_totals_local on cluster 'shards' (
    item_key UInt64,
    month Date,
    orders Int64,
    buyers Int64,
    sessions Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/item_totals_local', '{replica}', (orders, buyers, sessions))
order by (item_key, month)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.item_totals on cluster 'shards' as shop.item_totals_local
engine = Distributed('shards', 'shop', 'item_totals_local', rand())
;
